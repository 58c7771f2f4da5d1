// Windows known at run time, by two sums of kernel_h and kernel_w taps.
#ifndef HALPOOL_GENERATORS_LINE_WINDOW_HPP
#define HALPOOL_GENERATORS_LINE_WINDOW_HPP

#include "window_mark.hpp"

#include <Halide.h>

namespace halpool {

// A mark for LineWindow (window_mark).
Halide::Expr line_window_sum(const PoolProblem &problem, const OutputVariables &v, const WindowCall &call);

// Replaces the loop over the output's rows around such sums. Rows are lines of floats, whose neighbouring columns lie `pitch`
// apart: 1 where they are planar, all the channels where they are channels-last. Of up to kLineRows output rows at a time
//   1. a window's rows are added for every column below them, into a line on the stack with zeros for the padding: no tap needs a mask;
//      what windows of stride 1 that lie inside share is added once;
//   2. a window's columns are added from there: straight into the output where there are few, else at every column, of which
//      the strides then take theirs.
// Each in blocks of 8: at most 7 + 7 additions in a row along an axis, 2 more where windows share, for kernels of up to kLineKernel.
class LineWindow : public ReplaceRows {
public:
    explicit LineWindow(int lanes);

private:
    Halide::Internal::Stmt replaced(const Halide::Internal::For *rows, const Halide::Internal::Stmt &body, const Halide::Internal::Call *mark) const override;
    int lanes_;
};

}  // namespace halpool

#endif
