// Walking down a plane (or along a row) with the sums that neighbouring windows share kept in registers.
#ifndef HALPOOL_GENERATORS_WINDOW_WALK_HPP
#define HALPOOL_GENERATORS_WINDOW_WALK_HPP

#include <Halide.h>

namespace halpool {

// Marks for WindowWalk, without which they mean nothing to Halide.

// `value` where 0 <= index < extent, else `outside`; by `border` (Border of kernel_convention.h) it is known whether index may lie
// outside at all. index is the same for a whole vector. Memory that value reads is addressed by walked_index(index,
// extent), never outside.
Halide::Expr walked(const Halide::Expr &index, const Halide::Expr &extent, const Halide::Expr &border, const Halide::Expr &value, const Halide::Expr &outside);
Halide::Expr walked_index(const Halide::Expr &index, const Halide::Expr &extent);

// `value` in the lanes where 0 <= index < extent, else 0; which lanes may lie outside, and whether memory may be read there,
// is known by `border`. side: below 0 for a tap before its window's middle, above 0 for one behind. Border::masked: of the
// vectors of one row that a loop computes, only the first is taken to leave it on the left, only the last on the right, so
// half a window must not be wider than a vector. kBothSides: any vector may leave it on either side.
constexpr int kBothSides = 1 << 20;
Halide::Expr lane_mask(const Halide::Expr &index, const Halide::Expr &extent, const Halide::Expr &border, int side, const Halide::Expr &value);

// A value that is the same in all iterations whose windows lie inside along the loop's axis.
Halide::Expr steady(const Halide::Expr &value);

// Takes the innermost loop around walked values. A value that the next iteration has under another index is computed once
// and handed on in a register; the loop is cut so that in its long middle part no index is tested.
class WindowWalk : public Halide::Internal::IRMutator {
public:
    // masked_loads: whether a masked load costs no more than another. short_row: of planes of a constant extent whose rows are
    // shorter than a vector, the columns: lanes beside them are neither read nor written; else 0.
    WindowWalk(bool masked_loads, int short_row) : masked_loads_(masked_loads), short_row_(short_row) {}

private:
    using Halide::Internal::IRMutator::visit;
    Halide::Expr visit(const Halide::Internal::Call *) override;
    Halide::Internal::Stmt visit(const Halide::Internal::LetStmt *) override;
    Halide::Internal::Stmt visit(const Halide::Internal::For *) override;
    bool masked_loads_;
    int short_row_;
};

}  // namespace halpool

#endif
