#include "dtype.hpp"

#include "failure.hpp"

#include <cstring>
#include <iterator>

namespace halpool {
namespace {

constexpr std::uint8_t kSigned = 0, kUnsigned = 1, kFloat = 2;  // Halide's type codes

// In the order of halpool_dtype.
constexpr DTypeFacts kDTypes[] = {
    {"float32", "Float", "f32", 4, {"avg_pool2d_f32_reference", "avg_pool2d_backward_f32_reference"}, {kFloat, 32, 1}, true, true},
    {"float64", "Double", "f64", 8, {"avg_pool2d_f64_reference", "avg_pool2d_backward_f64_reference"}, {kFloat, 64, 1}, true, true},
    {"float16", "Half", "f16", 2, {"avg_pool2d_f16_reference", "avg_pool2d_backward_f16_reference"}, {kUnsigned, 16, 1}, true, true},
    {"bfloat16", "BFloat16", "bf16", 2, {"avg_pool2d_bf16_reference", "avg_pool2d_backward_bf16_reference"}, {kUnsigned, 16, 1}, true, true},
    {"int8", "Char", "i8", 1, {"avg_pool2d_i8_reference", "avg_pool2d_backward_i8_reference"}, {kSigned, 8, 1}, false, false},
    {"uint8", "Byte", "u8", 1, {"avg_pool2d_u8_reference", "avg_pool2d_backward_u8_reference"}, {kUnsigned, 8, 1}, false, false},
    {"int16", "Short", nullptr, 2, {nullptr, nullptr}, {kSigned, 16, 1}, false, false},
    {"int32", "Int", "i32", 4, {"avg_pool2d_i32_reference", "avg_pool2d_backward_i32_reference"}, {kSigned, 32, 1}, false, false},
    {"int64", "Long", "i64", 8, {"avg_pool2d_i64_reference", "avg_pool2d_backward_i64_reference"}, {kSigned, 64, 1}, false, true},
    {"bool", "Bool", nullptr, 1, {nullptr, nullptr}, {kUnsigned, 8, 1}, false, false},
    {"complex64", "ComplexFloat", nullptr, 8, {nullptr, nullptr}, {kFloat, 32, 2}, true, false},
    {"complex128", "ComplexDouble", nullptr, 16, {nullptr, nullptr}, {kFloat, 64, 2}, true, false},
};

}  // namespace

const DTypeFacts *dtype_at(std::size_t index) { return index < std::size(kDTypes) ? &kDTypes[index] : nullptr; }

const DTypeFacts &dtype_facts(std::int32_t dtype) {
    require(dtype >= 0 && static_cast<std::size_t>(dtype) < std::size(kDTypes), HALPOOL_ERROR_INVALID_ARGUMENT,
            "dtype ", dtype, " is not one of halpool_dtype");
    return kDTypes[dtype];
}

bool dtype_built_in(const DTypeFacts &dtype) {
    return dtype.kernel_name && is_among(built_dtypes, dtype.kernel_name);
}

bool is_among(const char *const *names, const char *name) {
    for (; *names; ++names) {
        if (std::strcmp(*names, name) == 0) return true;
    }
    return false;
}

std::string joined(const char *const *names) {
    std::string all;
    for (; *names; ++names) all += (all.empty() ? "" : ", ") + std::string(*names);
    return all;
}

std::string dtypes_built_in() {
    std::string names;
    for (const DTypeFacts &dtype : kDTypes) {
        if (dtype_built_in(dtype)) names += (names.empty() ? "" : ", ") + std::string(dtype.name);
    }
    return names;
}

}  // namespace halpool
