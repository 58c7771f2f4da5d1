#ifndef HALPOOL_GENERATORS_LANE_SUMS_HPP
#define HALPOOL_GENERATORS_LANE_SUMS_HPP

#include <Halide.h>

namespace halpool {

// Sums of an odd number of neighbouring lanes: LLVM gathers each lane by itself. But of three vectors of 8 lanes, say, the
// first taps of all sums lie in different lanes: a blend of the three has them all, and one permutation puts them in order.
class LaneSums : public Halide::Internal::IRMutator {
public:
    explicit LaneSums(int vector) : vector_(vector) {}  // a power of two: lanes of a register

private:
    using Halide::Internal::IRMutator::visit;
    Halide::Expr visit(const Halide::Internal::VectorReduce *) override;
    int vector_;
};

}  // namespace halpool

#endif
