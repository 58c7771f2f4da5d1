// What the runtime asks of a device other than the CPU. Each device has one implementation (runtime/cuda, runtime/vulkan),
// linked only into programs that link its component: the runtime reaches it through the component's KernelComponent.
#ifndef HALPOOL_RUNTIME_DEVICE_API_HPP
#define HALPOOL_RUNTIME_DEVICE_API_HPP

#include <halpool/halpool.h>
#include <halpool/internal/kernel_convention.h>

#include <cstddef>
#include <cstdint>

namespace halpool {

struct DeviceMemory;  // of the device's own making; only the DeviceApi that created it looks inside

struct DeviceLimits {
    std::uint64_t buffer_bytes;     // the most that one buffer of a kernel may span
    std::uint64_t blocks;           // the most thread blocks (work groups) of a launch, along x
    std::uint32_t threads;          // the most threads of a block (invocations of a work group)
    std::uint32_t shared_bytes;     // the most shared memory of a block
    std::uint32_t offset_alignment; // bytes; a tensor's offset in its memory must be a multiple of it
    std::uint64_t loop_iterations;  // of one thread's loops, after which the device leaves them silently; 0: any number
};

// A run of bytes on the device: [offset, offset + bytes) of `memory`, or, where the device has pointers and memory is
// null, of what lies at `address`. KernelBuffer::device of a device kernel's buffers is the address of one of these.
struct DeviceRange {
    DeviceMemory *memory;
    std::uint64_t address;
    std::uint64_t offset, bytes;
};

struct DeviceLaunch {
    KernelEntry entry;
    void **arguments;            // kDeviceKernelArgumentCount; `run` fills in kUserContext
    const DeviceRange *input, *output;
    void *stream;                // CUstream; nullptr: the default stream
    bool prepare_only;           // load the code and make everything ready, but launch nothing; ranges may be null
};

// No function throws or aborts, whatever the driver does. Those with `error` fill it when it is not null, as halpool.h
// says. All may be called from any thread at once.
struct DeviceApi {
    std::int32_t device;  // a halpool_device
    const char *name;     // "cuda"

    // Whether there is a device to run on. *reason says which one, or in words what is missing; it lives as long as the
    // program. Found out on the first call and kept.
    bool (*available)(const char **reason);
    // Whether the device has a feature named in schedules/targets.json; false when not available.
    bool (*has_feature)(const char *name);
    DeviceLimits (*limits)();  // when available

    halpool_status (*create_memory)(std::size_t bytes, DeviceMemory **memory, halpool_error *error);
    void (*destroy_memory)(DeviceMemory *memory);
    halpool_status (*upload)(DeviceMemory *memory, std::size_t offset, const void *from, std::size_t bytes,
                             halpool_error *error);
    halpool_status (*download)(const DeviceMemory *memory, std::size_t offset, void *to, std::size_t bytes,
                               halpool_error *error);
    // The device's pointer to the memory's first byte, or null where the device has none to show (Vulkan).
    void *(*pointer)(const DeviceMemory *memory);
    // Whether a pointer of a caller's points into this device's memory. Null where the device has no pointers.
    bool (*owns)(const void *pointer);

    // Calls the kernel. Where the device is asynchronous (CUDA) it returns when the work is queued on the stream.
    halpool_status (*run)(const DeviceLaunch &launch, halpool_error *error);
};

}  // namespace halpool

#endif
