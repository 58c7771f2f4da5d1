#include "scalable_vectors.hpp"

#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {

Expr ScalableVectors::visit(const Select *select) {
    Expr condition = mutate(select->condition), then = mutate(select->true_value), otherwise = mutate(select->false_value);
    const int lanes = select->type.lanes();
    if (const Broadcast *broadcast = condition.as<Broadcast>()) condition = broadcast->value;
    if (lanes > 1 && condition.type().is_scalar()) {
        // A comparison of broadcasts, unlike a broadcast of a comparison, is computed in vectors.
        condition = NE::make(Broadcast::make(Cast::make(Int(32), condition), lanes), Broadcast::make(make_zero(Int(32)), lanes));
    }
    return Select::make(condition, then, otherwise);
}

Stmt ScalableVectors::visit(const Allocate *op) {
    if (op->type.is_scalar()) return IRMutator::visit(op);
    std::vector<Expr> extents = op->extents;
    extents.emplace_back(op->type.lanes());
    return Allocate::make(op->name, op->type.element_of(), op->memory_type, extents, op->condition, mutate(op->body));
}

}  // namespace halpool
