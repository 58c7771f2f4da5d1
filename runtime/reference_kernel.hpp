// Average pooling and its backward pass in plain C++: takes every valid problem, any strides. The oracle of the tests and the last resort of
// the selector.
#ifndef HALPOOL_RUNTIME_REFERENCE_KERNEL_HPP
#define HALPOOL_RUNTIME_REFERENCE_KERNEL_HPP

#include "problem.hpp"

#include <cstdint>

namespace halpool {

// Computes output rows [row_begin, row_end) of planes [plane_begin, plane_end), a plane being n * C + c. input and output point
// at element [0, 0, 0, 0]. Sums float64 in twice its precision and smaller floats in double, rounds the sum to the type that
// PyTorch sums in and divides once, so that a sum beyond that type's range is infinite as in PyTorch. Integers: exact sums (of
// int64, which wrap); the quotient is truncated, and what does not fit the element is its largest or least value. The
// backward pass sums what each window's gradient is divided into in the same ways, integers after each division.
void reference_kernel(const Problem &problem, const void *input, void *output, std::int64_t plane_begin,
                          std::int64_t plane_end, std::int64_t row_begin, std::int64_t row_end);

}  // namespace halpool

#endif
