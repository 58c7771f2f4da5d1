// Takes the place of picture.cpp in builds for systems whose libpng and libturbojpeg are not there.
#include "picture.hpp"

#include <stdexcept>

namespace halpool::cli {
namespace {

[[noreturn]] void refuse(const std::string &action, const std::string &name) {
    throw std::runtime_error("cannot " + action + " '" + name + "': this build " + action +
                             "s no pictures, only .npy (built without libpng and libturbojpeg)");
}

}  // namespace

Array decode_picture(PictureFormat, const std::vector<unsigned char> &, const std::string &name) { refuse("read", name); }

void check_picture(PictureFormat, const TensorDesc &, const std::string &name) { refuse("write", name); }

std::vector<unsigned char> encode_picture(PictureFormat, const Array &, const std::string &name) { refuse("write", name); }

}  // namespace halpool::cli
