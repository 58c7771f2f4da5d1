// Memory that halpool allocates for a caller, on the CPU or on a device (halpool_memory_create).
#ifndef HALPOOL_RUNTIME_MEMORY_HPP
#define HALPOOL_RUNTIME_MEMORY_HPP

#include "device_api.hpp"

namespace halpool {

class Memory {
public:
    Memory(std::int32_t device, std::size_t bytes);  // throws Failure and std::bad_alloc
    ~Memory();
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;

    std::size_t size() const { return bytes_; }
    std::int32_t device() const;
    void *pointer() const;  // null where the device has none to show
    DeviceMemory *device_memory() const { return device_memory_; }

    // Throw Failure.
    void upload(std::size_t offset, const void *from, std::size_t bytes);
    void download(std::size_t offset, void *to, std::size_t bytes) const;

private:
    void check(std::size_t offset, std::size_t bytes, const void *host) const;

    const DeviceApi *api_;  // null: the CPU
    std::size_t bytes_;
    DeviceMemory *device_memory_ = nullptr;
    void *host_ = nullptr;
};

}  // namespace halpool

#endif
