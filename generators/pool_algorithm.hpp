// Average pooling as a pure function from (input, window) to Funcs. It knows no target and no schedule.
#ifndef HALPOOL_GENERATORS_POOL_ALGORITHM_HPP
#define HALPOOL_GENERATORS_POOL_ALGORITHM_HPP

#include "Halide.h"

#include <array>
#include <vector>

namespace halpool {

enum class Layout { nchw, nhwc };

// One axis of the window. Constants make a kernel for that window alone, parameters one for any.
struct WindowAxis {
    Halide::Expr kernel, stride, pad_begin;
    Halide::Expr input;  // the input's extent along this axis
    Halide::Expr dilation = 1;  // of runtime_window_sum alone
};

// Coordinates in the names of the operator, whatever the order in memory.
struct Coordinates {
    Halide::Expr x, y, c, n;
};

struct PoolProblem {
    Layout layout;
    Halide::Func input;  // (x, y, c, n) planar, (c, x, y, n) channels-last, of the type that is summed
    Halide::Type sum;
    WindowAxis x, y;
    Halide::Expr border;  // Border of kernel_convention.h
    bool lanes_along_x;   // vectors run along a row: always planar; channels-last when there are few channels
    int channels;         // a constant where there are few, else 0
    // For a device: rows read are always clamped (a tile's spare rows may lie anywhere), a fixed window sums rows first in
    // both layouts, and long sums are compensated floats, for want of fast or of any doubles.
    bool on_device = false;
    Halide::Expr one = {};  // on_device: 1, unknown to the compiler
    bool side_by_side = false;  // planar, fixed windows that do not overlap: columns are summed first
    // bfloat16, fixed windows: `input` has words of two neighbours, to each of which it gives a Tuple of two sums. Planar: of columns,
    // for windows of stride 2, which add a word's two elements or one.
    bool pairs = false;
    std::array<Halide::Expr, 2> zero = {};  // of pairs, of an element that is zero: what `input` gives; undefined: zeros
    bool walks_down = false;  // planar: the schedule walks down the plane, and rows are handed on (window_walk.hpp)
    bool dense_columns = false;  // walks_down: columns are added up before the windows take theirs (dense_columns.hpp)
};

// The variables of the output, and its definition's left-hand side in the layout's order.
struct OutputVariables {
    Halide::Var x{"x"}, y{"y"}, c{"c"}, n{"n"};
    std::vector<Halide::Expr> arguments(Layout layout) const;
    std::vector<Halide::Var> order(Layout layout) const;
};

// Funcs that a schedule places. `partial` is what is summed first: for a fixed window the sum along one axis (planar: a
// row's taps; channels-last: a column's), for a window known at run time a block of taps.
struct PoolStages {
    Halide::Func sum;  // of each window's taps
    Halide::Func partial, total;
    Halide::RDom taps, blocks;
    Halide::Func touched;  // side_by_side: read_in_order
    Halide::Func columns;  // on_device, planar windows side by side: the input's elements below a thread's outputs
};

// A Func that adds up terms, many of them, with more precision than they have: of floats in doubles; of doubles, and on devices,
// with the errors of all additions. few: they need none.
struct LongSum {
    const PoolProblem &problem;
    bool few = false;

    bool compensated() const { return !few && problem.sum.is_float() && (problem.on_device || problem.sum.bits() == 64); }
    Halide::Type type() const { return !few && problem.sum == Halide::Float(32) ? Halide::Float(64) : problem.sum; }
    void begin(const Halide::FuncRef &total) const;
    void add(const Halide::FuncRef &total, const Halide::Expr &term) const;
    Halide::Expr value(const Halide::FuncRef &total) const;
};

// Windows of a constant extent: two separable, unrolled sums.
PoolStages fixed_window_sum(const PoolProblem &problem, const OutputVariables &v);

// The same sum (channels-last, in the same order; of pairs, both) for a schedule that walks along the rows: columns are handed on (window_walk.hpp).
Halide::Tuple walked_along_sum(const PoolProblem &problem, const OutputVariables &v);

// +0, for which every line of each window's rows but the last is read first, where `touched` is computed for a whole row: so
// memory is read from end to end, where sums alone would read the rows of a window side by side. zero: +0 that no compiler knows.
Halide::Expr read_in_order(const PoolProblem &problem, const OutputVariables &v, PoolStages &stages, const Halide::Expr &zero);

// Windows of an extent known at run time: sums of blocks of taps, added up. No chain of float additions may exceed 16, which is
// what the accuracy contract asks for: blocks of at most 16 taps, and either at most 16 of them (few_blocks), or sums of
// more precision: of floats, doubles; of doubles, and on devices, compensated ones.
PoolStages runtime_window_sum(const PoolProblem &problem, const OutputVariables &v, Halide::Expr block_w,
                              Halide::Expr block_h, bool few_blocks);

// Windows of an extent known at run time, first along y for every input column of a tile, then along x: kernel_h + kernel_w
// additions an output, where runtime_window_sum has kernel_h * kernel_w. Both sums in blocks of 8 in float: for
// extents up to kSeparableKernel, at most 7 + 7 additions in a row along each axis.
inline constexpr int kSeparableKernel = 64, kSeparableStride = 2, kSeparableBlock = 8;  // the largest kernel and stride
struct SeparableStages {
    Halide::Func sum{"sum"}, column_block{"column_block"}, column_sum{"column_sum"}, column{"column"}, block{"block"};
    Halide::RDom column_taps, column_blocks, taps, blocks;
};
SeparableStages separable_window_sum(const PoolProblem &problem, const OutputVariables &v);

// Planar windows side by side that never leave the input, problem.x.stride = kernel_w a constant, at most kBlockRows rows: first
// along y, in whole vectors of input columns, then neighbouring columns. (Of other widths: separable_window_sum.)
inline constexpr int kBlockRows = 16;
struct BlockStages {
    int width;
    Halide::Func sum{"sum"}, column{"column"};
    Halide::RDom rows, taps;
};
BlockStages block_sum(const PoolProblem &problem, const OutputVariables &v);

// The sum of a whole plane seen as one row of problem.x.input elements (planar): sums of 16 vectors, groups of 16 such
// sums, each group added across its lanes, and the groups with more precision (as in runtime_window_sum).
// A row of at most kShortRow vectors, and of at least one, is summed in one chain, and its lanes in a tree (LaneSums).
inline constexpr int kShortRow = 24;
struct RowStages {
    Halide::Func sum{"sum"}, partial{"partial"}, group{"group"}, across{"across"}, total{"total"};
    Halide::RDom taps, blocks, lanes, groups;
    Halide::Expr is_short;  // the condition that the schedule specializes on
    Halide::Func short_lanes{"short_lanes"}, short_total{"short_total"};
    Halide::RDom short_taps, short_across;
};
RowStages row_sum(const PoolProblem &problem, const OutputVariables &v, int lanes);

// The sum of a whole plane seen as one row of problem.x.input elements, for a block of device threads: `lanes` threads sum
// every lanes-th element (blocks of 16, compensated), and a tree of two levels adds their sums. lanes is a power of two.
struct TreeStages {
    Halide::Func sum{"sum"}, partial{"partial"}, total{"total"}, lane_sum{"lane_sum"}, branch{"branch"};
    Halide::Var lane{"lane"}, branch_index{"branch_index"};
    Halide::RDom taps, blocks;
};
TreeStages tree_sum(const PoolProblem &problem, const OutputVariables &v, int lanes);

}  // namespace halpool

#endif
