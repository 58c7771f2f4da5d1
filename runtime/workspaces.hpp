// Memory that kernels compute in, for several calls at once.
#ifndef HALPOOL_RUNTIME_WORKSPACES_HPP
#define HALPOOL_RUNTIME_WORKSPACES_HPP

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace halpool {

// `count` (1 to kMost) workspaces of one size, aligned to kWorkspaceAlignment, all of them from the start: taking one allocates
// nothing. Those that were never taken are not written to either. Any number of threads at once.
class alignas(64) Workspaces {
public:
    static constexpr std::int32_t kMost = 32;

    Workspaces(std::int32_t count, std::size_t floats);  // throws std::bad_alloc
    // One for each thread that computes one of so many shares at once; where callers bring more than there are cores, some wait for others.
    static std::unique_ptr<Workspaces> for_shares(std::int64_t shares, std::int64_t floats);
    ~Workspaces();
    Workspaces(const Workspaces &) = delete;
    Workspaces &operator=(const Workspaces &) = delete;

    // Its number. Waits where all are taken.
    std::int32_t take();
    void give_back(std::int32_t number);
    float *memory(std::int32_t number) const { return memory_[static_cast<std::size_t>(number)]; }

private:
    void release();

    std::atomic<std::uint32_t> taken_{0};  // a bit each
    std::int32_t count_;
    std::array<float *, kMost> memory_{};
};

}  // namespace halpool

#endif
