#include "workspaces.hpp"

#include <halpool/internal/kernel_convention.h>

#include <algorithm>
#include <new>
#include <thread>

namespace halpool {

Workspaces::Workspaces(std::int32_t count, std::size_t floats) : count_(count) {
    for (std::int32_t i = 0; i < count_; ++i) {
        void *const memory = ::operator new(floats * sizeof(float), std::align_val_t(kWorkspaceAlignment), std::nothrow);
        if (!memory) {
            release();
            throw std::bad_alloc();
        }
        memory_[static_cast<std::size_t>(i)] = static_cast<float *>(memory);
    }
}

std::unique_ptr<Workspaces> Workspaces::for_shares(std::int64_t shares, std::int64_t floats) {
    const std::int64_t at_once = std::max<std::int64_t>(std::min<std::int64_t>(std::thread::hardware_concurrency(), shares), 1);
    return std::make_unique<Workspaces>(static_cast<std::int32_t>(std::min<std::int64_t>(at_once, kMost)), static_cast<std::size_t>(floats));
}

Workspaces::~Workspaces() { release(); }

void Workspaces::release() {
    for (float *each : memory_) ::operator delete(each, std::align_val_t(kWorkspaceAlignment));
}

std::int32_t Workspaces::take() {
    std::uint32_t taken = taken_.load(std::memory_order_relaxed);
    for (std::int32_t i = 0;;) {
        const std::uint32_t bit = std::uint32_t{1} << i;
        if (taken & bit) {
            if (++i < count_) continue;
            std::this_thread::yield();
            taken = taken_.load(std::memory_order_relaxed);
            i = 0;
        } else if (taken_.compare_exchange_weak(taken, taken | bit, std::memory_order_acquire, std::memory_order_relaxed)) {
            return i;
        }
    }
}

void Workspaces::give_back(std::int32_t number) { taken_.fetch_and(~(std::uint32_t{1} << number), std::memory_order_release); }

}  // namespace halpool
