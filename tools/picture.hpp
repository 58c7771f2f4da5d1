// 8-bit PNG and JPEG pictures as f32 arrays [1, C, H, W] of values 0 to 255: C is 1 (gray), 3 (RGB) or, in PNG
// only, 4 (RGBA). Colour arrays lie in channels-last memory, as the pixels do in the file. All functions throw
// std::runtime_error.
#ifndef HALPOOL_TOOLS_PICTURE_HPP
#define HALPOOL_TOOLS_PICTURE_HPP

#include "array.hpp"

#include <string>
#include <vector>

namespace halpool::cli {

enum class PictureFormat { png, jpeg };

// `name` is the file's name in messages.
Array decode_picture(PictureFormat format, const std::vector<unsigned char> &file, const std::string &name);

// Throws when such an array cannot be a picture. Needs no data, so it can be asked before any work.
void check_picture(PictureFormat format, const TensorDesc &desc, const std::string &name);

// Rounds to the nearest integer and clamps to 0 to 255; NaN becomes 0.
std::vector<unsigned char> encode_picture(PictureFormat format, const Array &array, const std::string &name);

}  // namespace halpool::cli

#endif
