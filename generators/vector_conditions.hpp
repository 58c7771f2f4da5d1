#ifndef HALPOOL_VECTOR_CONDITIONS_HPP
#define HALPOOL_VECTOR_CONDITIONS_HPP

#include <Halide.h>

namespace halpool {

// Halide 21 hands the condition of a select between vectors to LLVM as a scalar where it is the same for all lanes. For
// vectors of scalable length (RISC-V) the select is llvm.vp.select, which takes vectors of conditions alone: LLVM stops.
// After this pass every such condition is a comparison of vectors; LLVM simplifies it again.
class VectorConditions : public Halide::Internal::IRMutator {
    using Halide::Internal::IRMutator::visit;
    Halide::Expr visit(const Halide::Internal::Select *) override;
};

}  // namespace halpool

#endif
