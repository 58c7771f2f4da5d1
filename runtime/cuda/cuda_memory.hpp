// Device memory of our own, and what the driver knows of a caller's pointer.
#ifndef HALPOOL_RUNTIME_CUDA_MEMORY_HPP
#define HALPOOL_RUNTIME_CUDA_MEMORY_HPP

#include "cuda_devices.hpp"

#include <cstddef>
#include <cstdint>

namespace halpool::cuda {

// What a DeviceMemory * of this device points to.
struct Memory {
    const Device *device;
    CUdeviceptr address;
    std::size_t bytes;
};

inline const Memory &memory_of(const DeviceMemory *memory) { return *reinterpret_cast<const Memory *>(memory); }

DeviceMemory *create_memory(std::size_t bytes);
void destroy_memory(DeviceMemory *memory) noexcept;

// Both wait for all work of the device before they copy, whatever stream it runs on, and return when the copy is
// done.
void upload(const Memory &memory, std::size_t offset, const void *from, std::size_t bytes);
void download(const Memory &memory, std::size_t offset, void *to, std::size_t bytes);

// Whether a pointer is one of device memory or managed memory. Cheap in a process that does not use CUDA, and
// never starts CUDA there.
bool is_device_pointer(const void *pointer) noexcept;

inline CUdeviceptr address_of(const DeviceRange &range) {
    return (range.memory ? memory_of(range.memory).address : range.address) + range.offset;
}

// The device whose kernels can work on both ranges. Throws a Failure where a range is not wholly CUDA memory, or
// where there is no such device.
const Device &device_of(const Installation &cuda, const DeviceRange &input, const DeviceRange &output);

}  // namespace halpool::cuda

#endif
