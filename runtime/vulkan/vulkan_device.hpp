// The Vulkan device of this process: looked for on the first use, chosen once and kept.
//
// Environment
//   HALPOOL_VULKAN_DEVICE      a part of a device's name in any case, or cpu, discrete, integrated, virtual: the
//   only
//                              device to take. A CPU device (lavapipe) is never taken without it.
//   HALPOOL_VULKAN_VALIDATION  1: run under VK_LAYER_KHRONOS_validation with synchronisation validation. Each
//   message
//                              is printed to stderr, and every call from then on fails with it.
#ifndef HALPOOL_RUNTIME_VULKAN_DEVICE_HPP
#define HALPOOL_RUNTIME_VULKAN_DEVICE_HPP

#include "vulkan_loader.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

namespace halpool::vulkan {

// What kernels may need beyond Vulkan 1.1's core; all that the device has are enabled.
struct Features {
    bool int8, int16, int64, float16, float64;  // arithmetic, and (8 and 16 bits) storage buffers of the type
    bool local_size_id;                         // work group sizes given by specialisation constants
};

class Device {
public:
    Functions vk;
    VkInstance instance = VK_NULL_HANDLE;
    VkDebugUtilsMessengerEXT messenger = VK_NULL_HANDLE;  // with HALPOOL_VULKAN_VALIDATION
    VkPhysicalDevice physical = VK_NULL_HANDLE;
    VkDevice handle = VK_NULL_HANDLE;
    VkQueue queue = VK_NULL_HANDLE;
    std::uint32_t queue_family = 0;

    std::string name;
    std::uint32_t version = 0;  // VK_API_VERSION_..., of loader and device the lesser
    VkPhysicalDeviceLimits limits{};
    VkDeviceSize most_memory_of_an_allocation = 0;
    VkPhysicalDeviceMemoryProperties memory{};
    std::uint64_t loop_iterations = 0;  // see DeviceLimits
    Features features{};

    std::mutex queue_mutex;
    std::atomic<std::uint32_t> allocations{0};  // of VkDeviceMemory
    std::atomic<bool> destroyed{false};         // with all its memory: the program is ending

    // Throws Failure unless `result` is VK_SUCCESS. VK_ERROR_DEVICE_LOST loses the device.
    void check(VkResult result, const char *call);

    // From here on every use of the device fails with `why`, and touches it no more.
    void lose(const std::string &why);
    bool lost() const { return lost_.load(std::memory_order_acquire); }
    const std::string &why_lost() const { return why_lost_; }  // when lost

private:
    std::mutex loss_mutex_;
    std::atomic<bool> lost_{false};
    std::string why_lost_;
};

// Throws Failure: there is no device, it was lost, or this process was forked from one that used it.
Device &device();

// Whether device() returns; *reason, never null, lives as long as the program.
bool available(const char **reason);

// To ask for properties alone: the device that was found, lost or not; null where none was, or was looked for yet.
const Device *known_device();

// Drivers do not survive fork: whether this process is a child of one that had begun to use Vulkan. The first
// call, by whatever else here, is such a beginning.
bool forked_after_use();

// Throws Failure when the validation layer had anything to say, since the process began.
void require_no_validation_message();

std::string version_text(std::uint32_t version);  // "1.3"

}  // namespace halpool::vulkan

#endif
