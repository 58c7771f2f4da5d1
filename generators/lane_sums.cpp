#include "lane_sums.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {

namespace {

// A load of consecutive elements, or null.
const Load *dense_load(const Expr &value) {
    const Load *load = value.as<Load>();
    const Ramp *ramp = load ? load->index.as<Ramp>() : nullptr;
    return ramp && is_const_one(ramp->stride) && ramp->base.type().is_scalar() ? load : nullptr;
}

// Some lanes of a dense load, as a load of their own: LLVM takes a wide load apart lane by lane.
Expr load_part(const Load *load, int begin, int lanes) {
    return Load::make(load->type.with_lanes(lanes), load->name, Ramp::make(load->index.as<Ramp>()->base + begin, 1, lanes), load->image,
                      load->param, const_true(lanes), ModulusRemainder());
}

Expr sum_in_order(const Expr &a, const Expr &b) { return a.type().is_float() ? strict_float(a + b) : a + b; }

}  // namespace

Expr LaneSums::visit(const VectorReduce *op) {
    const int sums = op->type.lanes(), taps = op->value.type().lanes() / sums, lanes = std::min(sums, vector_);
    if (op->op != VectorReduce::Add) return IRMutator::visit(op);
    Expr value = mutate(op->value);
    int odd = taps;
    // Neighbours in pairs, of two registers at a time: of more, LLVM for AVX-512 makes wider ones and takes these apart.
    const int together = blends_ ? 2 * vector_ : value.type().lanes();
    std::vector<std::pair<std::string, Expr>> lets;
    for (; odd % 2 == 0; odd /= 2) {
        const int all = value.type().lanes(), count = all % together == 0 ? together : all;
        const Load *dense = dense_load(value);
        Expr whole = Variable::make(value.type(), unique_name("lanes"));
        if (count < all && !dense) lets.emplace_back(whole.as<Variable>()->name, value);
        std::vector<Expr> sums_of_pairs;
        for (int begin = 0; begin < all; begin += count) {
            Expr part = count == all ? value : Shuffle::make_slice(whole, begin, 1, count);
            if (dense && count == 2 * vector_) part = Shuffle::make_concat({load_part(dense, begin, vector_), load_part(dense, begin + vector_, vector_)});
            Expr pairs = Variable::make(part.type(), unique_name("pairs"));
            lets.emplace_back(pairs.as<Variable>()->name, part);
            sums_of_pairs.push_back(sum_in_order(Shuffle::make_slice(pairs, 0, 2, count / 2), Shuffle::make_slice(pairs, 1, 2, count / 2)));
        }
        value = sums_of_pairs.size() == 1 ? sums_of_pairs[0] : Shuffle::make_concat(sums_of_pairs);
    }
    const auto with_lets = [&](Expr result) {
        for (auto let = lets.rbegin(); let != lets.rend(); ++let) result = Let::make(let->first, let->second, result);
        return result;
    };
    if (odd == 1) return with_lets(value);
    if (!blends_ || lanes == 1 || sums % lanes != 0) return with_lets(VectorReduce::make(VectorReduce::Add, value, sums));

    Expr source = Variable::make(value.type(), unique_name("taps"));
    const Load *dense = dense_load(value);
    const auto vector_at = [&](int begin) {
        return dense ? load_part(dense, begin, lanes) : Shuffle::make_slice(source, begin, 1, lanes);
    };
    std::vector<Expr> parts;
    for (int first = 0; first < sums; first += lanes) {
        Expr part;
        for (int tap = 0; tap < odd; ++tap) {
            Expr blend;
            for (int i = 0; i < odd; ++i) {
                Expr vector = vector_at(first * odd + i * lanes);
                if (i == 0) {
                    blend = vector;
                    continue;
                }
                std::vector<int> from;
                for (int lane = 0; lane < lanes; ++lane) from.push_back(lane + ((i * lanes + lane) % odd == tap ? lanes : 0));
                blend = Shuffle::make({blend, vector}, from);
            }
            std::vector<int> order;
            for (int sum = 0; sum < lanes; ++sum) order.push_back((sum * odd + tap) % lanes);
            Expr in_order = Shuffle::make({blend}, order);
            part = tap == 0 ? in_order : sum_in_order(part, in_order);
        }
        parts.push_back(part);
    }
    Expr all = parts.size() == 1 ? parts[0] : Shuffle::make_concat(parts);
    return with_lets(dense ? all : Let::make(source.as<Variable>()->name, value, all));
}

}  // namespace halpool
