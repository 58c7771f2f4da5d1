// Which kernel a problem gets, and why the others do not.
#ifndef HALPOOL_RUNTIME_KERNEL_SELECTOR_HPP
#define HALPOOL_RUNTIME_KERNEL_SELECTOR_HPP

#include "kernel_registry.hpp"
#include "problem.hpp"

#include <string>
#include <vector>

namespace halpool {

// Names a caller or the environment demands; empty: no demand.
struct Demand {
    std::string target, kernel;
};

// row == nullptr: the reference kernel.
struct Choice {
    const KernelTable *table;
    const KernelRow *row;

    const char *kernel() const { return row ? row->name : kReferenceName; }
    const char *target() const { return row ? table->target : kReferenceTarget; }
};

// Walks the registry in its order of preference and takes the first kernel that can run here, takes the problem and
// meets the demand. Throws Failure when the demand cannot be met.
Choice select_kernel(const Problem &problem, const Demand &demand);

struct Candidate {
    const char *kernel;
    const char *target;
    bool chosen;
    std::string reason;
};

// Every kernel in the order of preference with the reason it was chosen or passed over.
std::vector<Candidate> explain_selection(const Problem &problem, const Demand &demand, const Choice &choice);

}  // namespace halpool

#endif
