#include "report.hpp"

#include <iostream>

namespace halpool::cli {

std::string layout_name(const TensorDesc &desc) {
    if (desc.strides() == detail::dense_strides(desc.shape(), MemoryFormat::contiguous)) return "nchw";
    if (desc.strides() == detail::dense_strides(desc.shape(), MemoryFormat::channels_last)) return "nhwc";
    return "strided";
}

const char *device_name(Device device) {
    switch (device) {
    case Device::automatic: return "auto";
    case Device::cpu: return "cpu";
    case Device::cuda: return "cuda";
    case Device::vulkan: return "vulkan";
    }
    throw std::invalid_argument("a device that halpool does not have");
}

void print(const std::string &text) {
    std::cout << text;
    if (!std::cout.flush()) throw std::runtime_error("cannot write to the standard output");
}

void print(const Json &json) {
    // File names need not be UTF-8.
    print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace halpool::cli
