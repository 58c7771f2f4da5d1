#include "spread_call.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>

namespace halpool {
namespace {

// Elements of a row, `step` apart, the others zero; factors: null where all are 1.
template <class T>
void spread_row(const T *from, std::int64_t from_step, const T *factors, std::int64_t count, T *to, std::int64_t step, std::int64_t width) {
    const auto of = [&](std::int64_t i) { return factors ? from[i * from_step] * factors[i] : from[i * from_step]; };
    if (step == 1 && from_step == 1) {  // for vectors, no branch within
        if (factors) {
            for (std::int64_t i = 0; i < count; ++i) to[i] = from[i] * factors[i];
        } else {
            std::copy_n(from, count, to);
        }
        std::fill(to + count, to + width, T{0});
    } else if (step == 2 && from_step == 1) {
        const std::int64_t pairs = std::min(count, width / 2);
        if (factors) {
            for (std::int64_t i = 0; i < pairs; ++i) {
                to[2 * i] = from[i] * factors[i];
                to[2 * i + 1] = 0;
            }
        } else {
            for (std::int64_t i = 0; i < pairs; ++i) {
                to[2 * i] = from[i];
                to[2 * i + 1] = 0;
            }
        }
        std::fill(to + 2 * pairs, to + width, T{0});
        if (pairs < count) to[2 * pairs] = of(pairs);
    } else {
        std::fill_n(to, width, T{0});
        for (std::int64_t i = 0; i < count; ++i) to[i * step] = of(i);
    }
}

// Pixels of a row, channels-last, from_step apart; those channels of each; factors: null where all are 1.
template <class T>
void scale_pixels(const T *from, std::int64_t from_step, const T *factors, std::int64_t count, T *to, std::int64_t pixel, std::int64_t channel_begin,
                  std::int64_t channel_end) {
    for (std::int64_t i = 0; i < count; ++i, from += from_step, to += pixel) {
        const T factor = factors ? factors[i] : T{1};
        for (std::int64_t c = channel_begin; c < channel_end; ++c) to[c] = from[c] * factor;
    }
}

}  // namespace

SpreadCall::SpreadCall(const Problem &problem, const Problem &spread, const KernelRow &row)
    : StagedCall(spread, row),
      strides_(problem.input.strides),
      windows_h_(problem.windows_h()),
      windows_w_(problem.windows_w()),
      stride_h_(problem.y.stride),
      stride_w_(problem.x.stride) {
    // One divisor for all is the kernel's.
    if (problem.rule == DivisorRule::fixed || spread.fixed_divisor != 1) return;
    if (element_bytes() == 4) prepare_factors<float>(problem);
    else prepare_factors<double>(problem);
}

// Formed from the product, as Divisors are.
template <class T>
void SpreadCall::prepare_factors(const Problem &problem) {
    std::map<std::int64_t, std::int64_t> rows;  // of each divisor along y
    for (std::int64_t o = 0; o < windows_h_; ++o) {
        const auto next = static_cast<std::int64_t>(rows.size());
        factor_rows_.push_back(rows.emplace(divisor_factor(problem.y, o, problem.rule), next).first->second);
    }
    std::vector<T> factors(rows.size() * static_cast<std::size_t>(windows_w_));
    for (const auto &[along_y, row] : rows) {
        for (std::int64_t o = 0; o < windows_w_; ++o) {
            factors[static_cast<std::size_t>(row * windows_w_ + o)] = T{1} / (static_cast<T>(along_y) * static_cast<T>(divisor_factor(problem.x, o, problem.rule)));
        }
    }
    factors_.resize(factors.size() * sizeof(T));
    std::memcpy(factors_.data(), factors.data(), factors_.size());
}

void SpreadCall::stage(const void *input, const Rows &rows, void *to) const {
    if (element_bytes() == 4) spread(static_cast<const float *>(input), rows, static_cast<float *>(to));
    else spread(static_cast<const double *>(input), rows, static_cast<double *>(to));
}

template <class T>
void SpreadCall::spread(const T *gradient, const Rows &rows, T *to) const {
    const T *const plane = gradient + (nhwc() ? rows.outer * strides_[0] : rows.outer / channels() * strides_[0] + rows.outer % channels() * strides_[1]);
    const std::int64_t row_elements = width() * pixel();
    for (std::int64_t row = rows.begin; row < rows.end; ++row, to += row_elements) {
        const std::int64_t window = row / stride_h_;
        if (row % stride_h_ != 0 || window >= windows_h_) {
            std::fill_n(to, row_elements, T{0});
            continue;
        }
        const T *factors = nullptr;
        if (!factor_rows_.empty()) factors = reinterpret_cast<const T *>(factors_.data()) + factor_rows_[static_cast<std::size_t>(window)] * windows_w_;
        const T *const from = plane + window * strides_[2];
        if (nhwc()) {
            scale_pixels(from, strides_[3], factors, windows_w_, to, pixel(), rows.channel_begin, rows.channel_end);
            std::fill(to + windows_w_ * pixel(), to + row_elements, T{0});
        } else {
            spread_row(from, strides_[3], factors, windows_w_, to, stride_w_, width());
        }
    }
}

}  // namespace halpool
