// Files that hold an array. The name's ending says which format: .npy, .png, .jpg or .jpeg, in any case.
#ifndef HALPOOL_TOOLS_ARRAY_FILE_HPP
#define HALPOOL_TOOLS_ARRAY_FILE_HPP

#include "array.hpp"

#include <optional>
#include <string>
#include <vector>

namespace halpool::cli {

// dtype: what its elements must be (see decode_npy); nothing: what the file says.
Array read_array(const std::string &path, std::optional<DType> dtype = std::nullopt);

// Throws when no array like this can be written to such a file. Needs no data, so it can be asked before any work.
void check_array_file(const std::string &path, const TensorDesc &desc);

// Writes the array to every path, or, when one of them fails, to none.
void write_array(const std::vector<std::string> &paths, const Array &array);

}  // namespace halpool::cli

#endif
