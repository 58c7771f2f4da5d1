// Memory of the device: buffers, each in an allocation of its own.
#ifndef HALPOOL_RUNTIME_VULKAN_MEMORY_HPP
#define HALPOOL_RUNTIME_VULKAN_MEMORY_HPP

#include "vulkan_device.hpp"

#include <cstddef>

namespace halpool::vulkan {

// A buffer and the memory behind it. Freed when the last use by the device has finished, by destroying it.
class Allocation {
public:
    enum class Place {
        device,  // the fastest for kernels; mapped where the host reads and writes it as fast as its own
        host,    // always mapped
    };

    // Throws Failure. Any number of bytes.
    Allocation(Device &device, VkDeviceSize bytes, VkBufferUsageFlags usage, Place place);
    ~Allocation();
    Allocation(const Allocation &) = delete;
    Allocation &operator=(const Allocation &) = delete;

    VkBuffer buffer() const { return buffer_; }
    std::byte *mapped() const { return mapped_; }  // null: the host cannot reach it

    // Of mapped memory: make the host's writes visible to the device, and the device's to the host.
    void flush(VkDeviceSize offset, VkDeviceSize bytes) const;
    void invalidate(VkDeviceSize offset, VkDeviceSize bytes) const;

private:
    void allocate(VkBufferUsageFlags usage, Place place);
    void free();
    VkMappedMemoryRange atoms(VkDeviceSize offset, VkDeviceSize bytes) const;

    Device &device_;
    VkDeviceSize size_;  // of the memory
    VkBuffer buffer_ = VK_NULL_HANDLE;
    VkDeviceMemory memory_ = VK_NULL_HANDLE;
    std::byte *mapped_ = nullptr;
    bool coherent_ = false;
};

// What halpool_memory_create gives on this device: `bytes` that the caller asked for.
struct Memory {
    Memory(Device &device, std::size_t bytes);

    void upload(std::size_t offset, const void *from, std::size_t count);
    void download(std::size_t offset, void *to, std::size_t count) const;

    Device &device;
    const std::size_t bytes;
    Allocation allocation;
};

}  // namespace halpool::vulkan

#endif
