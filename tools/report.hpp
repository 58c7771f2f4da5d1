// What commands print.
#ifndef HALPOOL_TOOLS_REPORT_HPP
#define HALPOOL_TOOLS_REPORT_HPP

#include <halpool/halpool.hpp>

#include <nlohmann/json.hpp>

#include <string>

namespace halpool::cli {

using Json = nlohmann::ordered_json;

// "nchw" or "nhwc" for dense memory in that order, "strided" for any other.
std::string layout_name(const TensorDesc &desc);

const char *device_name(Device device);  // "cpu"

void print(const std::string &text);  // to standard output
void print(const Json &json);

}  // namespace halpool::cli

#endif
