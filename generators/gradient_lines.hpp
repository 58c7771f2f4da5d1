// Gradients of windows of a stride, by two sums over the windows that cover an element: along y, then along x.
#ifndef HALPOOL_GENERATORS_GRADIENT_LINES_HPP
#define HALPOOL_GENERATORS_GRADIENT_LINES_HPP

#include "element_type.hpp"

#include <Halide.h>

namespace halpool {

// Of a call, for GradientLines. Rows are lines of elements, whose neighbouring columns lie `pitch` apart: 1 where they are planar, all the
// channels where they are channels-last.
struct GradientCall {
    Halide::Expr plane;                  // the first element of a plane of the pooled tensor's gradient
    Halide::Expr row;                    // of the output
    Halide::Expr first_row, end_row;     // the windows over the output's first row, as loads from their tables
    Halide::Expr most_rows;              // the most windows over a row
    Halide::Expr divisor, reciprocal;    // of the first row of windows, as loads from their tables
    Halide::Expr uniform, scale;         // whether all windows have one divisor; its reciprocal
    Halide::Expr positive_zero;
    Halide::Expr pitch, kernel, stride, pad;  // along x; pad: before the first column
    Halide::Expr columns, windows;       // of the output, and of the pooled tensor
    Halide::Expr row_pitch;              // of the pooled tensor, in elements
    Halide::Expr elements_behind;       // from the first element of the output's row on, how many the call writes in any case
};

// What GradientLines knows of the rows.
enum class GradientRows {
    any,
    planar_whole_vectors,  // multiples of its lanes; kernel, stride and the most windows over a row are constants
    pixel_vectors,         // channels-last of such multiples, at most kMostStreamedWindows over an element along an axis
};

// A mark for GradientLines, without which it means nothing to Halide.
Halide::Expr gradient_line_sum(const GradientCall &call);

// Replaces the loop over the output's rows around such sums, in which columns are written one by one.
//   1. The gradients of the windows over a row are added up for each column of the pooled tensor, into a line on the stack
//      with zeros where windows would be beside it. Rows under the same windows share it.
//   2. Each element adds up the windows over it from there. Elements of one window after the other lie `stride` apart: planar, vectors
//      of each place in a stride are shuffled into one another (strides of 2 to kMostPlanarStride), and may be written beyond a row
//      where the next row comes afterwards; channels-last, a window's pixels have one of two sums.
// In blocks of 8 along each axis. Where masked loads cost no more than others, planar rows of common windows need no line: a vector of
// each window over a stride's places is added up along y in registers. Kernels that stream have rows of whole vectors and no line: of
// one window as in registers, of pixels from sums along y that are made again.
class GradientLines : public Halide::Internal::IRMutator {
public:
    // element: of floats of at most 32 bits. masked_loads, masked_stores: such cost no more than others.
    GradientLines(const ElementType &element, int lanes, bool masked_loads, bool masked_stores, GradientRows kind)
        : element_(element), lanes_(lanes), masked_loads_(masked_loads), masked_stores_(masked_stores), kind_(kind) {}

private:
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *) override;
    ElementType element_;
    int lanes_;
    bool masked_loads_, masked_stores_;
    GradientRows kind_;
};

}  // namespace halpool

#endif
