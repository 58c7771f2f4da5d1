// Random problems and the memory they lie in, the same on every machine for the same seed and number.
#ifndef HALPOOL_TESTS_PROPERTY_RANDOM_PROBLEM_HPP
#define HALPOOL_TESTS_PROPERTY_RANDOM_PROBLEM_HPP

#include "strided_layout.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace halpool_test {

// SplitMix64: the standard library's distributions differ between implementations.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    std::int64_t between(std::int64_t low, std::int64_t high) {  // both included
        return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
    }
    bool one_in(std::int64_t n) { return between(1, n) == 1; }
    double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

private:
    std::uint64_t state_;
};

struct RandomCase {
    Problem problem;
    StridedLayout input, output;
    std::vector<float> values;  // of the input, in C order
};

// even: half of the cases have dense memory, and channels and columns in multiples of four, for the kernels that demand
// them.
RandomCase random_case(std::uint64_t seed, std::int64_t number, bool even = false);

// The backward pass of the same problem: `input` and `values` are the gradient of the output, `output` is that of the input.
RandomCase random_backward_case(std::uint64_t seed, std::int64_t number);

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_PROPERTY_RANDOM_PROBLEM_HPP
