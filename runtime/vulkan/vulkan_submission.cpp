#include "vulkan_submission.hpp"

#include "failure.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace halpool::vulkan {
namespace {

constexpr std::uint32_t kMostDispatches = 64;      // of one submission; a kernel of more is submitted in pieces
constexpr VkDeviceSize kScalarBytes = 16 * 1024;   // of one submission; the least maxUniformBufferRange
constexpr VkDeviceSize kStagingBytes = 16u << 20;  // a larger copy goes in pieces

VkDeviceSize round_up(VkDeviceSize value, VkDeviceSize multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

void barrier(const Functions &vk, VkCommandBuffer commands, VkPipelineStageFlags from, VkAccessFlags written,
             VkPipelineStageFlags to, VkAccessFlags accessed) {
    VkMemoryBarrier memory{};
    memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    memory.srcAccessMask = written;
    memory.dstAccessMask = accessed;
    vk.CmdPipelineBarrier(commands, from, to, 0, 1, &memory, 0, nullptr, 0, nullptr);
}

constexpr VkPipelineStageFlags kCompute = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                               kTransfer = VK_PIPELINE_STAGE_TRANSFER_BIT;

// Leaked, so that no order of destructors matters; destroy_idle_submissions empties it.
struct Idle {
    std::mutex mutex;
    std::vector<std::unique_ptr<Submission>> submissions;
};
Idle &idle() {
    static Idle *const idle = new Idle;
    return *idle;
}

}  // namespace

Submission::Submission(Device &device) : device_(device) {
    const Functions &vk = device.vk;
    VkCommandPoolCreateInfo command_pool{};
    command_pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    command_pool.flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT;
    command_pool.queueFamilyIndex = device.queue_family;
    const VkFenceCreateInfo fence{VK_STRUCTURE_TYPE_FENCE_CREATE_INFO, nullptr, 0};
    const VkDescriptorPoolSize sizes[] = {
        {VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, kMostDispatches},
        {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, kMostDispatches * kMostStorageBuffers}};
    VkDescriptorPoolCreateInfo descriptor_pool{};
    descriptor_pool.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    descriptor_pool.maxSets = kMostDispatches;
    descriptor_pool.poolSizeCount = 2;
    descriptor_pool.pPoolSizes = sizes;
    try {
        device.check(vk.CreateCommandPool(device.handle, &command_pool, nullptr, &command_pool_),
                     "vkCreateCommandPool");
        VkCommandBufferAllocateInfo commands{};
        commands.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
        commands.commandPool = command_pool_;
        commands.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
        commands.commandBufferCount = 1;
        device.check(vk.AllocateCommandBuffers(device.handle, &commands, &commands_), "vkAllocateCommandBuffers");
        device.check(vk.CreateFence(device.handle, &fence, nullptr, &fence_), "vkCreateFence");
        device.check(vk.CreateDescriptorPool(device.handle, &descriptor_pool, nullptr, &descriptor_pool_),
                     "vkCreateDescriptorPool");
        scalars_ = std::make_unique<Allocation>(device, kScalarBytes, VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
                                                Allocation::Place::host);
    } catch (...) {
        destroy();
        throw;
    }
}

Submission::~Submission() { destroy(); }

void Submission::destroy() {
    const Functions &vk = device_.vk;
    vk.DestroyDescriptorPool(device_.handle, descriptor_pool_, nullptr);
    vk.DestroyFence(device_.handle, fence_, nullptr);
    vk.DestroyCommandPool(device_.handle, command_pool_, nullptr);
}

void Submission::begin() {
    if (recording_) return;
    used_ = true;
    VkCommandBufferBeginInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    info.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    device_.check(device_.vk.BeginCommandBuffer(commands_, &info), "vkBeginCommandBuffer");
    recording_ = true;
    // Behind all that was submitted before, by any thread. What the host wrote, submission itself makes visible.
    barrier(device_.vk, commands_, kCompute | kTransfer, VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
            kCompute | kTransfer,
            VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                VK_ACCESS_TRANSFER_WRITE_BIT);
}

void Submission::discard() {
    if (!used_) return;
    used_ = recording_ = false;
    dispatches_ = 0;
    scalars_used_ = 0;
    device_.check(device_.vk.ResetCommandPool(device_.handle, command_pool_, 0), "vkResetCommandPool");
    device_.check(device_.vk.ResetDescriptorPool(device_.handle, descriptor_pool_, 0), "vkResetDescriptorPool");
}

void Submission::dispatch(const Dispatch &dispatch) {
    const Functions &vk = device_.vk;
    const VkDeviceSize scalar_bytes =
        round_up(dispatch.scalar_bytes, 16);  // a uniform block's size is a multiple of it
    require(scalar_bytes <= kScalarBytes, HALPOOL_ERROR_INTERNAL, "a Vulkan kernel takes ", scalar_bytes,
            " bytes of scalars");
    VkDeviceSize scalars_at = round_up(scalars_used_, device_.limits.minUniformBufferOffsetAlignment);
    if (dispatches_ == kMostDispatches || scalars_at + scalar_bytes > kScalarBytes) {
        finish();
        scalars_at = 0;
    }
    begin();
    if (dispatches_ > 0) {
        barrier(vk, commands_, kCompute, VK_ACCESS_SHADER_WRITE_BIT, kCompute,
                VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT);
    }

    VkDescriptorSetAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    allocate.descriptorPool = descriptor_pool_;
    allocate.descriptorSetCount = 1;
    allocate.pSetLayouts = &dispatch.set_layout;
    VkDescriptorSet set = VK_NULL_HANDLE;
    device_.check(vk.AllocateDescriptorSets(device_.handle, &allocate, &set), "vkAllocateDescriptorSets");

    std::array<VkWriteDescriptorSet, 1 + kMostStorageBuffers> writes{};
    std::uint32_t bindings = 0;
    const auto write = [&](VkDescriptorType type, const VkDescriptorBufferInfo &buffer) {
        VkWriteDescriptorSet &one = writes[bindings];
        one.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
        one.dstSet = set;
        one.dstBinding = bindings++;
        one.descriptorCount = 1;
        one.descriptorType = type;
        one.pBufferInfo = &buffer;
    };
    const VkDescriptorBufferInfo scalars{scalars_->buffer(), scalars_at, scalar_bytes};
    if (scalar_bytes > 0) {
        std::memcpy(scalars_->mapped() + scalars_at, dispatch.scalars, dispatch.scalar_bytes);
        scalars_used_ = scalars_at + scalar_bytes;
        write(VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, scalars);
    }
    for (std::uint32_t i = 0; i < dispatch.storage_count; ++i)
        write(VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, dispatch.storage[i]);
    vk.UpdateDescriptorSets(device_.handle, bindings, writes.data(), 0, nullptr);

    vk.CmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, dispatch.pipeline);
    vk.CmdBindDescriptorSets(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, dispatch.layout, 0, 1, &set, 0, nullptr);
    vk.CmdDispatch(commands_, dispatch.blocks[0], dispatch.blocks[1], dispatch.blocks[2]);
    ++dispatches_;
}

void Submission::finish() {
    if (!recording_) return;
    const Functions &vk = device_.vk;
    barrier(vk, commands_, kCompute | kTransfer, VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
            VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    recording_ = false;
    device_.check(vk.EndCommandBuffer(commands_), "vkEndCommandBuffer");
    if (scalars_used_ > 0) scalars_->flush(0, scalars_used_);
    VkSubmitInfo submit{};
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &commands_;
    {
        const std::lock_guard lock(device_.queue_mutex);
        device_.check(vk.QueueSubmit(device_.queue, 1, &submit, fence_), "vkQueueSubmit");
    }
    const VkResult result = vk.WaitForFences(device_.handle, 1, &fence_, VK_TRUE, ~std::uint64_t{0});
    if (result != VK_SUCCESS && result != VK_ERROR_DEVICE_LOST) {
        // Nobody can tell now when the device is done with the memory that the caller will free.
        device_.lose("vkWaitForFences failed on " + device_.name + ": what the device still does cannot be known");
    }
    device_.check(result, "vkWaitForFences");
    device_.check(vk.ResetFences(device_.handle, 1, &fence_), "vkResetFences");
    discard();
}

Allocation &Submission::staging(VkDeviceSize bytes) {
    if (staging_bytes_ < bytes) {
        staging_.reset();
        staging_bytes_ = 0;
        staging_ = std::make_unique<Allocation>(
            device_, bytes, VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
            Allocation::Place::host);
        staging_bytes_ = bytes;
    }
    return *staging_;
}

void Submission::upload(VkBuffer to, VkDeviceSize offset, const std::byte *from, VkDeviceSize bytes) {
    const Allocation &stage = staging(std::min(bytes, kStagingBytes));
    for (VkDeviceSize done = 0; done < bytes; done += kStagingBytes) {
        const VkDeviceSize piece = std::min(bytes - done, kStagingBytes);
        std::memcpy(stage.mapped(), from + done, piece);
        stage.flush(0, piece);
        begin();
        const VkBufferCopy copy{0, offset + done, piece};
        device_.vk.CmdCopyBuffer(commands_, stage.buffer(), to, 1, &copy);
        finish();
    }
}

void Submission::download(VkBuffer from, VkDeviceSize offset, std::byte *to, VkDeviceSize bytes) {
    const Allocation &stage = staging(std::min(bytes, kStagingBytes));
    for (VkDeviceSize done = 0; done < bytes; done += kStagingBytes) {
        const VkDeviceSize piece = std::min(bytes - done, kStagingBytes);
        begin();
        const VkBufferCopy copy{offset + done, 0, piece};
        device_.vk.CmdCopyBuffer(commands_, from, stage.buffer(), 1, &copy);
        finish();
        stage.invalidate(0, piece);
        std::memcpy(to + done, stage.mapped(), piece);
    }
}

void destroy_idle_submissions() {
    const std::lock_guard lock(idle().mutex);
    idle().submissions.clear();
}

SubmissionLease::SubmissionLease(Device &device) : device_(device) {
    {
        const std::lock_guard lock(idle().mutex);
        if (!idle().submissions.empty()) {
            submission_ = std::move(idle().submissions.back());
            idle().submissions.pop_back();
        }
    }
    if (!submission_) submission_ = std::make_unique<Submission>(device);
}

SubmissionLease::~SubmissionLease() {
    if (device_.lost()) {
        static_cast<void>(submission_.release());  // the device may still read what it holds
        return;
    }
    try {
        submission_->discard();
        const std::lock_guard lock(idle().mutex);
        idle().submissions.push_back(std::move(submission_));
    } catch (...) {
        // Not reused, then; destroyed here if it still can be.
    }
}

}  // namespace halpool::vulkan
