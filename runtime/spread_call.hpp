// A backward pass that a kernel of the forward pass computes: the gradients of the windows, each divided, are spread out to where the
// windows begin, zeros between them, in memory that stays in the cache; windows of stride 1 on these have the sums.
#ifndef HALPOOL_RUNTIME_SPREAD_CALL_HPP
#define HALPOOL_RUNTIME_SPREAD_CALL_HPP

#include "cpu_call.hpp"
#include "kernel_call.hpp"
#include "problem.hpp"
#include "workspaces.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace halpool {

class SpreadCall final : public CpuCall {
public:
    // spread: Problem::as_spread_forward() of the problem, which the row takes.
    SpreadCall(const Problem &problem, const Problem &spread, const KernelRow &row);

    const Shares &shares() const override { return inner_.shares(); }
    bool takes_output(const void *output) const override { return inner_.takes_output(output); }
    int run(const void *input, void *output) const override { return run(input, output, shares().all()); }
    int run(const void *input, void *output, const Box &box) const override;

private:
    template <class T>
    void prepare_factors(const Problem &problem);
    template <class T>
    int run_of(const void *input, void *output, const Box &box) const;
    // Rows [begin, end) of a plane, or an image, of spread gradients; channels-last of these channels.
    template <class T>
    void spread_rows(const T *gradient, T *to, std::int64_t begin, std::int64_t end, std::int64_t channel_begin, std::int64_t channel_end) const;

    KernelCall inner_;
    bool nhwc_;
    std::int64_t element_bytes_, channels_;
    std::int64_t pixel_;                                        // elements: one, or all channels
    std::array<std::int64_t, 4> strides_;                       // of the gradient
    std::int64_t windows_h_, windows_w_, stride_h_, stride_w_;  // of the forward pass
    std::int64_t height_, width_, pad_top_, reach_h_;           // of a plane of spread gradients, and the windows on it
    std::int64_t slack_;                                        // elements beside it that kernels may read
    std::int64_t part_planes_, part_rows_;                      // of the output, or images, at once; of parts of several, all rows
    // What a window's gradient is multiplied by, where they differ: rows of windows_w_ factors, and which of them each row takes.
    std::vector<unsigned char> factors_;
    std::vector<std::int64_t> factor_rows_;
    std::unique_ptr<Workspaces> workspaces_;
};

}  // namespace halpool

#endif
