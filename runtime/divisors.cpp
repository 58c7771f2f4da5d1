#include "divisors.hpp"

#include <algorithm>
#include <cstring>

namespace halpool {
namespace {

template <class Factor>
Factor reciprocal_of(Factor divisor) { return Factor{1} / divisor; }
std::uint16_t reciprocal_of(std::uint16_t divisor) {  // see Factors
    return static_cast<std::uint16_t>(((1 << 16) / divisor + 1) / 2);
}

template <class Factor>
std::vector<unsigned char> bytes_of(const std::vector<Factor> &factors) {
    std::vector<unsigned char> bytes(factors.size() * sizeof(Factor));
    std::memcpy(bytes.data(), factors.data(), bytes.size());
    return bytes;
}

}  // namespace

Divisors::Divisors(const Problem &problem, Factors factors, std::int64_t pitch, bool needs_reciprocal, bool fixed) {
    switch (factors) {
    case Factors::f32: fill<float>(problem, kKernelFloat32, pitch, needs_reciprocal, fixed); break;
    case Factors::f64: fill<double>(problem, kKernelFloat64, pitch, needs_reciprocal, fixed); break;
    case Factors::u16: fill<std::uint16_t>(problem, kKernelUInt16, pitch, needs_reciprocal, fixed); break;
    case Factors::i64: fill<std::int64_t>(problem, kKernelInt64, pitch, needs_reciprocal, fixed); break;
    }
}

template <class Factor>
void Divisors::fill(const Problem &p, const KernelType &type, std::int64_t pitch, bool needs_reciprocal, bool fixed) {
    const std::int64_t out_h = p.windows_h(), out_w = p.windows_w(), factors = out_w * pitch;
    std::vector<Factor> x(static_cast<std::size_t>(factors)), y(static_cast<std::size_t>(out_h));
    for (std::int64_t o = 0; o < out_h; ++o) {
        y[static_cast<std::size_t>(o)] = static_cast<Factor>(divisor_factor(p.y, o, p.rule));
    }
    for (std::int64_t o = 0; o < out_w; ++o) {
        const std::int64_t factor = p.rule == DivisorRule::fixed ? p.fixed_divisor : divisor_factor(p.x, o, p.rule);
        std::fill_n(x.begin() + o * pitch, pitch, static_cast<Factor>(factor));
    }
    const auto all_equal = [](const std::vector<Factor> &v) {
        return std::all_of(v.begin(), v.end(), [&](Factor f) { return f == v.front(); });
    };
    uniform_ = all_equal(x) && all_equal(y);

    // A window has few divisors along y, small integers d: one row of 1 / (divisor_x * d) for each. Formed from
    // the product: two rounded reciprocals would make the mean of ones 1 + 2^-23.
    const bool by_class = needs_reciprocal && (fixed || !uniform_);
    const std::size_t classes = by_class ? static_cast<std::size_t>(*std::max_element(y.begin(), y.end())) : 1;
    // Kernels of the backward pass read beside the rows of reciprocals what they then mask.
    constexpr std::size_t kBeside = 64;
    std::vector<Factor> reciprocal(classes * x.size() + 2 * kBeside);
    for (std::size_t i = 0; i < classes * x.size(); ++i) {
        reciprocal[kBeside + i] = reciprocal_of(static_cast<Factor>(x[i % x.size()] * static_cast<Factor>(i / x.size() + 1)));
    }
    x_ = bytes_of(x);
    y_ = bytes_of(y);
    reciprocal_ = bytes_of(reciprocal);
    x_dimensions_ = {{{0, narrow(factors), 1, 0}}};
    y_dimensions_ = {{{0, narrow(out_h), 1, 0}}};
    reciprocal_dimensions_ = {{{0, narrow(factors), 1, 0}, {0, static_cast<std::int32_t>(classes), narrow(factors), 0}}};
    x_buffer_ = kernel_buffer(x_.data(), type, x_dimensions_);
    y_buffer_ = kernel_buffer(y_.data(), type, y_dimensions_);
    reciprocal_buffer_ = kernel_buffer(reciprocal_.data() + kBeside * sizeof(Factor), type, reciprocal_dimensions_);
}

}  // namespace halpool
