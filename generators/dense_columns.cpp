#include "dense_columns.hpp"

#include "lowered_ir.hpp"
#include "window_walk.hpp"

#include <halpool/internal/kernel_convention.h>

#include <string>
#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {
namespace {

constexpr char kColumn[] = "halpool_dense_column", kTap[] = "halpool_tap_of_columns";

class FindColumns : public IRGraphVisitor {
public:
    bool found = false;

private:
    using IRGraphVisitor::visit;
    void visit(const Call *call) override {
        found |= call->name == kColumn;
        IRGraphVisitor::visit(call);
    }
};

bool has_columns(const Expr &e) {
    FindColumns find;
    e.accept(&find);
    return find.found;
}

// The first lane of a vector of indices.
class FirstLane : public IRMutator {
public:
    explicit FirstLane(const Scope<Expr> &vectors) : vectors_(vectors) {}

private:
    using IRMutator::visit;
    Expr visit(const Ramp *ramp) override { return ramp->base; }
    Expr visit(const Broadcast *broadcast) override { return broadcast->value; }
    Expr visit(const Variable *variable) override {
        if (variable->type.is_scalar()) return variable;
        const Expr *value = vectors_.find(variable->name);
        _halide_user_assert(value) << "the lanes of " << variable->name << " are not known\n";
        return mutate(*value);
    }
    const Scope<Expr> &vectors_;
};

// A value at neighbouring columns, `behind` of them behind the first tap's.
class AtColumns : public IRMutator {
public:
    AtColumns(const Scope<Expr> &known, int behind) : known_(known), behind_(behind) {}

private:
    using IRMutator::visit;
    Expr visit(const Call *call) override {
        if (call->name == kColumn) {
            const Expr first = simplify(FirstLane(known_).mutate(call->args[0]) + behind_);
            return call->type.is_scalar() ? first : Ramp::make(first, 1, call->type.lanes());
        }
        return IRMutator::visit(call);
    }
    Expr visit(const Load *load) override {  // its index in one ramp: a vector of memory
        const Expr index = simplify(mutate(load->index));
        return Load::make(load->type, load->name, index, load->image, load->param, mutate(load->predicate), ModulusRemainder());
    }
    const Scope<Expr> &known_;
    int behind_;
};

}  // namespace

Expr dense_column(const Expr &column) { return Call::make(Int(32), kColumn, {column}, Call::PureExtern); }

Expr tap_of_columns(const Expr &value, int tap, int kernel, int stride) {
    return Call::make(value.type(), kTap, {value, tap, kernel, stride}, Call::PureExtern);
}

Expr DenseColumns::visit(const Call *call) {
    if (call->name != kTap) return IRMutator::visit(call);
    const int lanes = call->type.lanes();
    const auto constant = [&](std::size_t i) { return static_cast<int>(*as_const_int(scalar(call->args[i]))); };
    const int tap = constant(1), kernel = constant(2), stride = constant(3);
    const auto columns = [&](int behind) { return AtColumns(vectors_, behind).mutate(call->args[0]); };
    if (lanes == 1) return columns(tap);
    // Every stride-th column from the tap's on, of the first window in lane 0; where it lies further behind than a stride, the
    // lanes of one before, moved, and what comes in behind them.
    const int phase = tap % stride, moved = tap / stride;
    std::vector<Expr> sources;
    std::vector<int> from;
    for (int i = 0; i < stride; ++i) sources.push_back(columns(i * lanes));
    for (int i = 0; i < lanes; ++i) from.push_back(phase + i * stride);
    const Expr picked = Shuffle::make(sources, from);
    if (moved == 0) return picked;
    // Of a row that ends before the last lane nothing may be left to come in.
    const bool is_part = stores_part_ && kernel - 1 < 2 * stride;
    std::vector<Expr> moved_from{picked};
    std::vector<int> lane;
    for (int i = moved; i < moved + lanes; ++i) lane.push_back(i < lanes ? i : is_part ? lanes - 1 : lanes + phase + (i - lanes) * stride);
    const int behind = lane.back() / lanes;
    for (int i = 0; i < behind; ++i) moved_from.push_back(columns((stride + i) * lanes));
    return Shuffle::make(moved_from, lane);
}

Stmt DenseColumns::visit(const Store *store) {
    ScopedValue<bool> stores_part(stores_part_, !is_const_one(store->predicate));
    return IRMutator::visit(store);
}

template <class Let, class Body>
Body DenseColumns::without_columns(const Let *let) {
    if (has_columns(let->value)) return mutate(substitute(let->name, let->value, let->body));
    ScopedBinding<Expr> bind(vectors_, let->name, let->value);
    return IRMutator::visit(let);
}
Stmt DenseColumns::visit(const LetStmt *let) { return without_columns<LetStmt, Stmt>(let); }
Expr DenseColumns::visit(const Let *let) { return without_columns<Let, Expr>(let); }

}  // namespace halpool
