// Channels-last windows known at run time, tap by tap.
#ifndef HALPOOL_GENERATORS_TAP_WINDOW_HPP
#define HALPOOL_GENERATORS_TAP_WINDOW_HPP

#include "pool_algorithm.hpp"

#include <Halide.h>

namespace halpool {

// Of a call: what the sums of its windows are computed from, but for the windows.
struct TapCall {
    Halide::Expr row_pitch, column_pitch;  // of the input, in floats
    Halide::Expr uniform;                  // as in kernel_convention.h
};

// A mark for TapWindow, without which it means nothing to Halide: the sum of the window of output (x, y, c, n).
Halide::Expr tap_window_sum(const PoolProblem &problem, const OutputVariables &v, const TapCall &call);

// Replaces the loop over the output's rows around such sums, in which a strip of channels is one pixel's. The taps outside of the input
// are cut off: rows for each row of the output, columns for the pixels near its ends alone. A window's rows are added one by one, each
// a sum of its own: at most 15 + 15 additions for kernels of up to 16x16.
class TapWindow : public Halide::Internal::IRMutator {
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *) override;
};

}  // namespace halpool

#endif
