#ifndef HALPOOL_SCALABLE_VECTORS_HPP
#define HALPOOL_SCALABLE_VECTORS_HPP

#include <Halide.h>

namespace halpool {

// What LLVM asks for vectors of scalable length (RISC-V), which stops where it does not get it.
// Halide 21 hands the condition of a select between vectors to LLVM as a scalar where it is the same for all lanes; there the select is
// llvm.vp.select, which takes vectors of conditions alone. After this pass every such condition is a comparison of vectors, which LLVM
// simplifies again. And memory on the stack is of scalars: LLVM knows no size of such a vector.
class ScalableVectors : public Halide::Internal::IRMutator {
    using Halide::Internal::IRMutator::visit;
    Halide::Expr visit(const Halide::Internal::Select *) override;
    Halide::Internal::Stmt visit(const Halide::Internal::Allocate *) override;
};

}  // namespace halpool

#endif
