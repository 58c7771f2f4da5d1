// Average pooling in plain C++: takes every valid problem, any strides. The oracle of the tests and the last resort of
// the selector.
#ifndef HALPOOL_RUNTIME_REFERENCE_KERNEL_HPP
#define HALPOOL_RUNTIME_REFERENCE_KERNEL_HPP

#include "problem.hpp"

#include <cstdint>

namespace halpool {

// Computes output rows [row_begin, row_end) of planes [plane_begin, plane_end), a plane being n * C + c. Sums in
// double, rounds the sum to float and divides once, so that a sum beyond float's range is infinite as in PyTorch.
void reference_avg_pool2d(const Problem &problem, const float *input, float *output, std::int64_t plane_begin,
                          std::int64_t plane_end, std::int64_t row_begin, std::int64_t row_end);

}  // namespace halpool

#endif
