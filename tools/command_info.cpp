#include "commands.hpp"
#include "report.hpp"

#include <halpool/halpool.hpp>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace halpool::cli {

namespace {

std::vector<std::string> host_features() {
    std::istringstream words(halpool_host_features());
    std::vector<std::string> features;
    for (std::string word; words >> word;) features.push_back(word);
    return features;
}

std::vector<halpool_target_info> targets() {
    std::vector<halpool_target_info> list;
    for (std::size_t i = 0; i < halpool_target_count(); ++i) list.push_back(halpool_target_at(i));
    return list;
}

std::vector<halpool_kernel_info> kernels() {
    std::vector<halpool_kernel_info> list;
    for (std::size_t i = 0; i < halpool_kernel_count(); ++i) list.push_back(halpool_kernel_at(i));
    return list;
}

Json info_json() {
    Json json{{"version", halpool_version()}, {"host_features", host_features()}};
    json["devices"] = Json::array();
    for (const DeviceInfo &device : devices())
        json["devices"].push_back(
            {{"name", device.name}, {"available", device.available}, {"reason", device.reason}});
    json["targets"] = Json::array();
    for (const halpool_target_info &target : targets())
        json["targets"].push_back({{"name", target.name},
                                   {"device", device_name(static_cast<Device>(target.device))},
                                   {"available", target.available != 0},
                                   {"reason", target.reason}});
    json["kernels"] = Json::array();
    for (const halpool_kernel_info &kernel : kernels())
        json["kernels"].push_back({{"name", kernel.name},
                                   {"target", kernel.target},
                                   {"op", kernel.op},
                                   {"dtype", kernel.dtype},
                                   {"layout", kernel.layout},
                                   {"window", kernel.window}});
    return json;
}

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(text.size(), width), ' ');
    return text;
}

// "  name  available    why\n"
std::string availability(const std::string &name, std::size_t width, bool available, const std::string &reason) {
    return "  " + padded(name, width) + (available ? "  available    " : "  unavailable  ") + reason + "\n";
}

std::string info_text() {
    std::size_t device_width = 0, target_width = 0, kernel_width = 0;
    for (const DeviceInfo &device : devices()) device_width = std::max(device_width, device.name.size());
    for (const halpool_target_info &target : targets())
        target_width = std::max(target_width, std::string(target.name).size());
    for (const halpool_kernel_info &kernel : kernels())
        kernel_width = std::max(kernel_width, std::string(kernel.name).size());

    std::string text = std::string("halpool ") + halpool_version() + "\n\ndevices (" +
                       std::to_string(devices().size()) + ")\n";
    for (const DeviceInfo &device : devices())
        text += availability(device.name, device_width, device.available, device.reason);
    text += "\ntargets (" + std::to_string(targets().size()) + ")\n";
    for (const halpool_target_info &target : targets())
        text += availability(target.name, target_width, target.available != 0, target.reason);
    text += "\nkernels (" + std::to_string(kernels().size()) + ")\n";
    for (const halpool_kernel_info &kernel : kernels())
        text += "  " + padded(kernel.name, kernel_width) + "  " + kernel.op + "  " + kernel.dtype + "  " +
                kernel.layout + "  " + kernel.window + "\n";
    return text;
}

}  // namespace

void add_info_command(CLI::App &program) {
    const auto json = std::make_shared<bool>(false);
    CLI::App &command =
        *program.add_subcommand("info", "List what this host and this build have: devices, targets, kernels");
    command.add_flag("--json", *json, "Print JSON");
    command.callback([json] {
        if (*json) print(info_json());
        else print(info_text());
    });
}

}  // namespace halpool::cli
