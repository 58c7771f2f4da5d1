// The Vulkan device as the runtime sees it (device_api.hpp). No exception leaves this file.
#include "device_api.hpp"
#include "failure.hpp"
#include "vulkan_device.hpp"
#include "vulkan_kernels.hpp"
#include "vulkan_memory.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

namespace halpool::vulkan {
namespace {

// body(device)
template <class Body>
halpool_status with_device(halpool_error *error, Body body) noexcept {
    return guarded(error, [&] {
        body(device());
        require_no_validation_message();
    });
}

const Memory *as_memory(const DeviceMemory *memory) { return reinterpret_cast<const Memory *>(memory); }
Memory *as_memory(DeviceMemory *memory) { return reinterpret_cast<Memory *>(memory); }

void check_copy(const DeviceMemory *memory, std::size_t offset, const void *host, std::size_t bytes) {
    require(memory != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "memory is a null pointer");
    const std::size_t size = as_memory(memory)->bytes;
    require(offset <= size && bytes <= size - offset, HALPOOL_ERROR_INVALID_ARGUMENT, bytes, " bytes at offset ",
            offset, " do not lie in memory of ", size, " bytes");
    require(host != nullptr || bytes == 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the host's data is a null pointer");
}

bool is_available(const char **reason) noexcept {
    const char *ignored;
    try {
        return available(reason ? reason : &ignored);
    } catch (...) {  // which the first call alone can do
        if (reason) *reason = "out of memory while looking for a Vulkan device";
        return false;
    }
}

// What the device is, it stays when it is lost.
const Device *look_for_device() noexcept {
    const char *ignored;
    is_available(&ignored);
    return known_device();
}

bool has_feature(const char *name) noexcept {
    const Device *device = look_for_device();
    if (!name || !device) return false;
    const auto is = [&](const char *feature) { return std::strcmp(name, feature) == 0; };
    const Features &has = device->features;
    return (is("vulkan_1.1") && device->version >= VK_API_VERSION_1_1) ||
           (is("vulkan_1.2") && device->version >= VK_API_VERSION_1_2) ||
           (is("vulkan_1.3") && device->version >= VK_API_VERSION_1_3) || (is("vulkan_int8") && has.int8) ||
           (is("vulkan_int16") && has.int16) || (is("vulkan_int64") && has.int64) ||
           (is("vulkan_float16") && has.float16) || (is("vulkan_float64") && has.float64) ||
           (is("vulkan_local_size_id") && has.local_size_id);
}

DeviceLimits limits() noexcept {
    const Device *device = look_for_device();
    DeviceLimits limits{};
    limits.offset_alignment = 1;  // callers divide by it
    if (!device) return limits;
    const VkPhysicalDeviceLimits &of = device->limits;
    limits.buffer_bytes = of.maxStorageBufferRange;
    limits.blocks = of.maxComputeWorkGroupCount[0];
    limits.threads = std::min(of.maxComputeWorkGroupInvocations, of.maxComputeWorkGroupSize[0]);
    limits.shared_bytes = of.maxComputeSharedMemorySize;
    limits.offset_alignment = static_cast<std::uint32_t>(of.minStorageBufferOffsetAlignment);  // 256 at most
    limits.loop_iterations = device->loop_iterations;
    return limits;
}

halpool_status create_memory(std::size_t bytes, DeviceMemory **memory, halpool_error *error) noexcept {
    if (memory) *memory = nullptr;
    return with_device(error, [&](Device &device) {
        require(memory != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "memory is a null pointer");
        auto made = std::make_unique<Memory>(device, bytes);
        require_no_validation_message();
        *memory = reinterpret_cast<DeviceMemory *>(made.release());
    });
}

void destroy_memory(DeviceMemory *memory) noexcept {
    if (!memory || forked_after_use()) return;  // the parent's; the driver here is a copy that nothing may touch
    if (known_device()->destroyed) return;
    delete as_memory(memory);
}

halpool_status upload(DeviceMemory *memory, std::size_t offset, const void *from, std::size_t bytes,
                      halpool_error *error) noexcept {
    return with_device(error, [&](Device &) {
        check_copy(memory, offset, from, bytes);
        if (bytes > 0) as_memory(memory)->upload(offset, from, bytes);
    });
}

halpool_status download(const DeviceMemory *memory, std::size_t offset, void *to, std::size_t bytes,
                        halpool_error *error) noexcept {
    return with_device(error, [&](Device &) {
        check_copy(memory, offset, to, bytes);
        if (bytes > 0) as_memory(memory)->download(offset, to, bytes);
    });
}

void *pointer(const DeviceMemory *) noexcept { return nullptr; }

halpool_status run(const DeviceLaunch &launch, halpool_error *error) noexcept {
    return with_device(error, [&](Device &device) { run_kernel(device, launch); });
}

}  // namespace
}  // namespace halpool::vulkan

// Declared with C linkage so that its name can be kept when all others are made local.
extern "C" const halpool::DeviceApi halpool_device_vulkan;
extern "C" const halpool::DeviceApi halpool_device_vulkan = {
    HALPOOL_DEVICE_VULKAN,
    "vulkan",
    halpool::vulkan::is_available,
    halpool::vulkan::has_feature,
    halpool::vulkan::limits,
    halpool::vulkan::create_memory,
    halpool::vulkan::destroy_memory,
    halpool::vulkan::upload,
    halpool::vulkan::download,
    halpool::vulkan::pointer,
    nullptr,
    halpool::vulkan::run,
};
