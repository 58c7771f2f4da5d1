// Windows of a stride along planar rows: sums of columns in whole vectors of the input, of which each output takes its own.
#ifndef HALPOOL_GENERATORS_DENSE_COLUMNS_HPP
#define HALPOOL_GENERATORS_DENSE_COLUMNS_HPP

#include <Halide.h>

namespace halpool {

// Marks for DenseColumns, without which they mean nothing to Halide.

// The column of the input that a vector of outputs has its first tap in, wherever a value reads or masks it.
Halide::Expr dense_column(const Halide::Expr &column);

// Tap `tap` of windows of `kernel` columns, `stride` apart: `value` of the column that lies `tap` behind dense_column.
Halide::Expr tap_of_columns(const Halide::Expr &value, int tap, int kernel, int stride);

// Computes the value at as many neighbouring columns as a vector of outputs has taps in, a vector at a time, and shuffles these:
// values with additions in them are then added up once for all taps, before they are shuffled apart. Comes before WindowWalk.
class DenseColumns : public Halide::Internal::IRMutator {
    using Halide::Internal::IRMutator::visit;
    Halide::Expr visit(const Halide::Internal::Call *) override;
    Halide::Internal::Stmt visit(const Halide::Internal::Store *) override;
    Halide::Internal::Stmt visit(const Halide::Internal::LetStmt *) override;
    Halide::Expr visit(const Halide::Internal::Let *) override;
    template <class Let, class Body>
    Body without_columns(const Let *let);

    Halide::Internal::Scope<Halide::Expr> vectors_;
    bool stores_part_ = false;  // fewer lanes than a vector has
};

}  // namespace halpool

#endif
