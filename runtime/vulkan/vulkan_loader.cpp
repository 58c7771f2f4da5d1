#include "vulkan_loader.hpp"

#include <dlfcn.h>

namespace halpool::vulkan {
namespace {

std::string lacks(const char *name) { return std::string("the Vulkan loader or driver lacks vk") + name; }

}  // namespace

std::string Functions::load_loader() {
    // Never closed: drivers keep threads and exit handlers that a later call to dlclose would pull the code from
    // under.
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        return std::string("the Vulkan loader cannot be loaded (") + (why ? why : "libvulkan.so.1") +
               "); install it together with a GPU driver (Debian: libvulkan1)";
    }
    GetInstanceProcAddr = reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
    if (!GetInstanceProcAddr) return lacks("GetInstanceProcAddr");

    EnumerateInstanceVersion = reinterpret_cast<PFN_vkEnumerateInstanceVersion>(
        GetInstanceProcAddr(nullptr, "vkEnumerateInstanceVersion"));
    if (!EnumerateInstanceVersion) return "the Vulkan loader is of version 1.0; version 1.1 is needed";
#define HALPOOL_VULKAN_LOAD(name)                                                    \
    name = reinterpret_cast<PFN_vk##name>(GetInstanceProcAddr(nullptr, "vk" #name)); \
    if (!name) return lacks(#name);
    HALPOOL_VULKAN_LOADER_FUNCTIONS(HALPOOL_VULKAN_LOAD)
#undef HALPOOL_VULKAN_LOAD
    return "";
}

std::string Functions::load_instance(VkInstance instance) {
#define HALPOOL_VULKAN_LOAD(name)                                                     \
    name = reinterpret_cast<PFN_vk##name>(GetInstanceProcAddr(instance, "vk" #name)); \
    if (!name) return lacks(#name);
    HALPOOL_VULKAN_INSTANCE_FUNCTIONS(HALPOOL_VULKAN_LOAD)
#undef HALPOOL_VULKAN_LOAD
    return "";
}

std::string Functions::load_device(VkDevice device) {
#define HALPOOL_VULKAN_LOAD(name)                                                 \
    name = reinterpret_cast<PFN_vk##name>(GetDeviceProcAddr(device, "vk" #name)); \
    if (!name) return lacks(#name);
    HALPOOL_VULKAN_DEVICE_FUNCTIONS(HALPOOL_VULKAN_LOAD)
#undef HALPOOL_VULKAN_LOAD
    return "";
}

}  // namespace halpool::vulkan
