// What the windows of a problem are divided by, as kernels take it.
#ifndef HALPOOL_RUNTIME_DIVISORS_HPP
#define HALPOOL_RUNTIME_DIVISORS_HPP

#include "kernel_buffers.hpp"
#include "problem.hpp"

#include <halpool/internal/kernel_convention.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace halpool {

// The tables kDivisorX, kDivisorY and kReciprocal of kernel_convention.h. Neither copied nor moved: the buffers point into it.
class Divisors {
public:
    // pitch: kPitch. by_class: kReciprocal has a row for each divisor along y, not one alone.
    Divisors(const Problem &problem, Factors factors, std::int64_t pitch, bool needs_reciprocal, bool fixed);
    Divisors(const Divisors &) = delete;
    Divisors &operator=(const Divisors &) = delete;

    const std::int32_t &uniform() const { return uniform_; }  // kUniform
    const KernelBuffer &x() const { return x_buffer_; }
    const KernelBuffer &y() const { return y_buffer_; }
    const KernelBuffer &reciprocal() const { return reciprocal_buffer_; }

private:
    template <class Factor>
    void fill(const Problem &problem, const KernelType &type, std::int64_t pitch, bool needs_reciprocal, bool fixed);

    std::int32_t uniform_ = 0;
    std::vector<unsigned char> x_, y_, reciprocal_;
    std::array<KernelDimension, 1> x_dimensions_{}, y_dimensions_{};
    std::array<KernelDimension, 2> reciprocal_dimensions_{};
    KernelBuffer x_buffer_{}, y_buffer_{}, reciprocal_buffer_{};
};

}  // namespace halpool

#endif
