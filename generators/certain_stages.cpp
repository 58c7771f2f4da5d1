#include "certain_stages.hpp"

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {
namespace {

constexpr char kAsked[] = "halpool_asked";

class FindAnswer : public IRGraphVisitor {
public:
    Expr answer;

private:
    using IRGraphVisitor::visit;
    void visit(const Call *call) override {
        if (call->name == kAsked) answer = call->args[0];
        IRGraphVisitor::visit(call);
    }
};

}  // namespace

Stmt CertainStages::visit(const LetStmt *let) {
    if (!ends_with(let->name, ".loaded")) return IRMutator::visit(let);
    ScopedBinding<Expr> bind(guards_, let->name, let->value);
    return LetStmt::make(let->name, let->value, mutate(let->body));
}

// Halide's simplifier knows what the conditions around a statement say, so it is asked with a statement like that.
Expr CertainStages::simplified(const Expr &condition) const {
    Stmt asked = Evaluate::make(Call::make(Int(32), kAsked, {condition}, Call::Extern));
    const Stmt otherwise = Evaluate::make(Call::make(Int(32), "halpool_otherwise", {}, Call::Extern));
    for (auto known = known_.rbegin(); known != known_.rend(); ++known) {
        asked = known->second ? IfThenElse::make(known->first, asked, otherwise) : IfThenElse::make(known->first, otherwise, asked);
    }
    FindAnswer find;
    simplify(asked).accept(&find);
    return find.answer.defined() ? find.answer : condition;
}

Stmt CertainStages::visit(const IfThenElse *branch) {
    const Variable *guard = branch->condition.as<Variable>();
    const Expr *condition = guard ? guards_.find(guard->name) : nullptr;
    if (condition && !branch->else_case.defined()) {
        const Expr answer = simplified(*condition);
        if (is_const_one(answer)) return mutate(branch->then_case);
        if (is_const_zero(answer)) return Evaluate::make(0);
    }
    const auto inside = [&](const Stmt &part, bool holds) {
        known_.emplace_back(branch->condition, holds);
        const Stmt mutated = mutate(part);
        known_.pop_back();
        return mutated;
    };
    return IfThenElse::make(branch->condition, inside(branch->then_case, true), branch->else_case.defined() ? inside(branch->else_case, false) : Stmt());
}

}  // namespace halpool
