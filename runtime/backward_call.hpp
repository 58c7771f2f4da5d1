// A kernel of the backward pass, bound to one problem.
#ifndef HALPOOL_RUNTIME_BACKWARD_CALL_HPP
#define HALPOOL_RUNTIME_BACKWARD_CALL_HPP

#include "cpu_call.hpp"
#include "divisors.hpp"
#include "problem.hpp"

#include <halpool/internal/kernel_convention.h>

#include <array>
#include <cstdint>
#include <vector>

namespace halpool {

class BackwardCall final : public CpuCall {
public:
    BackwardCall(const Problem &problem, const KernelRow &row);

    const Shares &shares() const override { return shares_; }
    bool takes_output(const void *output) const override { return reinterpret_cast<std::uintptr_t>(output) % alignment_bytes_ == 0; }
    int run(const void *input, void *output) const override { return run(input, output, shares_.all()); }
    int run(const void *input, void *output, const Box &box) const override;

private:
    // The windows over each column, or row: `first`, and every step-th up to `end`.
    struct Windows {
        std::vector<std::int32_t> first, end;
        std::array<KernelDimension, 1> dimensions{};
        KernelBuffer first_buffer{}, end_buffer{};
        std::int32_t most = 0, step = 1;
        void fill(const Axis &axis, std::int64_t extent, std::int64_t windows);
    };
    int run_some(const void *input, void *output, const Box &box) const;  // of at most most_outer_ planes, or images
    int enter(const void *input, void *output, const Box &box, Border border) const;

    KernelEntry entry_;
    bool streams_;
    const DTypeFacts &element_;
    std::uintptr_t alignment_bytes_;  // of the output
    KernelLayout layout_;  // to the kernel
    std::int32_t pitch_;   // WindowClass::lines: elements from a column to the next
    bool reads_beside_rows_;  // what lies beside the input's rows is read and masked, where it is memory of the tensor
    std::int64_t most_outer_;
    std::int64_t outer_, rows_, channels_;  // of the output; channels_ is 1 where a box has all of them
    std::int64_t clamped_head_ = 0, clamped_tail_ = 0;  // rows of the first and the last plane beside which nothing may be read
    std::array<KernelDimension, 4> input_dimensions_, output_dimensions_;
    std::array<std::int32_t, 2> padding_;  // top, left
    std::array<std::int32_t, 2> window_;   // its columns, and the stride along them
    Windows x_, y_;
    Divisors divisors_;
    Shares shares_;
    double positive_zero_ = 0;  // as well the bits of a float's, and of an integer's
};

}  // namespace halpool

#endif
