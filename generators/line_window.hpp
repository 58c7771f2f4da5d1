// Windows known at run time, by two sums of kernel_h and kernel_w taps.
#ifndef HALPOOL_GENERATORS_LINE_WINDOW_HPP
#define HALPOOL_GENERATORS_LINE_WINDOW_HPP

#include "pool_algorithm.hpp"

#include <Halide.h>

namespace halpool {

// Of a call: what the sums of its windows are computed from, but for the windows.
struct LineCall {
    Halide::Expr first_column, columns;  // of the output, in floats
    Halide::Expr row_pitch;              // of the input, in floats
    Halide::Expr pitch, uniform;         // as in kernel_convention.h
};

// A mark for LineWindow, without which it means nothing to Halide: the sum of the window of output (x, y, c, n).
Halide::Expr line_window_sum(const PoolProblem &problem, const OutputVariables &v, const LineCall &call);

// Replaces the loop over the output's rows around such sums. Rows are lines of floats, whose neighbouring columns lie `pitch`
// apart: 1 where they are planar, all the channels where they are channels-last. Of up to kLineRows output rows at a time
//   1. a window's rows are added for every column below them, into a line on the stack with zeros for the padding: no tap needs a mask;
//   2. a window's columns are added from there: straight into the output where there are few, else at every column, of which
//      the strides then take theirs.
// Each in blocks of 8: at most 7 + 7 additions in a row along an axis, for kernels of up to kSeparableKernel.
class LineWindow : public Halide::Internal::IRMutator {
public:
    explicit LineWindow(int lanes) : lanes_(lanes) {}

private:
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *) override;
    int lanes_;
};

}  // namespace halpool

#endif
