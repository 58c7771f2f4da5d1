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
    std::size_t bytes;        // of an element, and what its address is a multiple of
    KernelType element;       // of a kernel's buffers: the 16-bit floats are words to Halide
    bool is_float;
    bool in_operator;         // torch.nn.functional.avg_pool2d takes it on the CPU
};

// Throws Failure for what is no halpool_dtype.
const DTypeFacts &dtype_facts(std::int32_t dtype);

// What kernels do with elements: those of one dtype, or of one that become another's.
struct Arithmetic {
    const char *name;   // in the names of kernels, KernelRow::dtype: "f32", "u8_f32"
    const char *words;  // for messages: "float32", "uint8 to float32"
    halpool_dtype input, output;
    bool quantized;     // the output is integers that stand for real numbers, as the input is
    const char *references[2];  // the names of its reference kernels, by Op; null: it has none
};

// By number; null: no more.
const Arithmetic *arithmetic_at(std::size_t index);

// Null: none. quantized: of outputs of one byte.
const Arithmetic *find_arithmetic(std::int32_t input, std::int32_t output, bool quantized);

// Whether this library was built with kernels for it; those that it was built with, for messages.
bool arithmetic_built_in(const Arithmetic &arithmetic);
std::string arithmetics_built_in();

// Generated (cmake/kernel_manifest.py): the names of the arithmetics of this build, its operators and its layouts, ended by
// null pointers.
extern const char *const built_dtypes[], *const built_ops[], *const built_layouts[];

bool is_among(const char *const *names, const char *name);
std::string joined(const char *const *names);  // "a, b"

}  // namespace halpool

#endif
