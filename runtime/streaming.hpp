// Kernels that write their output past the caches (KernelRow::streams): where that pays, and when it can be read.
#ifndef HALPOOL_RUNTIME_STREAMING_HPP
#define HALPOOL_RUNTIME_STREAMING_HPP

#include <cstdint>

namespace halpool {

// Calls that read and write at least so many bytes together are faster so: the last-level cache would not hold them, and a
// store that is no streaming one first reads its line from memory. Smaller ones leave their output where the next reader
// finds it. Found out once, on first use.
std::int64_t least_streaming_bytes();

// After a kernel that streams, on its thread: other threads that are told of its output see it.
void finish_streaming();

}  // namespace halpool

#endif
