#include "window_walk.hpp"

#include "lowered_ir.hpp"

#include <halpool/internal/kernel_convention.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {
namespace {

constexpr char kWalked[] = "halpool_walked", kStep[] = "halpool_step", kLaneMask[] = "halpool_lane_mask", kSteady[] = "halpool_steady";

// clamped, which is right for all of them, where it is not known.
Border border_of(const Expr &e) {
    auto value = as_const_int(simplify(scalar(e)));
    return value ? static_cast<Border>(*value) : Border::clamped;
}

struct Walked {
    Expr index, extent, value, outside;
    bool may_leave;
    explicit Walked(const Call *call)
        : index(scalar(call->args[0])), extent(scalar(call->args[1])), value(call->args[3]), outside(call->args[4]),
          may_leave(border_of(call->args[2]) != Border::none) {}
};

// Gives walked_index its meaning: as it is, or kept inside.
class Step : public IRMutator {
public:
    explicit Step(bool inside) : inside_(inside) {}

private:
    using IRMutator::visit;
    Expr visit(const Call *call) override {
        if (call->name != kStep) return IRMutator::visit(call);
        return inside_ ? call->args[0] : clamp(call->args[0], 0, call->args[1] - 1);
    }
    bool inside_;
};

// An integer expression as a sum of products: the factors, by name, and how often. Halide's simplifier does not bring such
// sums into one form.
using Polynomial = std::map<std::vector<std::string>, std::int64_t>;

Polynomial expand(const Expr &e, std::int64_t sign = 1) {
    Polynomial out;
    const auto add = [&](const Polynomial &p, std::int64_t factor) {
        for (const auto &[factors, count] : p) {
            if ((out[factors] += factor * count) == 0) out.erase(factors);
        }
    };
    if (auto value = as_const_int(e)) {
        if (*value != 0) out[{}] = sign * *value;
    } else if (const Add *sum = e.as<Add>()) {
        add(expand(sum->a), sign);
        add(expand(sum->b), sign);
    } else if (const Sub *difference = e.as<Sub>()) {
        add(expand(difference->a), sign);
        add(expand(difference->b), -sign);
    } else if (const Mul *product = e.as<Mul>()) {
        for (const auto &[left, left_count] : expand(product->a)) {
            for (const auto &[right, right_count] : expand(product->b)) {
                std::vector<std::string> factors = left;
                factors.insert(factors.end(), right.begin(), right.end());
                std::sort(factors.begin(), factors.end());
                add({{factors, left_count * right_count}}, sign);
            }
        }
    } else if (const Broadcast *broadcast = e.as<Broadcast>()) {
        add(expand(broadcast->value), sign);
    } else if (e.as<Call>() && e.as<Call>()->name == kStep) {
        add(expand(e.as<Call>()->args[0]), sign);
    } else if (const Ramp *ramp = e.as<Ramp>()) {
        add(expand(ramp->base), sign);
        for (const auto &[stride, count] : expand(ramp->stride)) {
            std::vector<std::string> factors = stride;
            factors.push_back(" lane");
            add({{factors, count}}, sign);
        }
    } else {
        std::ostringstream name;
        name << e;
        out[{name.str()}] += sign;
    }
    return out;
}

// Whether a and b have the same value.
bool same(const Expr &a, const Expr &b);

template <class Node>
bool same_operands(const Node *a, const Expr &b) {
    const Node *other = b.as<Node>();
    return same(a->a, other->a) && same(a->b, other->b);
}

bool same(const Expr &a, const Expr &b) {
    if (a.same_as(b)) return true;
    if (a.type() != b.type()) return false;
    if (a.type().is_int()) return expand(a) == expand(b);
    if (a.node_type() != b.node_type()) return false;
    switch (a.node_type()) {
    case IRNodeType::Cast: return same(a.as<Cast>()->value, b.as<Cast>()->value);
    case IRNodeType::Reinterpret: return same(a.as<Reinterpret>()->value, b.as<Reinterpret>()->value);
    case IRNodeType::Broadcast: return same(a.as<Broadcast>()->value, b.as<Broadcast>()->value);
    case IRNodeType::Load: {
        const Load *load = a.as<Load>(), *other = b.as<Load>();
        return load->name == other->name && same(load->index, other->index) && equal(load->predicate, other->predicate);
    }
    case IRNodeType::Select: {
        const Select *select = a.as<Select>(), *other = b.as<Select>();
        return equal(select->condition, other->condition) && same(select->true_value, other->true_value) &&
               same(select->false_value, other->false_value);
    }
    case IRNodeType::Shuffle: {
        const Shuffle *shuffle = a.as<Shuffle>(), *other = b.as<Shuffle>();
        if (shuffle->indices != other->indices || shuffle->vectors.size() != other->vectors.size()) return false;
        for (std::size_t i = 0; i < shuffle->vectors.size(); ++i) {
            if (!same(shuffle->vectors[i], other->vectors[i])) return false;
        }
        return true;
    }
    case IRNodeType::Call: {
        const Call *call = a.as<Call>(), *other = b.as<Call>();
        if (call->name != other->name || call->args.size() != other->args.size() || !call->is_pure()) return false;
        for (std::size_t i = 0; i < call->args.size(); ++i) {
            if (!same(call->args[i], other->args[i])) return false;
        }
        return true;
    }
    case IRNodeType::Add: return same_operands(a.as<Add>(), b);
    case IRNodeType::Sub: return same_operands(a.as<Sub>(), b);
    case IRNodeType::Mul: return same_operands(a.as<Mul>(), b);
    default: return equal(a, b);
    }
}

class FindWalked : public IRGraphVisitor {
public:
    bool walked = false, steady = false, nested_loop = false;

private:
    using IRGraphVisitor::visit;
    void visit(const Call *call) override {
        walked |= call->name == kWalked;
        steady |= call->name == kSteady;
        IRGraphVisitor::visit(call);
    }
    void visit(const For *) override { nested_loop = true; }
};

class FindMasks : public IRGraphVisitor {
public:
    std::vector<Expr> indices;

private:
    using IRGraphVisitor::visit;
    void visit(const Call *call) override {
        if (call->name == kLaneMask) {
            for (const Expr &known : indices) {
                if (graph_equal(known, call->args[0])) return;
            }
            indices.push_back(call->args[0]);
        }
        IRGraphVisitor::visit(call);
    }
};

// Names the walked values: what remains of the body refers to them by name.
class NameWalked : public IRMutator {
public:
    std::vector<Expr> values;
    std::vector<Expr> names;

private:
    using IRMutator::visit;
    Expr visit(const Call *call) override {
        if (call->name != kWalked) return IRMutator::visit(call);
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (graph_equal(values[i], Expr(call)) || same(values[i], Expr(call))) return names[i];
        }
        values.emplace_back(call);
        names.push_back(Variable::make(call->type, unique_name("walked")));
        return names.back();
    }
};

// Takes steady values from the iteration `at`.
class Steady : public IRMutator {
public:
    Steady(std::string loop, Expr at) : loop_(std::move(loop)), at_(std::move(at)) {}

private:
    using IRMutator::visit;
    Expr visit(const Call *call) override { return call->name == kSteady ? substitute(loop_, at_, call->args[0]) : IRMutator::visit(call); }
    std::string loop_;
    Expr at_;
};

class GuardLoads : public IRMutator {
public:
    explicit GuardLoads(Expr inside) : inside_(std::move(inside)) {}

private:
    using IRMutator::visit;
    Expr visit(const Load *load) override {
        if (load->type.lanes() != inside_.type().lanes()) return load;
        return Load::make(load->type, load->name, load->index, load->image, load->param, inside_, load->alignment);
    }
    Expr inside_;
};

class GuardStores : public IRMutator {
public:
    explicit GuardStores(int lanes) : lanes_(lanes) {}

private:
    using IRMutator::visit;
    Stmt visit(const Store *store) override {
        const int lanes = store->value.type().lanes();
        Expr inside = Ramp::make(0, 1, lanes) < Broadcast::make(lanes_, lanes);
        return Store::make(store->name, store->value, store->index, store->param, inside, store->alignment);
    }
    int lanes_;
};

// Leaves of each row's masks the left ones of its first vector and the right ones of its last.
class DropInnerMasks : public IRMutator {
public:
    explicit DropInnerMasks(std::vector<Expr> indices) : indices_(std::move(indices)) {}

private:
    using IRMutator::visit;
    Expr visit(const Call *call) override {
        // Elsewhere padding may be wider than a vector.
        if (call->name != kLaneMask || border_of(call->args[2]) != Border::masked || *as_const_int(scalar(call->args[3])) == kBothSides) return IRMutator::visit(call);
        const int lanes = call->type.lanes();
        bool first = true, last = true;
        for (const Expr &index : indices_) {
            if (index.type() != call->args[0].type()) continue;
            const Polynomial distance = expand(index - call->args[0]);
            if (distance.empty() || distance.begin()->first != Polynomial::key_type{} || distance.size() > 1) continue;
            const std::int64_t columns = distance.begin()->second;
            if (columns % lanes != 0) continue;
            first &= columns > 0;
            last &= columns < 0;
        }
        std::vector<Expr> args = call->args;
        args[4] = (first ? 0 : 1) + (last ? 0 : 2);
        return Call::make(call->type, call->name, args, call->call_type);
    }
    std::vector<Expr> indices_;
};

// One after the other.
std::vector<Stmt> statements(const Stmt &s) {
    const Block *block = s.as<Block>();
    if (!block) return {s};
    std::vector<Stmt> out = statements(block->first);
    for (const Stmt &each : statements(block->rest)) out.push_back(each);
    return out;
}

// A vector that a loop hands from an iteration to the next, in a buffer that LLVM turns into a register.
struct Carried {
    std::string buffer;
    Expr value;
    std::size_t number, next;  // among the walked values: which this is, and which it will be handed for the next iteration

    int lanes() const { return value.type().lanes(); }
    Expr index() const { return lanes() == 1 ? Expr(0) : Ramp::make(0, 1, lanes()); }
    Expr load() const {
        return Load::make(value.type(), buffer, index(), Buffer<>(), Parameter(), const_true(lanes()), ModulusRemainder());
    }
    Stmt store(const Expr &v) const {
        return Store::make(buffer, v, index(), Parameter(), const_true(lanes()), ModulusRemainder());
    }
};

}  // namespace

Expr walked(const Expr &index, const Expr &extent, const Expr &border, const Expr &value, const Expr &outside) {
    return Call::make(value.type(), kWalked, {index, extent, border, value, outside}, Call::PureExtern);
}

Expr walked_index(const Expr &index, const Expr &extent) { return Call::make(Int(32), kStep, {index, extent}, Call::PureExtern); }

Expr steady(const Expr &value) { return Call::make(value.type(), kSteady, {value}, Call::PureExtern); }

Expr lane_mask(const Expr &index, const Expr &extent, const Expr &border, int side, const Expr &value) {
    return Call::make(value.type(), kLaneMask, {index, extent, border, side, 0, value}, Call::PureExtern);
}

Expr WindowWalk::visit(const Call *call) {
    if (call->name == kLaneMask) {
        Expr index = call->args[0], value = mutate(call->args[5]);
        const Border border = border_of(call->args[2]);
        const bool anywhere = border == Border::clamped || border == Border::narrow || short_row_ > 0;
        const auto side = *as_const_int(scalar(call->args[3])), inner = *as_const_int(scalar(call->args[4]));
        const bool left = (inner & 1) == 0 && (anywhere || (border == Border::masked && (side < 0 || side == kBothSides)));
        const bool right = (inner & 2) == 0 && (anywhere || (border == Border::masked && side > 0));
        Expr inside = const_true(index.type().lanes());
        if (left) inside = inside && index >= make_zero(index.type());
        if (right) inside = inside && index < call->args[1];
        inside = simplify(inside);
        if (is_const_one(inside)) return value;
        if (anywhere && call->type.is_scalar()) {
            return Call::make(call->type, Call::if_then_else, {inside, value, make_zero(call->type)}, Call::PureIntrinsic);
        }
        if (anywhere || masked_loads_) value = GuardLoads(inside).mutate(value);
        return select(inside, value, make_zero(call->type));
    }
    if (call->name == kSteady) return mutate(call->args[0]);
    if (call->name == kStep) return Step(false).mutate(call);  // of constants, which Halide lifts out of loops
    if (call->name == kWalked) {  // outside of a loop that walks, or at its ends
        Walked w(call);
        if (!w.may_leave) return mutate(Step(true).mutate(w.value));
        Expr inside = simplify(w.index >= 0 && w.index < w.extent);
        if (is_const_zero(inside)) return w.outside;
        if (is_const_one(inside)) return mutate(Step(true).mutate(w.value));
        return select(inside, mutate(Step(false).mutate(w.value)), w.outside);
    }
    return IRMutator::visit(call);
}

Stmt WindowWalk::visit(const LetStmt *let) {
    const Call *step = let->value.as<Call>();
    if (!step || step->name != kStep || !as_const_int(step->args[0]) || !as_const_int(step->args[1])) return IRMutator::visit(let);
    return mutate(substitute(let->name, simplify(Step(false).mutate(let->value)), let->body));
}

Stmt WindowWalk::visit(const For *loop) {
    if (loop->for_type != ForType::Serial) return IRMutator::visit(loop);
    FindWalked found;
    loop->body.accept(&found);
    if (found.nested_loop || !found.walked) return IRMutator::visit(loop);
    NameWalked named;
    const Stmt body = named.mutate(inline_lets(loop->body));
    FindMasks masks;
    for (const Expr &value : named.values) value.accept(&masks);
    std::vector<Expr> values;
    for (const Expr &value : named.values) values.push_back(DropInnerMasks(masks.indices).mutate(value));

    // A loop around a plane of constant extents, whose rows are unrolled: every index is a constant.
    if (std::none_of(values.begin(), values.end(), [&](const Expr &value) { return expr_uses_var(value.as<Call>()->args[0], loop->name); })) {
        // Simplified, all addresses of a plane are one and a constant: LLVM computes each by itself, in vectors even.
        Stmt unrolled = mutate(DropInnerMasks(masks.indices).mutate(simplify(inline_lets(loop->body))));
        if (short_row_ > 0) unrolled = GuardStores(short_row_).mutate(unrolled);
        unrolled = common_subexpression_elimination(unrolled);
        return For::make(loop->name, loop->min, loop->extent, loop->for_type, loop->partition_policy, loop->device_api, unrolled);
    }

    Expr variable = Variable::make(Int(32), loop->name);
    std::vector<Carried> carried;
    std::vector<std::size_t> computed;  // in each iteration
    for (std::size_t i = 0; i < values.size(); ++i) {
        Expr next = substitute(loop->name, variable + 1, values[i]);
        bool found_next = false;
        for (std::size_t j = 0; j < values.size() && !found_next; ++j) {
            if (i == j || values[i].type() != values[j].type() || !same(next, values[j])) continue;
            carried.push_back({unique_name("carried"), values[i], i, j});
            found_next = true;
        }
        if (!found_next) computed.push_back(i);
    }

    // The iterations in which everything computed lies inside, and, where there are steady values, whole windows: from `begin`
    // up to `rest`.
    Expr begin = loop->min, end = loop->min + loop->extent;
    bool any_leaves = false;
    for (std::size_t i = 0; i < values.size(); ++i) {
        Walked w(values[i].as<Call>());
        const bool is_computed = std::find(computed.begin(), computed.end(), i) != computed.end();
        if (!w.may_leave || !(is_computed || found.steady)) continue;
        any_leaves = true;
        Expr at_zero = simplify(substitute(loop->name, 0, w.index));
        Expr step = simplify(substitute(loop->name, 1, w.index) - at_zero);
        begin = max(begin, (step - 1 - at_zero) / step);
        end = min(end, (w.extent - at_zero + step - 1) / step);
    }
    const auto bound = [](const char *name) { return Variable::make(Int(32), unique_name(name)); };
    Expr first = bound("first"), last = bound("last"), walk_begin = bound("begin"), rest = bound("rest");
    const auto let = [](const Expr &variable, const Expr &value, const Stmt &in) {
        return LetStmt::make(variable.as<Variable>()->name, simplify(value), in);
    };

    using Lets = std::vector<std::pair<std::string, Expr>>;
    const auto within = [](const Lets &lets, Stmt inner) {
        for (auto let = lets.rbegin(); let != lets.rend(); ++let) inner = LetStmt::make(let->first, let->second, inner);
        return inner;
    };
    const auto loop_over = [&](const Expr &from, const Expr &count, bool inside) {
        const std::string name = unique_name(loop->name);
        Expr at = from + Variable::make(Int(32), name);
        std::vector<Expr> now(values.size());  // what each walked value is called
        Lets kept, lets;
        for (const Carried &c : carried) {
            kept.push_back({unique_name("kept"), c.load()});
            now[c.number] = Variable::make(c.value.type(), kept.back().first);
        }
        for (std::size_t i : computed) {
            Walked w(values[i].as<Call>());
            lets.push_back({unique_name("walked"), mutate(substitute(loop->name, at, inside ? Step(true).mutate(w.value) : values[i]))});
            now[i] = Variable::make(values[i].type(), lets.back().first);
        }
        std::map<std::string, Expr> names;
        for (std::size_t i = 0; i < values.size(); ++i) names[named.names[i].as<Variable>()->name] = now[i];
        const Stmt all = substitute(loop->name, at, substitute(names, Steady(loop->name, inside ? walk_begin : variable).mutate(body)));

        Stmt result;
        for (const Carried &c : carried) result = result.defined() ? Block::make(result, c.store(now[c.next])) : c.store(now[c.next]);
        // Each value just before the first statement that needs it: all of them at once are more than the registers hold.
        std::vector<std::pair<Lets, Stmt>> parts;
        for (const Stmt &part : statements(all)) {
            Lets first_needed;
            const auto needed = [&](const auto &let) { return stmt_uses_var(part, let.first); };
            std::copy_if(lets.begin(), lets.end(), std::back_inserter(first_needed), needed);
            lets.erase(std::remove_if(lets.begin(), lets.end(), needed), lets.end());
            parts.emplace_back(first_needed, part);
        }
        if (result.defined()) result = within(lets, result);
        for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
            result = within(part->first, result.defined() ? Block::make(part->second, result) : part->second);
        }
        return For::make(name, 0, count, ForType::Serial, Partition::Never, loop->device_api,
                         common_subexpression_elimination(within(kept, result)));
    };

    std::vector<Stmt> parts;
    for (const Carried &c : carried) parts.push_back(c.store(mutate(simplify(substitute(loop->name, loop->min, c.value)))));
    if (!parts.empty()) parts = {common_subexpression_elimination(Block::make(parts))};
    if (any_leaves) parts.push_back(loop_over(first, walk_begin - first, false));
    parts.push_back(loop_over(walk_begin, rest - walk_begin, true));
    if (any_leaves) parts.push_back(loop_over(rest, last - rest, false));
    Stmt result = Block::make(parts);
    result = let(rest, clamp(end, walk_begin, last), result);
    result = let(walk_begin, clamp(begin, first, last), result);
    result = let(first, loop->min, let(last, loop->min + loop->extent, result));
    for (const Carried &c : carried) {
        result = Block::make(result, Free::make(c.buffer));
        result = Allocate::make(c.buffer, c.value.type().element_of(), MemoryType::Stack, {c.value.type().lanes()}, const_true(), result);
    }
    return result;
}

}  // namespace halpool
