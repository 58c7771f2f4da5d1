#include "array.hpp"

#include "memory_limit.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace halpool::cli {

namespace {

constexpr std::pair<const char *, DType> named_dtypes[] = {
    {"float32", DType::f32}, {"float64", DType::f64}, {"float16", DType::f16}, {"bfloat16", DType::bf16},
    {"int8", DType::i8},     {"uint8", DType::u8},    {"int32", DType::i32},   {"int64", DType::i64},
};

}  // namespace

const char *dtype_name(DType dtype) {
    for (const auto &[name, named] : named_dtypes)
        if (named == dtype) return name;
    return "other";
}

DType dtype_named(const std::string &name) {
    for (const auto &[known, dtype] : named_dtypes)
        if (name == known) return dtype;
    throw std::invalid_argument("unknown dtype " + name);
}

std::vector<std::string> dtype_names() {
    std::vector<std::string> names;
    for (const auto &[name, dtype] : named_dtypes) names.emplace_back(name);
    return names;
}

std::string shape_text(const Shape &shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

std::size_t element_count(const TensorDesc &desc) {
    const Shape &shape = desc.shape();
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
    std::size_t bytes = element_size(desc.dtype());
    for (const std::int64_t extent : shape)
        if (__builtin_mul_overflow(bytes, extent, &bytes)) throw std::bad_alloc();
    return bytes / element_size(desc.dtype());
}

Array make_array(TensorDesc desc) {
    const std::size_t bytes = element_count(desc) * element_size(desc.dtype());
    require_memory(bytes, "an array of shape " + shape_text(desc.shape()));
    return {std::move(desc), std::vector<unsigned char>(std::max<std::size_t>(bytes, 1))};
}

namespace {

// Copies axis `axis` and all behind it. The element's size is a constant: its copy becomes one load and one store.
template <std::size_t element>
void copy_axes(const TensorDesc &from_desc, const unsigned char *from, const TensorDesc &to_desc,
               unsigned char *to, std::size_t axis) {
    if (axis == from_desc.shape().size()) {
        std::memcpy(to, from, element);
        return;
    }
    const std::int64_t extent = from_desc.shape()[axis];
    const std::int64_t from_step = from_desc.strides()[axis] * std::int64_t{element};
    const std::int64_t to_step = to_desc.strides()[axis] * std::int64_t{element};
    if (axis + 1 == from_desc.shape().size()) {
        for (std::int64_t i = 0; i < extent; ++i) std::memcpy(to + i * to_step, from + i * from_step, element);
        return;
    }
    for (std::int64_t i = 0; i < extent; ++i)
        copy_axes<element>(from_desc, from + i * from_step, to_desc, to + i * to_step, axis + 1);
}

}  // namespace

Array repacked(const Array &array, const TensorDesc &desc) {
    Array result = make_array(desc);
    if (element_count(desc) == 0) return result;
    const auto *from = static_cast<const unsigned char *>(array.data());
    auto *to = static_cast<unsigned char *>(result.data());
    switch (element_size(desc.dtype())) {
    case 1: copy_axes<1>(array.desc, from, desc, to, 0); break;
    case 2: copy_axes<2>(array.desc, from, desc, to, 0); break;
    case 4: copy_axes<4>(array.desc, from, desc, to, 0); break;
    case 8: copy_axes<8>(array.desc, from, desc, to, 0); break;
    case 16: copy_axes<16>(array.desc, from, desc, to, 0); break;
    }
    return result;
}

}  // namespace halpool::cli
