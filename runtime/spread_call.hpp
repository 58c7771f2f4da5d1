// A backward pass that a kernel of the forward pass computes: the gradients of the windows, each divided, are spread out to where the
// windows begin, zeros between them; windows of stride 1 on these have the sums.
#ifndef HALPOOL_RUNTIME_SPREAD_CALL_HPP
#define HALPOOL_RUNTIME_SPREAD_CALL_HPP

#include "staged_call.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace halpool {

class SpreadCall final : public StagedCall {
public:
    // spread: Problem::as_spread_forward() of the problem, which the row takes.
    SpreadCall(const Problem &problem, const Problem &spread, const KernelRow &row);

private:
    void stage(const void *input, const Rows &rows, void *to) const override;
    template <class T>
    void prepare_factors(const Problem &problem);
    template <class T>
    void spread(const T *gradient, const Rows &rows, T *to) const;

    std::array<std::int64_t, 4> strides_;                       // of the gradient
    std::int64_t windows_h_, windows_w_, stride_h_, stride_w_;  // of the forward pass
    // What a window's gradient is multiplied by, where they differ: rows of windows_w_ factors, and which of them each row takes.
    std::vector<unsigned char> factors_;
    std::vector<std::int64_t> factor_rows_;
};

}  // namespace halpool

#endif
