// The element types of tensors: what the messages call them, how large they are, which kernels compute them.
#ifndef HALPOOL_RUNTIME_DTYPE_HPP
#define HALPOOL_RUNTIME_DTYPE_HPP

#include <halpool/halpool.h>
#include <halpool/internal/kernel_convention.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace halpool {

struct DTypeFacts {
    const char *name;         // "float32"
    const char *torch_name;   // as PyTorch's messages say it
    const char *kernel_name;  // "f32", in the names of kernels; null: no kernel computes it
    std::size_t bytes;        // of an element, and what its address is a multiple of
    const char *references[2];  // the names of its reference kernels, by Op; null like kernel_name
    KernelType element;       // of a kernel's buffers: the 16-bit floats are words to Halide
    bool is_float;
    bool in_operator;         // torch.nn.functional.avg_pool2d takes it on the CPU
};

// By number, in the order of halpool_dtype; null: no more.
const DTypeFacts *dtype_at(std::size_t index);

// Throws Failure for what is no halpool_dtype.
const DTypeFacts &dtype_facts(std::int32_t dtype);

// Whether this library was built with kernels for it; the names of those that it was built with, for messages.
bool dtype_built_in(const DTypeFacts &dtype);
std::string dtypes_built_in();

// Generated (cmake/kernel_manifest.py): the kernel names of the dtypes of this build, its operators and its layouts, ended by
// null pointers.
extern const char *const built_dtypes[], *const built_ops[], *const built_layouts[];

bool is_among(const char *const *names, const char *name);
std::string joined(const char *const *names);  // "a, b"

}  // namespace halpool

#endif
