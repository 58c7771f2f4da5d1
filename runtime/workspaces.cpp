#include "workspaces.hpp"

#include <halpool/internal/kernel_convention.h>

#include <algorithm>
#include <new>
#include <thread>

namespace halpool {

Workspaces::Workspaces(std::size_t floats) : floats_(floats) {
    float *const first = allocate();
    if (!first) throw std::bad_alloc();
    spare_[0] = first;
}

Workspaces::~Workspaces() {
    for (std::atomic<float *> &each : spare_) ::operator delete(each.load(), std::align_val_t(kWorkspaceAlignment));
}

float *Workspaces::allocate() const {
    auto *const memory = static_cast<float *>(::operator new(floats_ * sizeof(float), std::align_val_t(kWorkspaceAlignment), std::nothrow));
    if (memory) std::fill_n(memory, floats_, 0.0f);  // what is computed from what was there is not used, but may be slow
    return memory;
}

float *Workspaces::take() {
    for (;;) {
        for (std::atomic<float *> &each : spare_) {
            if (each.load(std::memory_order_relaxed) == nullptr) continue;
            if (float *const workspace = each.exchange(nullptr, std::memory_order_acquire)) return workspace;
        }
        if (float *const workspace = allocate()) return workspace;
        std::this_thread::yield();
    }
}

void Workspaces::give_back(float *workspace) {
    for (std::atomic<float *> &each : spare_) {
        float *none = nullptr;
        if (each.compare_exchange_strong(none, workspace, std::memory_order_release, std::memory_order_relaxed)) return;
    }
    ::operator delete(workspace, std::align_val_t(kWorkspaceAlignment));
}

}  // namespace halpool
