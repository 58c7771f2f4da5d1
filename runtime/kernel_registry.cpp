#include "kernel_registry.hpp"

#include "failure.hpp"
#include "host_capabilities.hpp"

#include <algorithm>

namespace halpool {

const std::vector<LinkedTable> &linked_tables() {
    static const std::vector<LinkedTable> all = [] {
        std::vector<LinkedTable> found;
        for (const KernelComponent *const *component = avg_pool2d_components; *component; ++component) {
            if (!(*component)->tables) continue;
            for (const KernelTable *const *table = (*component)->tables; *table; ++table) {
                found.push_back({(*component)->device, *table});
            }
        }
        return found;
    }();
    return all;
}

const std::vector<const DeviceApi *> &linked_devices() {
    static const std::vector<const DeviceApi *> all = [] {
        std::vector<const DeviceApi *> found;
        for (const LinkedTable &linked : linked_tables()) {
            const bool known = std::find(found.begin(), found.end(), linked.device) != found.end();
            if (linked.device && !known) found.push_back(linked.device);
        }
        return found;
    }();
    return all;
}

const DeviceApi *linked_device(std::int32_t device) {
    for (const DeviceApi *linked : linked_devices()) {
        if (linked->device == device) return linked;
    }
    return nullptr;
}

const DeviceApi *require_device(std::int32_t device) {
    const DeviceApi *linked = linked_device(device);
    require(linked != nullptr, HALPOOL_ERROR_UNSUPPORTED, "device ", device_name(device),
            " was asked for, but this program links no kernels for it: build halpool with ", device_name(device),
            " in HALPOOL_TARGETS and link that component");
    const char *reason = nullptr;
    require(linked->available(&reason), HALPOOL_ERROR_UNSUPPORTED, "device ", device_name(device),
            " was asked for, and is not available: ", reason);
    return linked;
}

std::int32_t device_of(const DeviceApi *device) { return device ? device->device : HALPOOL_DEVICE_CPU; }

const char *device_name(std::int32_t device) {
    switch (device) {
    case HALPOOL_DEVICE_CPU: return "cpu";
    case HALPOOL_DEVICE_CUDA: return "cuda";
    case HALPOOL_DEVICE_VULKAN: return "vulkan";
    default: return nullptr;
    }
}

std::string target_objection(const LinkedTable &linked) {
    const char *reason = nullptr;
    if (linked.device && !linked.device->available(&reason)) return reason;
    std::string missing;
    for (const char *const *feature = linked.table->required_features; *feature; ++feature) {
        const bool has = linked.device ? linked.device->has_feature(*feature) : host_has_feature(*feature);
        if (!has) missing += (missing.empty() ? "" : ", ") + std::string(*feature);
    }
    if (missing.empty()) return "";
    if (!linked.device) return "this host lacks " + missing;
    linked.device->available(&reason);
    return "the device lacks " + missing + " (" + reason + ")";
}

}  // namespace halpool
