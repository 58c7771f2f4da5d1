#ifndef HALPOOL_CERTAIN_STAGES_HPP
#define HALPOOL_CERTAIN_STAGES_HPP

#include <Halide.h>

#include <utility>
#include <vector>

namespace halpool {

// Where some variants of a kernel need a stage and others do not, Halide 21 guards it in all by one condition, which it does not simplify
// by what a variant knows. Inside the innermost loop such a branch costs registers. Takes the guards away from variants in which they
// always hold, and the stage from those in which they never do.
class CertainStages : public Halide::Internal::IRMutator {
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::LetStmt *) override;
    Halide::Internal::Stmt visit(const Halide::Internal::IfThenElse *) override;
    Halide::Expr simplified(const Halide::Expr &condition) const;  // here

    Halide::Internal::Scope<Halide::Expr> guards_;
    std::vector<std::pair<Halide::Expr, bool>> known_;  // conditions around a statement, and whether they hold there
};

}  // namespace halpool

#endif
