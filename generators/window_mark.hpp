// Marks of windows, and the loops over output rows around them that passes replace.
#ifndef HALPOOL_GENERATORS_WINDOW_MARK_HPP
#define HALPOOL_GENERATORS_WINDOW_MARK_HPP

#include "pool_algorithm.hpp"

#include <Halide.h>

#include <string>
#include <vector>

namespace halpool {

// Of a call: what the sums of its windows are computed from, but for the windows.
struct WindowCall {
    Halide::Expr first_column, columns;    // of the output; lines: in floats
    Halide::Expr row_pitch, column_pitch;  // of the input, in floats; planar: column_pitch is 1
    Halide::Expr channels;
    Halide::Expr uniform;                  // as in kernel_convention.h
};

// The arguments of a mark. Those from kInputW on are the same for all lanes.
enum WindowArgument {
    kColumn, kRow, kChannel, kPlane, kInputW, kInputH, kRowPitch, kColumnPitch, kChannels, kKernelRows, kKernelColumns, kStrideRows,
    kStrideColumns, kPadRows, kPadColumns, kFirstColumn, kColumns, kUniformDivisor, kPlanar, kWindowArguments
};

// Without its pass this means nothing to Halide: the sum of the window of output (x, y, c, n).
Halide::Expr window_mark(const char *name, const PoolProblem &problem, const OutputVariables &v, const WindowCall &call);
// The arguments from kInputW on.
std::vector<Halide::Expr> call_arguments(const Halide::Internal::Call *mark);

// Hands each loop over the output's rows around such marks, and its body without lets, to `replaced`.
class ReplaceRows : public Halide::Internal::IRMutator {
public:
    explicit ReplaceRows(const char *mark) : mark_(mark) {}

private:
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *) final;
    virtual Halide::Internal::Stmt replaced(const Halide::Internal::For *rows, const Halide::Internal::Stmt &body, const Halide::Internal::Call *mark) const = 0;
    const char *mark_;
};

}  // namespace halpool

#endif
