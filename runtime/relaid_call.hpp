// A forward pass whose output has another layout than its input: a kernel computes some rows at a time in the input's layout, into
// memory that stays in the cache, and these are laid out as the output wants them.
#ifndef HALPOOL_RUNTIME_RELAID_CALL_HPP
#define HALPOOL_RUNTIME_RELAID_CALL_HPP

#include "cpu_call.hpp"
#include "kernel_call.hpp"
#include "problem.hpp"
#include "workspaces.hpp"

#include <array>
#include <cstdint>
#include <memory>

namespace halpool {

class RelaidCall final : public CpuCall {
public:
    // relaid: Problem::in_input_layout() of the problem, which the row takes.
    RelaidCall(const Problem &problem, const Problem &relaid, const KernelRow &row);

    const Shares &shares() const override { return shares_; }
    bool takes_output(const void *) const override { return true; }
    int run(const void *input, void *output) const override { return run(input, output, shares_.all()); }
    int run(const void *input, void *output, const Box &box) const override;

private:
    // Of one image: rows and channels.
    struct Part {
        std::int64_t image, row_begin, row_end, channel_begin, channel_end;
    };
    int compute(const void *input, void *workspace, const Part &part) const;
    template <class Word>
    void lay_out(const void *workspace, void *output, const Part &part) const;

    KernelCall inner_;
    bool planar_;
    std::int64_t element_bytes_, channels_, height_, width_;
    std::array<std::int64_t, 4> strides_;  // of the output
    Shares shares_;
    std::int64_t part_rows_, part_channels_;
    std::unique_ptr<Workspaces> workspaces_;
};

}  // namespace halpool

#endif
