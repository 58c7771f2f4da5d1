// A problem with its kernel chosen and its call prepared. Immutable; any number of threads may execute it at once.
#ifndef HALPOOL_RUNTIME_PLAN_HPP
#define HALPOOL_RUNTIME_PLAN_HPP

#include "cpu_call.hpp"
#include "device_call.hpp"
#include "kernel_selector.hpp"
#include "memory.hpp"
#include "problem.hpp"
#include "shares.hpp"

#include <halpool/halpool.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace halpool {

class Plan {
public:
    // Throws Failure and std::bad_alloc.
    Plan(const Problem &problem, Demand demand);

    const Choice &choice() const { return choice_; }
    const std::vector<Candidate> &candidates() const;  // made on first use
    const std::string &description() const;            // made on first use

    std::int32_t device() const { return demand_.device; }

    // All throw Failure; see the functions of halpool.h with these names.
    void execute(const void *input, void *output, const halpool_execution &execution) const;
    void execute_memory(const Memory &input, std::size_t input_offset, Memory &output, std::size_t output_offset,
                        const halpool_execution &execution) const;
    void execute_part(const void *input, void *output, std::int32_t part, std::int32_t parts) const;

private:
    // From element [0, 0, 0, 0] of a tensor to its first byte, and to the byte behind its last.
    struct Reach {
        std::intptr_t begin, end;
    };
    Reach reach(const TensorGeometry &tensor) const;
    std::size_t alignment_bytes() const;  // of the chosen row
    void check_execution(const halpool_execution &execution) const;
    void check_data(const void *input, void *output) const;
    void check_kernel(int status) const;
    void execute_on_device(const DeviceRange &input, const DeviceRange &output, const halpool_execution &execution) const;
    int run_share(const void *input, void *output, std::int64_t part, std::int64_t parts) const;
    // The kernel that takes such an output; null: the reference kernel.
    const CpuCall *call_for(const void *output) const;

    Problem problem_;
    Demand demand_;
    Choice choice_;
    bool empty_;  // no output element
    Reach input_reach_, output_reach_;
    std::unique_ptr<const CpuCall> call_;  // null: the reference kernel, or a device's
    std::unique_ptr<const DeviceCall> device_call_;
    Choice unaligned_choice_;  // for data whose alignment the choice does not take
    std::unique_ptr<const CpuCall> unaligned_call_;
    std::unique_ptr<const DeviceCall> unaligned_device_call_;
    Shares shares_;  // of the reference kernel
    std::int64_t worthwhile_shares_ = 1;
    mutable std::once_flag explained_;
    mutable std::vector<Candidate> candidates_;
    mutable std::string description_;
};

}  // namespace halpool

#endif
