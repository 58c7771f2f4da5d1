// What faulty_vulkan_loader.cpp, a libvulkan.so.1 that hands calls on to the real one, tells a test besides
// Vulkan's own functions.
//
// HALPOOL_REAL_VULKAN is the path of the real one. HALPOOL_FAULTY_VULKAN says how this one differs from it at
// first; it holds settings with spaces between them, most of which are read at each call:
//   loader=1.0          the version of the loader
//   devices=cpu,virtual the devices that there are, by their types, called "Fake cpu 0", "Fake virtual 1", ...;
//                       each is made of the machine's CPU device, or else of its first. Empty: none. Unset: that
//                       one device, as it is
//   version=1.0         the devices' version
//   queues=graphics     the queues do not compute
//   memory=staged       the host cannot reach the devices' own memory
//   memory=incoherent   the host's view of memory and the device's are two, until flushed and invalidated
//   memory=both
//   buffer_bytes=4096   limits: maxStorageBufferRange, maxComputeWorkGroupInvocations, maxMemoryAllocationCount
//   threads=32
//   allocations=8
//   invalid_usage=1     vkCreateBuffer gets a usage that is against the rules (and that the validation layer sees)
//   vkQueueSubmit=-4    what every call of that function returns, in place of doing anything
//                       (vkWaitForFences waits first)
#ifndef HALPOOL_TESTS_FAULTY_VULKAN_LOADER_HPP
#define HALPOOL_TESTS_FAULTY_VULKAN_LOADER_HPP

#include <string>

namespace halpool_test {

struct FaultyVulkan {
    virtual void set(const std::string &settings) = 0;  // from here on
    virtual int calls(const std::string &function) = 0;
    virtual int calls() = 0;               // of all functions
    virtual int memory_allocations() = 0;  // that were not freed

protected:
    ~FaultyVulkan() = default;
};

// The library's symbol for a function `FaultyVulkan *()`.
inline constexpr const char *kFaultyVulkanSymbol = "halpool_faulty_vulkan";

}  // namespace halpool_test

#endif
