#include "vulkan_memory.hpp"

#include "failure.hpp"
#include "vulkan_submission.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

namespace halpool::vulkan {
namespace {

// Sizes are rounded up to this: at least the atom of a flush, so that a range rounded to atoms stays inside its
// memory, and more than a vector of a kernel.
constexpr VkDeviceSize kGranularity = 256;

VkDeviceSize round_up(VkDeviceSize value, VkDeviceSize multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                kVisible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT,
                                kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
                                kCoherent = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
// Memory that cannot hold a buffer, or may be used only by those who enable a feature for it.
constexpr VkMemoryPropertyFlags kSpecial =
    VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | VK_MEMORY_PROPERTY_PROTECTED_BIT |
    VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD |
    VK_MEMORY_PROPERTY_RDMA_CAPABLE_BIT_NV;

std::optional<std::uint32_t> find_type(const VkPhysicalDeviceMemoryProperties &memory, std::uint32_t allowed,
                                       VkMemoryPropertyFlags with, VkMemoryPropertyFlags without) {
    for (std::uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
        const VkMemoryPropertyFlags flags = memory.memoryTypes[i].propertyFlags;
        if ((allowed >> i & 1u) && (flags & with) == with && !(flags & (without | kSpecial))) return i;
    }
    return std::nullopt;
}

std::uint32_t choose_type(const VkPhysicalDeviceMemoryProperties &memory, std::uint32_t allowed,
                          Allocation::Place place) {
    struct Wish {
        VkMemoryPropertyFlags with, without;
    };
    // Local memory that the host sees but does not cache (a GPU's, over the bus) is read by the host at a crawl:
    // copies through a staging buffer are faster.
    constexpr Wish device[] = {{kLocal | kVisible | kCached, 0}, {kLocal, kVisible}, {kLocal, 0}, {0, 0}};
    constexpr Wish host[] = {{kVisible | kCached | kCoherent, 0}, {kVisible | kCached, 0}, {kVisible, 0}};
    std::optional<std::uint32_t> type;
    if (place == Allocation::Place::device) {
        for (const Wish &wish : device) {
            if (!type) type = find_type(memory, allowed, wish.with, wish.without);
        }
    } else {
        for (const Wish &wish : host) {
            if (!type) type = find_type(memory, allowed, wish.with, wish.without);
        }
    }
    require(type.has_value(), HALPOOL_ERROR_DEVICE, "the Vulkan driver offers no memory for a buffer");
    return *type;
}

}  // namespace

Allocation::Allocation(Device &device, VkDeviceSize bytes, VkBufferUsageFlags usage, Place place)
    : device_(device), size_(0) {
    const VkDeviceSize granularity = std::max(kGranularity, device.limits.nonCoherentAtomSize);
    // Below the limit by its granularity, so that rounding up cannot pass it, nor overflow.
    const VkDeviceSize most =
        std::min<VkDeviceSize>(device.most_memory_of_an_allocation, std::numeric_limits<std::int64_t>::max());
    require(bytes <= most - std::min(most, granularity), HALPOOL_ERROR_OUT_OF_MEMORY, "an allocation of ", bytes,
            " bytes was asked for; ", device.name, " allows ", most);
    size_ = round_up(std::max<VkDeviceSize>(bytes, 1), granularity);
    try {
        allocate(usage, place);
    } catch (...) {
        free();
        throw;
    }
}

Allocation::~Allocation() { free(); }

void Allocation::allocate(VkBufferUsageFlags usage, Place place) {
    const Functions &vk = device_.vk;
    VkBufferCreateInfo buffer{};
    buffer.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    buffer.size = size_;
    buffer.usage = usage;
    buffer.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
    device_.check(vk.CreateBuffer(device_.handle, &buffer, nullptr, &buffer_), "vkCreateBuffer");
    VkMemoryRequirements requirements{};
    vk.GetBufferMemoryRequirements(device_.handle, buffer_, &requirements);

    VkMemoryAllocateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
    info.memoryTypeIndex = choose_type(device_.memory, requirements.memoryTypeBits, place);
    size_ = info.allocationSize =
        round_up(requirements.size, std::max(kGranularity, device_.limits.nonCoherentAtomSize));
    const std::uint32_t before = device_.allocations.fetch_add(1);
    VkResult result = VK_ERROR_TOO_MANY_OBJECTS;
    if (before < device_.limits.maxMemoryAllocationCount) {
        result = vk.AllocateMemory(device_.handle, &info, nullptr, &memory_);
    }
    if (result != VK_SUCCESS) {
        memory_ = VK_NULL_HANDLE;
        device_.allocations.fetch_sub(1);
    }
    require(result != VK_ERROR_TOO_MANY_OBJECTS, HALPOOL_ERROR_OUT_OF_MEMORY, device_.name, " allows ",
            device_.limits.maxMemoryAllocationCount, " allocations at a time, and ", before,
            " are in use: destroy some memory, or share one between tensors by offsets");
    require(result != VK_ERROR_OUT_OF_DEVICE_MEMORY && result != VK_ERROR_OUT_OF_HOST_MEMORY,
            HALPOOL_ERROR_OUT_OF_MEMORY, device_.name, " has no ", size_, " bytes of memory left");
    device_.check(result, "vkAllocateMemory");
    device_.check(vk.BindBufferMemory(device_.handle, buffer_, memory_, 0), "vkBindBufferMemory");

    const VkMemoryPropertyFlags flags = device_.memory.memoryTypes[info.memoryTypeIndex].propertyFlags;
    coherent_ = (flags & kCoherent) != 0;
    if (place == Place::host || (flags & (kVisible | kCached)) == (kVisible | kCached)) {
        void *mapped = nullptr;
        device_.check(vk.MapMemory(device_.handle, memory_, 0, VK_WHOLE_SIZE, 0, &mapped), "vkMapMemory");
        mapped_ = static_cast<std::byte *>(mapped);
    }
}

// Also of a lost device: what was allocated must still be freed, and mapped memory is the host's own.
void Allocation::free() {
    device_.vk.DestroyBuffer(device_.handle, buffer_, nullptr);
    if (memory_ == VK_NULL_HANDLE) return;
    device_.vk.FreeMemory(device_.handle, memory_, nullptr);
    device_.allocations.fetch_sub(1);
}

VkMappedMemoryRange Allocation::atoms(VkDeviceSize offset, VkDeviceSize bytes) const {
    const VkDeviceSize atom = std::max<VkDeviceSize>(device_.limits.nonCoherentAtomSize, 1);
    VkMappedMemoryRange range{};
    range.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE;
    range.memory = memory_;
    range.offset = offset / atom * atom;
    range.size = std::min(round_up(offset + bytes, atom), size_) - range.offset;
    return range;
}

void Allocation::flush(VkDeviceSize offset, VkDeviceSize bytes) const {
    if (coherent_) return;
    const VkMappedMemoryRange range = atoms(offset, bytes);
    device_.check(device_.vk.FlushMappedMemoryRanges(device_.handle, 1, &range), "vkFlushMappedMemoryRanges");
}

void Allocation::invalidate(VkDeviceSize offset, VkDeviceSize bytes) const {
    if (coherent_) return;
    const VkMappedMemoryRange range = atoms(offset, bytes);
    device_.check(device_.vk.InvalidateMappedMemoryRanges(device_.handle, 1, &range),
                  "vkInvalidateMappedMemoryRanges");
}

// ---- Memory ----

Memory::Memory(Device &on, std::size_t count)
    : device(on),
      bytes(count),
      allocation(
          on, count,
          VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
          Allocation::Place::device) {}

void Memory::upload(std::size_t offset, const void *from, std::size_t count) {
    if (allocation.mapped()) {
        std::memcpy(allocation.mapped() + offset, from, count);
        allocation.flush(offset, count);
    } else {
        SubmissionLease(device)->upload(allocation.buffer(), offset, static_cast<const std::byte *>(from), count);
    }
}

void Memory::download(std::size_t offset, void *to, std::size_t count) const {
    if (allocation.mapped()) {
        allocation.invalidate(offset, count);
        std::memcpy(to, allocation.mapped() + offset, count);
    } else {
        SubmissionLease(device)->download(allocation.buffer(), offset, static_cast<std::byte *>(to), count);
    }
}

}  // namespace halpool::vulkan
