// The functions of Vulkan that we call, found at run time: a program that holds this code starts where there is no
// Vulkan at all.
#ifndef HALPOOL_RUNTIME_VULKAN_LOADER_HPP
#define HALPOOL_RUNTIME_VULKAN_LOADER_HPP

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include <string>

#define HALPOOL_VULKAN_LOADER_FUNCTIONS(X) \
    X(EnumerateInstanceVersion) X(EnumerateInstanceLayerProperties) X(CreateInstance)

#define HALPOOL_VULKAN_INSTANCE_FUNCTIONS(X)                                                                      \
    X(DestroyInstance) X(EnumeratePhysicalDevices) X(GetPhysicalDeviceProperties) X(GetPhysicalDeviceProperties2) \
    X(GetPhysicalDeviceFeatures2) X(GetPhysicalDeviceMemoryProperties) X(GetPhysicalDeviceQueueFamilyProperties)  \
    X(CreateDevice) X(GetDeviceProcAddr)

#define HALPOOL_VULKAN_DEVICE_FUNCTIONS(X)                                                                      \
    X(DestroyDevice) X(DeviceWaitIdle) X(GetDeviceQueue) X(QueueSubmit)                                         \
    X(CreateBuffer) X(DestroyBuffer) X(GetBufferMemoryRequirements) X(BindBufferMemory)                         \
    X(AllocateMemory) X(FreeMemory) X(MapMemory) X(FlushMappedMemoryRanges) X(InvalidateMappedMemoryRanges)     \
    X(CreateCommandPool) X(DestroyCommandPool) X(ResetCommandPool) X(AllocateCommandBuffers)                    \
    X(BeginCommandBuffer) X(EndCommandBuffer)                                                                   \
    X(CmdBindPipeline) X(CmdBindDescriptorSets) X(CmdDispatch) X(CmdCopyBuffer) X(CmdPipelineBarrier)           \
    X(CreateFence) X(DestroyFence) X(ResetFences) X(WaitForFences)                                              \
    X(CreateDescriptorSetLayout) X(DestroyDescriptorSetLayout) X(CreatePipelineLayout) X(DestroyPipelineLayout) \
    X(CreateDescriptorPool) X(DestroyDescriptorPool) X(ResetDescriptorPool) X(AllocateDescriptorSets)           \
    X(UpdateDescriptorSets) X(CreateShaderModule) X(DestroyShaderModule) X(CreateComputePipelines)              \
    X(DestroyPipeline)

namespace halpool::vulkan {

struct Functions {
    PFN_vkGetInstanceProcAddr GetInstanceProcAddr = nullptr;
#define HALPOOL_VULKAN_MEMBER(name) PFN_vk##name name = nullptr;
    HALPOOL_VULKAN_LOADER_FUNCTIONS(HALPOOL_VULKAN_MEMBER)
    HALPOOL_VULKAN_INSTANCE_FUNCTIONS(HALPOOL_VULKAN_MEMBER)
    HALPOOL_VULKAN_DEVICE_FUNCTIONS(HALPOOL_VULKAN_MEMBER)
#undef HALPOOL_VULKAN_MEMBER

    // Each returns an empty text, or says in words what is missing.
    std::string load_loader();
    std::string load_instance(VkInstance instance);
    std::string load_device(VkDevice device);
};

}  // namespace halpool::vulkan

#endif
