// What several lowering passes need of Halide's IR.
#ifndef HALPOOL_GENERATORS_LOWERED_IR_HPP
#define HALPOOL_GENERATORS_LOWERED_IR_HPP

#include <Halide.h>

namespace halpool {

// The statement with the values that lets name in the places of these names.
Halide::Internal::Stmt inline_lets(const Halide::Internal::Stmt &statement);

// What a broadcast repeats; anything else as it is.
Halide::Expr scalar(const Halide::Expr &e);

}  // namespace halpool

#endif
