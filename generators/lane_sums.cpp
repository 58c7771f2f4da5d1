#include "lane_sums.hpp"

#include <algorithm>

using namespace Halide;
using namespace Halide::Internal;

namespace halpool {

Expr LaneSums::visit(const VectorReduce *op) {
    const int sums = op->type.lanes(), taps = op->value.type().lanes() / sums, lanes = std::min(sums, vector_);
    if (op->op != VectorReduce::Add) return IRMutator::visit(op);
    Expr value = mutate(op->value);
    int odd = taps;
    for (; odd % 2 == 0; odd /= 2) {  // neighbours in pairs
        Expr all = Variable::make(value.type(), unique_name("pairs"));
        const int pairs = value.type().lanes() / 2;
        Expr sum = strict_float(Shuffle::make_slice(all, 0, 2, pairs) + Shuffle::make_slice(all, 1, 2, pairs));
        value = Let::make(all.as<Variable>()->name, value, sum);
    }
    if (odd == 1) return value;
    if (!blends_ || lanes == 1 || sums % lanes != 0) return VectorReduce::make(VectorReduce::Add, value, sums);

    Expr source = Variable::make(value.type(), unique_name("taps"));
    // Vectors as they lie in memory: LLVM takes a wide load apart lane by lane.
    const Load *load = value.as<Load>();
    const Ramp *dense = load ? load->index.as<Ramp>() : nullptr;
    if (dense && !(is_const_one(dense->stride) && dense->base.type().is_scalar())) dense = nullptr;
    const auto vector_at = [&](int begin) {
        if (!dense) return Shuffle::make_slice(source, begin, 1, lanes);
        return Load::make(value.type().with_lanes(lanes), load->name, Ramp::make(dense->base + begin, 1, lanes), load->image,
                          load->param, const_true(lanes), ModulusRemainder());
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
            part = tap == 0 ? in_order : strict_float(part + in_order);
        }
        parts.push_back(part);
    }
    Expr all = parts.size() == 1 ? parts[0] : Shuffle::make_concat(parts);
    return dense ? all : Let::make(source.as<Variable>()->name, value, all);
}

}  // namespace halpool
