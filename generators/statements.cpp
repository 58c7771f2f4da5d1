#include "statements.hpp"

#include "pool_algorithm.hpp"

#include <utility>

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {
namespace {

class FindMark : public IRGraphVisitor {
public:
    explicit FindMark(std::string name) : name_(std::move(name)) {}
    const Call *mark = nullptr;

private:
    using IRGraphVisitor::visit;
    void visit(const Call *call) override {
        if (call->name == name_ && !mark) mark = call;
        IRGraphVisitor::visit(call);
    }
    std::string name_;
};

class ReplaceMark : public IRMutator {
public:
    ReplaceMark(std::string name, std::function<Expr(const Call *)> value) : name_(std::move(name)), value_(std::move(value)) {}

private:
    using IRMutator::visit;
    Expr visit(const Call *call) override { return call->name == name_ ? value_(call) : IRMutator::visit(call); }
    std::string name_;
    std::function<Expr(const Call *)> value_;
};

constexpr char kCallConstant[] = "halpool_call_constant";

}  // namespace

Expr call_constant(const Expr &value) { return Call::make(value.type(), kCallConstant, {value}, Call::PureExtern); }

Stmt hoist_constants(const Stmt &statement, Sequence &before) {
    std::vector<std::pair<Expr, Expr>> known;  // values and their names
    return replace_mark(statement, kCallConstant, [&](const Call *call) {
        const Expr value = call->args[0].as<Broadcast>() ? call->args[0].as<Broadcast>()->value : call->args[0];
        const auto wide = [&](const Expr &name) { return call->type.is_scalar() ? name : Broadcast::make(name, call->type.lanes()); };
        for (const auto &[of, name] : known) {
            if (equal(of, value)) return wide(name);
        }
        known.emplace_back(value, before.let("constant", value));
        return wide(known.back().second);
    });
}

const Call *find_mark(const Stmt &statement, const std::string &name) {
    FindMark found(name);
    statement.accept(&found);
    return found.mark;
}

Stmt replace_mark(const Stmt &statement, const std::string &name, std::function<Expr(const Call *)> value) {
    return ReplaceMark(name, std::move(value)).mutate(statement);
}

Expr Sequence::let(const char *name, const Expr &value) {
    const std::string unique = unique_name(name);
    lets_.emplace_back(unique, value, statements_.size());
    return Variable::make(value.type(), unique);
}

Stmt Sequence::done() const {
    Stmt result;
    auto let = lets_.rbegin();
    const auto close = [&](std::size_t from) {
        for (; let != lets_.rend() && std::get<2>(*let) >= from; ++let) {
            if (result.defined()) result = LetStmt::make(std::get<0>(*let), std::get<1>(*let), result);
        }
    };
    close(statements_.size());
    for (std::size_t i = statements_.size(); i-- > 0;) {
        result = result.defined() ? Block::make(statements_[i], result) : statements_[i];
        close(i);
    }
    return result;
}

Expr Floats::index(const Expr &at, int lanes) { return lanes == 1 ? at : Ramp::make(at, 1, lanes); }
Expr Floats::load(const Expr &at, int lanes) const {
    return Load::make(Float(32, lanes), name, index(begin + at, lanes), Buffer<>(), Parameter(), const_true(lanes), ModulusRemainder());
}
Stmt Floats::store(const Expr &at, const Expr &value) const {
    const int lanes = value.type().lanes();
    return Store::make(name, value, index(begin + at, lanes), Parameter(), const_true(lanes), ModulusRemainder());
}

Local::Local(const char *n, int s) : Floats{unique_name(n)}, size(s) {}
Stmt Local::within(const Stmt &body) const {
    // As one vector: Halide lets allocations of one type share memory, of which LLVM would then take apart the larger ones.
    return Allocate::make(name, Float(32, size), MemoryType::Stack, {}, const_true(), Block::make(body, Free::make(name)));
}
Stmt Local::zero() const { return store(0, make_zero(Float(32, size))); }
Stmt Local::add(const Expr &value) const { return store(0, plus(load(0, value.type().lanes()), value)); }

Expr plus(const Expr &a, const Expr &b) { return strict_float(a + b); }
Expr round_up(const Expr &value, const Expr &to) { return (value + to - 1) / to * to; }
Stmt if_else(const Expr &condition, const Stmt &then, const Stmt &otherwise) { return IfThenElse::make(condition, then, otherwise); }

Stmt loop(const char *name, const Expr &count, const std::function<Stmt(Expr)> &body) {
    const std::string unique = unique_name(name);
    return For::make(unique, 0, max(count, 0), ForType::Serial, Partition::Never, DeviceAPI::None, body(Variable::make(Int(32), unique)));
}

Expr chain(int count, const std::function<Expr(int)> &tap) {
    Expr sum = tap(0);
    for (int t = 1; t < count; ++t) sum = plus(sum, tap(t));
    return sum;
}

Stmt sum_in_blocks(int lanes, const Expr &count, const std::function<Expr(Expr)> &tap, const std::function<Stmt(Expr)> &put) {
    constexpr int kBlock = kSeparableBlock;
    const Local sum("sum", lanes), block("block", lanes);
    const auto add = [&](const Local &to, const Expr &from, const Expr &taps) { return loop("tap", taps, [&](const Expr &t) { return to.add(tap(from + t)); }); };
    const Stmt one = Block::make(sum.zero(), add(sum, 0, count));
    // Whole blocks are straight code: a loop over taps costs as much as they do.
    const Stmt several = Block::make({sum.zero(),
                                      loop("taps", count / kBlock, [&](const Expr &b) { return sum.add(chain(kBlock, [&](int t) { return tap(b * kBlock + t); })); }),
                                      block.zero(), add(block, count / kBlock * kBlock, count % kBlock), sum.add(block.load(0, lanes))});
    return sum.within(block.within(Block::make(if_else(count <= kBlock, one, several), put(sum.load(0, lanes)))));
}

Stmt each_vector(const Expr &count, int lanes, int together, const std::function<Stmt(Expr, int)> &body) {
    const auto vectors = [&](int width, const Expr &from) {
        return loop("vector", (count - from + width - 1) / width, [&](const Expr &vector) {
            Sequence s;
            const Expr at = s.let("at", min(from + vector * width, count - width));
            s.add(body(at, width));
            return s.done();
        });
    };
    const int chunk_lanes = together * lanes;
    Stmt wide = Block::make(loop("chunk", count / chunk_lanes, [&](const Expr &chunk) { return body(chunk * chunk_lanes, chunk_lanes); }),
                            vectors(lanes, count / chunk_lanes * chunk_lanes));
    Stmt narrow = vectors(1, 0);
    if (lanes > kNarrow) narrow = if_else(count >= kNarrow, vectors(kNarrow, 0), narrow);
    return if_else(count >= lanes, wide, narrow);
}

}  // namespace halpool
