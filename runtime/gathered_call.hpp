// A forward pass of an input whose strides no fast kernel takes (transposed, broadcast, backwards, every second column): it is gathered
// into dense memory in the output's layout.
#ifndef HALPOOL_RUNTIME_GATHERED_CALL_HPP
#define HALPOOL_RUNTIME_GATHERED_CALL_HPP

#include "staged_call.hpp"

#include <array>
#include <cstdint>

namespace halpool {

class GatheredCall final : public StagedCall {
public:
    // gathered: Problem::with_dense_input() of the problem, which the row takes.
    GatheredCall(const Problem &problem, const Problem &gathered, const KernelRow &row) : StagedCall(gathered, row), strides_(problem.input.strides) {}

private:
    void stage(const void *input, const Rows &rows, void *to) const override;
    template <class Word>
    void gather(const void *input, const Rows &rows, void *to) const;

    std::array<std::int64_t, 4> strides_;
};

}  // namespace halpool

#endif
