// An array in the program's own memory: what a file held, or what goes into one.
#ifndef HALPOOL_TOOLS_ARRAY_HPP
#define HALPOOL_TOOLS_ARRAY_HPP

#include <halpool/halpool.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace halpool::cli {

// "float32", "bfloat16", ...; the dtypes that halpool pools.
const char *dtype_name(DType dtype);
DType dtype_named(const std::string &name);  // throws std::invalid_argument
std::vector<std::string> dtype_names();

std::string shape_text(const Shape &shape);  // "[1, 3, 224, 224]"

// The number of elements; throws std::bad_alloc when their bytes overflow 64 bits.
std::size_t element_count(const TensorDesc &desc);

struct Array {
    TensorDesc desc;
    std::vector<unsigned char> bytes;  // never empty, so that data() is a pointer even where there is no element
    std::size_t offset = 0;            // of the first element in bytes; a multiple of the element's size

    const void *data() const noexcept { return bytes.data() + offset; }
    void *data() noexcept { return bytes.data() + offset; }
};

// An array of zeros.
Array make_array(TensorDesc desc);

// The same elements in other strides of the same shape, which must be those of a dense array.
Array repacked(const Array &array, const TensorDesc &desc);

}  // namespace halpool::cli

#endif
