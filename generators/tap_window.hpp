// Channels-last windows known at run time, tap by tap.
#ifndef HALPOOL_GENERATORS_TAP_WINDOW_HPP
#define HALPOOL_GENERATORS_TAP_WINDOW_HPP

#include "window_mark.hpp"

#include <Halide.h>

namespace halpool {

// A mark for TapWindow (window_mark).
Halide::Expr tap_window_sum(const PoolProblem &problem, const OutputVariables &v, const WindowCall &call);

// Replaces the loop over the output's rows around such sums, in which a strip of channels is one pixel's. The taps outside of the input
// are cut off: rows for each row of the output, columns for the pixels near its ends alone. A window's rows are added one by one, each
// a sum of its own: at most 15 + 15 additions for kernels of up to 16x16.
class TapWindow : public ReplaceRows {
public:
    TapWindow();

private:
    Halide::Internal::Stmt replaced(const Halide::Internal::For *rows, const Halide::Internal::Stmt &body, const Halide::Internal::Call *mark) const override;
};

}  // namespace halpool

#endif
