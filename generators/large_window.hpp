// Windows of any extent at a cost that does not grow with it.
#ifndef HALPOOL_GENERATORS_LARGE_WINDOW_HPP
#define HALPOOL_GENERATORS_LARGE_WINDOW_HPP

#include "pool_algorithm.hpp"

#include <Halide.h>

#include <memory>

namespace halpool {

// Of a call: what the sums of its windows are computed from, but for the windows.
struct LargeCall {
    Halide::Expr first_column, columns;      // of the output
    Halide::Expr row_pitch, column_pitch;    // of the input, in elements; column_pitch and channels: channels-last
    Halide::Expr channels;
    Halide::Expr uniform;                    // as in kernel_convention.h
};

// A mark for LargeWindow, without which it means nothing to Halide: the sum of the window of output (x, y, c, n).
Halide::Expr large_window_sum(const PoolProblem &problem, const OutputVariables &v, const LargeCall &call);

// Replaces the loop over the output's rows around such sums. Rows are taken in blocks of kLargeBlock, counted from the first
// row of the output, on which the bits of a sum therefore do not depend. In each block
//   1. the rows under each of its windows are added, for every input column (two stacks: the sums from a window's first row
//      to its block's end, added backwards, and those of the rows behind the whole blocks, added forwards; the whole blocks
//      between, of which the latter are the by-product, lie in a ring), into `vertical`, with zeros beside the input;
//   2. columns are added by 4 and by 8, and windows from those.
// About 5 + k / 64 additions along y and 5 + k / 16 along x. Nothing is subtracted, so a NaN goes where its windows are.
//
// A row of channels-last memory is taken as one row of floats, whose taps lie a strip of channels apart: as many channels as
// a vector has, or all of them where they are fewer.
class LargeWindow : public Halide::Internal::IRMutator {
public:
    LargeWindow(int lanes, bool planar);
    using IRMutator::mutate;
    Halide::Internal::Stmt mutate(const Halide::Internal::Stmt &) override;
    struct Scratch;

private:
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *) override;
    int lanes_;
    bool inside_ = false;
    std::shared_ptr<const Scratch> scratch_;
};

}  // namespace halpool

#endif
