#ifndef HALPOOL_GENERATORS_LANE_SUMS_HPP
#define HALPOOL_GENERATORS_LANE_SUMS_HPP

#include <Halide.h>

namespace halpool {

// Sums of neighbouring lanes in one order, however many sums a vector has: LLVM's own order depends on that, and with it on
// the place in a tile. Pairs first. For an odd number of lanes LLVM gathers each by itself; but of three vectors of 8
// lanes, say, the first taps of all sums lie in different lanes: a blend of the three has them all, and one permutation puts
// them in order.
class LaneSums : public Halide::Internal::IRMutator {
public:
    // vector: lanes of a register, a power of two. blends: whether the target has them.
    LaneSums(int vector, bool blends) : vector_(vector), blends_(blends) {}

private:
    using Halide::Internal::IRMutator::visit;
    Halide::Expr visit(const Halide::Internal::VectorReduce *) override;
    int vector_;
    bool blends_;
};

}  // namespace halpool

#endif
