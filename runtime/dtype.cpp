#include "dtype.hpp"

#include "failure.hpp"

#include <cstring>
#include <iterator>

namespace halpool {
namespace {

constexpr std::uint8_t kSigned = 0, kUnsigned = 1, kFloat = 2;  // Halide's type codes

// In the order of halpool_dtype.
constexpr DTypeFacts kDTypes[] = {
    {"float32", "Float", 4, {kFloat, 32, 1}, true, true},
    {"float64", "Double", 8, {kFloat, 64, 1}, true, true},
    {"float16", "Half", 2, {kUnsigned, 16, 1}, true, true},
    {"bfloat16", "BFloat16", 2, {kUnsigned, 16, 1}, true, true},
    {"int8", "Char", 1, {kSigned, 8, 1}, false, false},
    {"uint8", "Byte", 1, {kUnsigned, 8, 1}, false, false},
    {"int16", "Short", 2, {kSigned, 16, 1}, false, false},
    {"int32", "Int", 4, {kSigned, 32, 1}, false, false},
    {"int64", "Long", 8, {kSigned, 64, 1}, false, true},
    {"bool", "Bool", 1, {kUnsigned, 8, 1}, false, false},
    {"complex64", "ComplexFloat", 8, {kFloat, 32, 2}, true, false},
    {"complex128", "ComplexDouble", 16, {kFloat, 64, 2}, true, false},
};

constexpr Arithmetic kArithmetics[] = {
    {"f32", "float32", HALPOOL_FLOAT32, HALPOOL_FLOAT32, false, {"avg_pool2d_f32_reference", "avg_pool2d_backward_f32_reference"}},
    {"f64", "float64", HALPOOL_FLOAT64, HALPOOL_FLOAT64, false, {"avg_pool2d_f64_reference", "avg_pool2d_backward_f64_reference"}},
    {"f16", "float16", HALPOOL_FLOAT16, HALPOOL_FLOAT16, false, {"avg_pool2d_f16_reference", "avg_pool2d_backward_f16_reference"}},
    {"bf16", "bfloat16", HALPOOL_BFLOAT16, HALPOOL_BFLOAT16, false, {"avg_pool2d_bf16_reference", "avg_pool2d_backward_bf16_reference"}},
    {"i8", "int8", HALPOOL_INT8, HALPOOL_INT8, false, {"avg_pool2d_i8_reference", "avg_pool2d_backward_i8_reference"}},
    {"u8", "uint8", HALPOOL_UINT8, HALPOOL_UINT8, false, {"avg_pool2d_u8_reference", "avg_pool2d_backward_u8_reference"}},
    {"i32", "int32", HALPOOL_INT32, HALPOOL_INT32, false, {"avg_pool2d_i32_reference", "avg_pool2d_backward_i32_reference"}},
    {"i64", "int64", HALPOOL_INT64, HALPOOL_INT64, false, {"avg_pool2d_i64_reference", "avg_pool2d_backward_i64_reference"}},
    {"qi8", "quantized int8", HALPOOL_INT8, HALPOOL_INT8, true, {"avg_pool2d_qi8_reference", nullptr}},
    {"qu8", "quantized uint8", HALPOOL_UINT8, HALPOOL_UINT8, true, {"avg_pool2d_qu8_reference", nullptr}},
    {"i8_f32", "int8 to float32", HALPOOL_INT8, HALPOOL_FLOAT32, false, {"avg_pool2d_i8_f32_reference", nullptr}},
    {"u8_f32", "uint8 to float32", HALPOOL_UINT8, HALPOOL_FLOAT32, false, {"avg_pool2d_u8_f32_reference", nullptr}},
    {"f32_f16", "float32 to float16", HALPOOL_FLOAT32, HALPOOL_FLOAT16, false, {"avg_pool2d_f32_f16_reference", nullptr}},
    {"f32_bf16", "float32 to bfloat16", HALPOOL_FLOAT32, HALPOOL_BFLOAT16, false, {"avg_pool2d_f32_bf16_reference", nullptr}},
};

}  // namespace

const Arithmetic *arithmetic_at(std::size_t index) { return index < std::size(kArithmetics) ? &kArithmetics[index] : nullptr; }

const Arithmetic *find_arithmetic(std::int32_t input, std::int32_t output, bool quantized) {
    for (const Arithmetic &each : kArithmetics) {
        if (each.input == input && each.output == output && each.quantized == quantized) return &each;
    }
    return nullptr;
}

const DTypeFacts &dtype_facts(std::int32_t dtype) {
    require(dtype >= 0 && static_cast<std::size_t>(dtype) < std::size(kDTypes), HALPOOL_ERROR_INVALID_ARGUMENT,
            "dtype ", dtype, " is not one of halpool_dtype");
    return kDTypes[dtype];
}

bool arithmetic_built_in(const Arithmetic &arithmetic) { return is_among(built_dtypes, arithmetic.name); }

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

std::string arithmetics_built_in() {
    std::string names;
    for (const Arithmetic &each : kArithmetics) {
        if (arithmetic_built_in(each)) names += (names.empty() ? "" : ", ") + std::string(each.words);
    }
    return names;
}

}  // namespace halpool
