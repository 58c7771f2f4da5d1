// NumPy's .npy files, format versions 1.0 to 3.0, for arrays of the dtypes that halpool_dtype names.
//
// Own code, for lack of a reader that distrusts the file: xtensor's, the one that Debian packages, multiplies the
// header's extents unchecked, takes header lengths as signed bytes and never looks whether the data was there.
#ifndef HALPOOL_TOOLS_NPY_HPP
#define HALPOOL_TOOLS_NPY_HPP

#include "array.hpp"

#include <optional>
#include <string>
#include <vector>

namespace halpool::cli {

// Takes the whole file; the array's elements stay where they lie in it, in C or Fortran order. Big-endian elements
// are swapped. `name` is the file's name in messages. Throws std::runtime_error.
// dtype: what the elements must be; nothing: what the file says. NumPy has no bfloat16: such files hold words, '<u2'.
Array decode_npy(std::vector<unsigned char> file, const std::string &name, std::optional<DType> dtype);

// A version 1.0 file in C order.
std::vector<unsigned char> encode_npy(const Array &array);

}  // namespace halpool::cli

#endif
