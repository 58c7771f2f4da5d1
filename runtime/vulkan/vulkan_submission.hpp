// Work for the device: recorded, submitted to the queue and waited for.
#ifndef HALPOOL_RUNTIME_VULKAN_SUBMISSION_HPP
#define HALPOOL_RUNTIME_VULKAN_SUBMISSION_HPP

#include "vulkan_device.hpp"
#include "vulkan_memory.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace halpool::vulkan {

constexpr std::uint32_t kMostStorageBuffers = 4;  // of a dispatch; every device allows that many

struct Dispatch {
    VkPipeline pipeline;
    VkPipelineLayout layout;
    VkDescriptorSetLayout set_layout;
    // Bindings: the scalars, if there are any, as a uniform buffer, then the storage buffers.
    const std::byte *scalars;
    std::size_t scalar_bytes;
    std::array<VkDescriptorBufferInfo, kMostStorageBuffers> storage;
    std::uint32_t storage_count;
    std::array<std::uint32_t, 3> blocks;
};

// A command buffer and what its commands need, for one thread at a time. Everything throws Failure.
class Submission {
public:
    explicit Submission(Device &device);
    ~Submission();
    Submission(const Submission &) = delete;
    Submission &operator=(const Submission &) = delete;

    // Records it, behind those before it: each sees what the earlier ones wrote.
    void dispatch(const Dispatch &dispatch);
    // Submits what was recorded, if anything, and waits until it is done and the host can see it.
    void finish();
    // Forgets what was recorded; nothing of it may be at work.
    void discard();

    void upload(VkBuffer to, VkDeviceSize offset, const std::byte *from, VkDeviceSize bytes);
    void download(VkBuffer from, VkDeviceSize offset, std::byte *to, VkDeviceSize bytes);

private:
    void begin();
    void destroy();
    Allocation &staging(VkDeviceSize bytes);

    Device &device_;
    VkCommandPool command_pool_ = VK_NULL_HANDLE;
    VkCommandBuffer commands_ = VK_NULL_HANDLE;
    VkFence fence_ = VK_NULL_HANDLE;
    VkDescriptorPool descriptor_pool_ = VK_NULL_HANDLE;
    std::unique_ptr<Allocation> scalars_, staging_;
    VkDeviceSize staging_bytes_ = 0;
    VkDeviceSize scalars_used_ = 0;
    std::uint32_t dispatches_ = 0;
    bool recording_ = false, used_ = false;
};

// One of the idle submissions, or a new one; idle again at the end of the scope.
class SubmissionLease {
public:
    explicit SubmissionLease(Device &device);
    ~SubmissionLease();
    SubmissionLease(const SubmissionLease &) = delete;
    SubmissionLease &operator=(const SubmissionLease &) = delete;

    Submission *operator->() const { return submission_.get(); }

private:
    Device &device_;
    std::unique_ptr<Submission> submission_;
};

// Before the device is destroyed.
void destroy_idle_submissions();

}  // namespace halpool::vulkan

#endif
