// Windows of any extent at a cost that does not grow with it.
#ifndef HALPOOL_GENERATORS_LARGE_WINDOW_HPP
#define HALPOOL_GENERATORS_LARGE_WINDOW_HPP

#include "window_mark.hpp"

#include <Halide.h>

namespace halpool {

// A mark for LargeWindow (window_mark).
Halide::Expr large_window_sum(const PoolProblem &problem, const OutputVariables &v, const WindowCall &call);

// Replaces the loop over the output's rows around such sums. Along each axis outputs are taken in blocks of kLargeBlock,
// counted from the call's first, and the windows of a block are summed by two stacks: the sums from a window's beginning to
// the end of its block's first stride * kLargeBlock taps, added backwards, and those of as many taps at the other end, added
// forwards. Between the two lie whole such blocks, of which the latter sums were the by-product when they were new, and a
// gap of less than a block before those. The sums of these whole blocks are two stacks again, of blocks, whose additions are
// compensated: no element takes part in more roundings than the contract allows for. What lies beside the input is not added.
// Windows of few strides are summed tap by tap instead.
//   1. Along y, for every input column, into the workspace, with zeros beside the input.
//   2. Along x. Channels-last, a strip of channels at a time (as many as a vector has lanes): the same again, on a ring of the
//      latest columns. Planar: whole vectors by doubling within registers, windows from those: few one by one, many by two
//      stacks. Channels-last with fewer channels than lanes: a row of floats whose taps lie that far apart, by 4 and by 8,
//      windows from those.
// About 4 additions along y and for strips along x. Nothing is subtracted, so a NaN goes where its windows are.
class LargeWindow : public ReplaceRows {
public:
    explicit LargeWindow(int lanes);

private:
    Halide::Internal::Stmt replaced(const Halide::Internal::For *rows, const Halide::Internal::Stmt &body, const Halide::Internal::Call *mark) const override;
    int lanes_;
};

}  // namespace halpool

#endif
