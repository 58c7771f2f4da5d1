// Memory that kernels compute in, for as many calls at once as there are.
#ifndef HALPOOL_RUNTIME_WORKSPACES_HPP
#define HALPOOL_RUNTIME_WORKSPACES_HPP

#include <array>
#include <atomic>
#include <cstddef>

namespace halpool {

// Workspaces of one size, aligned to kWorkspaceAlignment. One exists from the start, so that taking one never fails; more are
// allocated where several are taken at once, and kept. Any number of threads at once.
class alignas(64) Workspaces {
public:
    explicit Workspaces(std::size_t floats);  // throws std::bad_alloc
    ~Workspaces();
    Workspaces(const Workspaces &) = delete;
    Workspaces &operator=(const Workspaces &) = delete;

    // Waits for one where there is no memory for more.
    float *take();
    void give_back(float *workspace);

private:
    float *allocate() const;  // null: no memory

    std::size_t floats_;
    // Those that nobody has; null: none. More than the threads that a CPU of today has are freed.
    std::array<std::atomic<float *>, 64> spare_{};
};

}  // namespace halpool

#endif
