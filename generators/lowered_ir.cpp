#include "lowered_ir.hpp"

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {
namespace {

class InlineLets : public IRMutator {
    using IRMutator::visit;
    Scope<Expr> values_;

    template <class Let>
    auto inlined(const Let *let) {
        ScopedBinding<Expr> bind(values_, let->name, mutate(let->value));
        return mutate(let->body);
    }
    Stmt visit(const LetStmt *let) override { return inlined(let); }
    Expr visit(const Let *let) override { return inlined(let); }
    Expr visit(const Variable *variable) override {
        const Expr *value = values_.find(variable->name);
        return value ? *value : Expr(variable);
    }
};

}  // namespace

Stmt inline_lets(const Stmt &statement) { return InlineLets().mutate(statement); }

Expr scalar(const Expr &e) {
    const Broadcast *broadcast = e.as<Broadcast>();
    return broadcast ? scalar(broadcast->value) : e;
}

}  // namespace halpool
