// Which kernel a problem gets, and why the others do not.
#ifndef HALPOOL_RUNTIME_KERNEL_SELECTOR_HPP
#define HALPOOL_RUNTIME_KERNEL_SELECTOR_HPP

#include "kernel_registry.hpp"
#include "problem.hpp"

#include <optional>
#include <string>
#include <vector>

namespace halpool {

// What a caller or the environment demands. Names: empty for no demand.
struct Demand {
    std::string target, kernel;
    std::int32_t device;  // a halpool_device, never AUTO
    std::int64_t streaming_bytes = 0;  // kernels that write past the caches are for calls that move at least so many
};

// row == nullptr: the reference kernel.
struct Choice {
    LinkedTable linked{nullptr, nullptr};
    const KernelRow *row = nullptr;

    const char *reference = "";  // the name of the reference kernel for the problem
    // Not empty: the row, of a forward kernel, computes this in place of the problem, a backward pass.
    std::optional<Problem> forward = std::nullopt;
    // Not empty: the row, of a forward kernel, computes this of gradients that are spread out (SpreadCall).
    std::optional<Problem> spread = std::nullopt;
    // Not empty: the row computes this, whose output is then laid out as the problem's (RelaidCall).
    std::optional<Problem> relaid = std::nullopt;
    // Not empty: the row computes this, whose input is gathered before from the problem's (GatheredCall).
    std::optional<Problem> gathered = std::nullopt;

    const char *kernel() const { return row ? row->name : reference; }
    const char *target() const { return row ? linked.table->target : kReferenceTarget; }
};

// Walks the registry in its order of preference and takes the first kernel that can run here, takes the problem and
// meets the demand. Throws Failure when the demand cannot be met.
Choice select_kernel(const Problem &problem, const Demand &demand);

// The next choice behind `choice` that takes data of any alignment; for data that `choice` does not take. row == nullptr:
// there is none.
Choice select_unaligned(const Problem &problem, const Demand &demand, const Choice &choice);

// The device that AUTO means: that of `data`, or, where the result is wanted on a device, the first that is available and
// has a kernel for the problem; else the CPU.
std::int32_t automatic_device(const Problem &problem, const void *data, bool result_on_device);

struct Candidate {
    const char *kernel;
    const char *target;
    bool chosen;
    std::string reason;
};

// Every kernel for the problem's operator and dtype in the order of preference with the reason it was chosen or passed over.
std::vector<Candidate> explain_selection(const Problem &problem, const Demand &demand, const Choice &choice);

}  // namespace halpool

#endif
