// The CUDA device's DeviceApi: where Failures become statuses.
#include "cuda_devices.hpp"
#include "cuda_kernels.hpp"
#include "cuda_memory.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

namespace halpool::cuda {
namespace {

bool api_available(const char **reason) {
    try {
        const Installation &cuda = installation();
        if (reason) *reason = cuda.reason.c_str();
        return cuda.available;
    } catch (...) {
        if (reason) *reason = "out of memory";
        return false;
    }
}

// "compute_capability_8.0", "cuda_driver_11.0". With several devices each must have the capability: which of them
// a plan's data will be on is not known when its kernel is chosen.
bool api_has_feature(const char *name) {
    if (!api_available(nullptr)) return false;
    const Installation &cuda = installation();
    int major = 0, minor = 0, end = 0;
    const auto is = [&](const char *format) {
        return std::sscanf(name, format, &major, &minor, &end) == 2 && name[end] == '\0';
    };
    if (is("cuda_driver_%d.%d%n")) return cuda.version >= 1000 * major + 10 * minor;
    if (!is("compute_capability_%d.%d%n")) return false;
    return std::all_of(cuda.devices.begin(), cuda.devices.end(), [&](const Device &device) {
        return device.capability_major > major ||
               (device.capability_major == major && device.capability_minor >= minor);
    });
}

// What every device allows.
DeviceLimits api_limits() {
    DeviceLimits limits{};
    // CUDA's pointers span the address space: the memory there is, is the limit.
    limits.buffer_bytes = std::uint64_t{1} << 40;
    // A kernel gets an address, not a buffer and an offset: any multiple of the element will do, and a launch
    // checks it.
    limits.offset_alignment = 1;
    if (!api_available(nullptr)) return limits;
    const std::deque<Device> &devices = installation().devices;
    const auto least = [&](auto of) {
        int value = of(devices.front());
        for (const Device &device : devices) value = std::min(value, of(device));
        return static_cast<std::uint32_t>(value);
    };
    limits.blocks = least([](const Device &device) { return device.grid[0]; });
    limits.threads = least([](const Device &device) { return device.threads; });
    limits.shared_bytes = least([](const Device &device) { return device.shared_bytes; });
    return limits;
}

halpool_status api_create_memory(std::size_t bytes, DeviceMemory **memory, halpool_error *error) {
    *memory = nullptr;
    return guarded(error, [&] { *memory = create_memory(bytes); });
}

void api_destroy_memory(DeviceMemory *memory) { destroy_memory(memory); }

halpool_status api_upload(DeviceMemory *memory, std::size_t offset, const void *from, std::size_t bytes,
                          halpool_error *error) {
    return guarded(error, [&] { upload(memory_of(memory), offset, from, bytes); });
}

halpool_status api_download(const DeviceMemory *memory, std::size_t offset, void *to, std::size_t bytes,
                            halpool_error *error) {
    return guarded(error, [&] { download(memory_of(memory), offset, to, bytes); });
}

void *api_pointer(const DeviceMemory *memory) { return reinterpret_cast<void *>(memory_of(memory).address); }

bool api_owns(const void *pointer) { return is_device_pointer(pointer); }

halpool_status api_run(const DeviceLaunch &launch, halpool_error *error) {
    return guarded(error, [&] { run(usable_installation(), launch); });
}

}  // namespace
}  // namespace halpool::cuda

extern "C" {
extern const halpool::DeviceApi halpool_device_cuda;
const halpool::DeviceApi halpool_device_cuda = {
    HALPOOL_DEVICE_CUDA,
    "cuda",
    halpool::cuda::api_available,
    halpool::cuda::api_has_feature,
    halpool::cuda::api_limits,
    halpool::cuda::api_create_memory,
    halpool::cuda::api_destroy_memory,
    halpool::cuda::api_upload,
    halpool::cuda::api_download,
    halpool::cuda::api_pointer,
    halpool::cuda::api_owns,
    halpool::cuda::api_run,
};
}
