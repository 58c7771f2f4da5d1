#include "array_file.hpp"

#include "npy.hpp"
#include "picture.hpp"
#include "whole_file.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <stdexcept>

namespace halpool::cli {

namespace {

// Nothing: a .npy file.
std::optional<PictureFormat> picture_format(const std::string &path) {
    std::string extension = std::filesystem::path(path).extension().string();
    std::transform(extension.begin(), extension.end(), extension.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (extension == ".npy") return std::nullopt;
    if (extension == ".png") return PictureFormat::png;
    if (extension == ".jpg" || extension == ".jpeg") return PictureFormat::jpeg;
    throw std::runtime_error("'" + path + "' does not end in .npy, .png, .jpg or .jpeg");
}

std::vector<unsigned char> encode(const std::string &path, const Array &array) {
    const auto picture = picture_format(path);
    return picture ? encode_picture(*picture, array, path) : encode_npy(array);
}

}  // namespace

Array read_array(const std::string &path, std::optional<DType> dtype) {
    const auto picture = picture_format(path);
    std::vector<unsigned char> file = read_file(path);
    if (!picture) return decode_npy(std::move(file), path, dtype);
    Array array = decode_picture(*picture, file, path);
    if (dtype && *dtype != array.desc.dtype())
        throw std::runtime_error("'" + path + "' is a picture, which is read as " + dtype_name(array.desc.dtype()) + ", not as " + dtype_name(*dtype));
    return array;
}

void check_array_file(const std::string &path, const TensorDesc &desc) {
    if (const auto picture = picture_format(path)) check_picture(*picture, desc, path);
}

void write_array(const std::vector<std::string> &paths, const Array &array) {
    std::vector<ReplacementFile> files;
    for (const std::string &path : paths) files.emplace_back(path, encode(path, array));
    for (ReplacementFile &file : files) file.commit();
}

}  // namespace halpool::cli
