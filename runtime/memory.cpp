#include "memory.hpp"

#include "failure.hpp"
#include "kernel_registry.hpp"

#include <cstdint>
#include <cstring>
#include <new>

namespace halpool {
namespace {

constexpr std::align_val_t kHostAlignment{64};

void require_ok(halpool_status status, const halpool_error &error) {
    if (status != HALPOOL_OK) throw Failure{status, error.message};
}

}  // namespace

Memory::Memory(std::int32_t device, std::size_t bytes) : api_(nullptr), bytes_(bytes) {
    require(device_name(device) != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "device ", device,
            " is none that memory can be created on: name the CPU, CUDA or Vulkan");
    if (device == HALPOOL_DEVICE_CPU) {
        if (bytes > PTRDIFF_MAX) throw std::bad_alloc();  // which an aligned operator new may round up to a few bytes
        host_ = ::operator new(bytes, kHostAlignment);
        return;
    }
    api_ = require_device(device);
    halpool_error error{};
    require_ok(api_->create_memory(bytes, &device_memory_, &error), error);
}

Memory::~Memory() {
    if (api_) api_->destroy_memory(device_memory_);
    else ::operator delete(host_, kHostAlignment);
}

std::int32_t Memory::device() const { return device_of(api_); }

void *Memory::pointer() const { return api_ ? api_->pointer(device_memory_) : host_; }

void Memory::check(std::size_t offset, std::size_t bytes, const void *host) const {
    require(host != nullptr || bytes == 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the host's data is a null pointer");
    require(offset <= bytes_ && bytes <= bytes_ - offset, HALPOOL_ERROR_INVALID_ARGUMENT, bytes, " bytes at offset ", offset,
            " do not lie within the memory's ", bytes_);
}

void Memory::upload(std::size_t offset, const void *from, std::size_t bytes) {
    check(offset, bytes, from);
    if (bytes == 0) return;
    halpool_error error{};
    if (api_) require_ok(api_->upload(device_memory_, offset, from, bytes, &error), error);
    else std::memcpy(static_cast<char *>(host_) + offset, from, bytes);
}

void Memory::download(std::size_t offset, void *to, std::size_t bytes) const {
    check(offset, bytes, to);
    if (bytes == 0) return;
    halpool_error error{};
    if (api_) require_ok(api_->download(device_memory_, offset, to, bytes, &error), error);
    else std::memcpy(to, static_cast<const char *>(host_) + offset, bytes);
}

}  // namespace halpool
