// Memory that begins at a cache line, as kernels that write past the caches need for their output.
#ifndef HALPOOL_TESTS_ALIGNED_FLOATS_HPP
#define HALPOOL_TESTS_ALIGNED_FLOATS_HPP

#include <halpool/halpool.hpp>

#include <vector>

namespace halpool_test {

template <class T>
using Aligned = std::vector<T, halpool::detail::LineAllocator<T>>;
using AlignedFloats = Aligned<float>;

}  // namespace halpool_test

#endif
