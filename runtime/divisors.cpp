#include "divisors.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace halpool {
namespace {

// 1 / (x * y), a divisor's two factors; scale: Problem::scale, of floats alone.
template <class Factor>
Factor reciprocal_of(std::int64_t x, std::int64_t y, double scale) {
    const auto divisor = static_cast<Factor>(static_cast<Factor>(x) * static_cast<Factor>(y));
    if constexpr (std::is_same_v<Factor, std::uint16_t>) return static_cast<std::uint16_t>(((1 << 16) / divisor + 1) / 2);  // see Factors
    return static_cast<Factor>(static_cast<Factor>(scale) / divisor);
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
    std::vector<std::int64_t> whole_x(static_cast<std::size_t>(factors));
    std::vector<Factor> x(whole_x.size()), y(static_cast<std::size_t>(out_h));
    for (std::int64_t o = 0; o < out_h; ++o) {
        y[static_cast<std::size_t>(o)] = static_cast<Factor>(divisor_factor(p.y, o, p.rule));
    }
    for (std::int64_t o = 0; o < out_w; ++o) {
        const std::int64_t factor = p.rule == DivisorRule::fixed ? p.fixed_divisor : divisor_factor(p.x, o, p.rule);
        std::fill_n(whole_x.begin() + o * pitch, pitch, factor);
    }
    // Kernels divide by the product of both: what a scale does to a mean, its reciprocal does to a divisor.
    std::transform(whole_x.begin(), whole_x.end(), x.begin(), [&](std::int64_t factor) {
        if constexpr (std::is_same_v<Factor, float>) return static_cast<float>(static_cast<double>(factor) / p.scale);
        return static_cast<Factor>(factor);
    });
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
        reciprocal[kBeside + i] = reciprocal_of<Factor>(whole_x[i % x.size()], static_cast<std::int64_t>(i / x.size() + 1), p.scale);
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
