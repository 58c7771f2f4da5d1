// What avg_pool2d means, written from the definition alone, in more precision than the elements have: nothing of the library
// is used here.
#ifndef HALPOOL_TESTS_ORACLE_HPP
#define HALPOOL_TESTS_ORACLE_HPP

#include "element.hpp"
#include "strided_layout.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace halpool_test {

struct Axis {
    std::int64_t in, kernel, stride, pad_begin, pad_end, dilation;

    std::int64_t out(bool ceil_mode) const {
        const std::int64_t room = in + pad_begin + pad_end - dilation * (kernel - 1) - 1 + (ceil_mode ? stride - 1 : 0);
        std::int64_t windows = (room >= 0 ? room / stride : -((-room + stride - 1) / stride)) + 1;
        // PyTorch: the last window must start inside the input or the padding before it.
        if (ceil_mode && (windows - 1) * stride >= in + pad_begin) --windows;
        return windows;
    }

    // Of window o: the elements of the input, and how many taps lie before the end of the padding.
    struct Taps {
        Ints inside;
        std::int64_t full = 0;
    };
    std::vector<Taps> all_taps(bool ceil_mode) const {
        std::vector<Taps> all;
        for (std::int64_t o = 0; o < out(ceil_mode); ++o) all.push_back(taps(o));
        return all;
    }
    Taps taps(std::int64_t o) const {
        Taps found;
        for (std::int64_t tap = 0, at = o * stride - pad_begin; tap < kernel; ++tap, at += dilation) {
            if (at >= 0 && at < in) found.inside.push_back(at);
            if (at < in + pad_end) ++found.full;
        }
        return found;
    }
};

struct Axes {
    Axis y, x;
};

inline Axes axes(const Problem &problem) {
    const auto pick = [](const Ints &values, std::size_t axis) {
        return values.size() == 1 ? values[0] : values[axis];
    };
    Axes result{};
    Axis *const both[2] = {&result.y, &result.x};
    for (std::size_t i = 0; i < 2; ++i) {
        Axis &axis = *both[i];
        axis.in = problem.input_shape[problem.input_shape.size() - 2 + i];
        axis.kernel = pick(problem.kernel_size, i);
        axis.stride = problem.stride.empty() ? axis.kernel : pick(problem.stride, i);
        axis.pad_begin = problem.padding.empty() ? 0 : pick(problem.padding, i);
        axis.pad_end = problem.padding_end.empty() ? axis.pad_begin : pick(problem.padding_end, i);
        axis.dilation = problem.dilation.empty() ? 1 : pick(problem.dilation, i);
        if (problem.auto_pad != HALPOOL_AUTO_PAD_NONE) {
            // The least padding with which ceil(in / stride) windows fit, one by one on alternate sides.
            std::int64_t windows = 0;
            for (std::int64_t at = 0; at < axis.in; at += axis.stride) ++windows;
            bool end = problem.auto_pad == HALPOOL_AUTO_PAD_SAME_UPPER;
            for (; axis.out(false) < windows; end = !end) ++(end ? axis.pad_end : axis.pad_begin);
        }
    }
    return result;
}

inline Ints output_shape(const Problem &problem) {
    Ints shape = problem.input_shape;
    const Axes a = axes(problem);
    shape[shape.size() - 2] = a.y.out(problem.ceil_mode);
    shape[shape.size() - 1] = a.x.out(problem.ceil_mode);
    return shape;
}

struct Exact {
    long double value = 0;   // NaN and infinities as IEEE's addition gives them
    double magnitude = 0;    // sum |x| / |divisor|
    std::int64_t taps = 0;   // elements of the input in the window
    bool only_zeros = true;
    double divisor = 1;
    double underflow = 0;       // of the backward pass: each share is rounded for itself, if only to a denormal
    std::int64_t quotient = 0;  // of integers: the sum, which wraps, divided and truncated
};

inline std::int64_t divisor_of(const Problem &problem, const Axes &a, std::int64_t inside, std::int64_t full) {
    if (problem.divisor_override) return *problem.divisor_override;
    switch (problem.divisor_rule) {
    case HALPOOL_DIVISOR_WINDOW_FULL: return a.y.kernel * a.x.kernel;
    case HALPOOL_DIVISOR_WINDOW_CLIPPED: return full;
    case HALPOOL_DIVISOR_VALID_TAPS: return inside;
    default: return problem.count_include_pad ? full : inside;
    }
}

// plane: the H*W values of one image's channel, row after row.
template <class T>
Exact exact_window(const Problem &problem, const Axes &a, const T *plane, const Axis::Taps &rows, const Axis::Taps &columns) {
    Exact exact;
    exact.taps = static_cast<std::int64_t>(rows.inside.size() * columns.inside.size());
    if (exact.taps == 0) return exact;  // wholly in padding
    const std::int64_t divisor = divisor_of(problem, a, exact.taps, rows.full * columns.full);
    exact.divisor = static_cast<double>(divisor);
    std::conditional_t<std::is_same<T, double>::value, long double, double> sum = 0;
    double magnitude = 0;
    std::uint64_t whole = 0;
    for (const std::int64_t y : rows.inside)
        for (const std::int64_t x : columns.inside) {
            const T &element = plane[y * a.x.in + x];
            if constexpr (!Element<T>::kFloat) whole += static_cast<std::uint64_t>(static_cast<std::int64_t>(element));
            double value = Element<T>::number(element);
            const halpool_quantization &q = problem.input_quantization;
            if (q.scale != 0) value = q.scale * (value - static_cast<double>(q.zero_point));
            sum += value;
            magnitude += std::fabs(value);
        }
    exact.only_zeros = magnitude == 0;
    exact.value = sum / exact.divisor;
    exact.magnitude = magnitude / std::fabs(exact.divisor);
    exact.quotient = divisor == -1 ? static_cast<std::int64_t>(0 - whole) : static_cast<std::int64_t>(whole) / divisor;
    return exact;
}

// Every element of the output in C order, from the input's values in C order.
template <class T>
std::vector<Exact> exact_output(const Problem &problem, const std::vector<T> &values) {
    const Axes a = axes(problem);
    const auto plane = static_cast<std::size_t>(a.y.in * a.x.in);
    const std::vector<Axis::Taps> rows = a.y.all_taps(problem.ceil_mode), columns = a.x.all_taps(problem.ceil_mode);
    std::vector<Exact> exact;
    for (std::size_t first = 0; first < values.size(); first += plane)
        for (const Axis::Taps &row : rows)
            for (const Axis::Taps &column : columns) exact.push_back(exact_window(problem, a, values.data() + first, row, column));
    return exact;
}

// The backward pass, by its definition: each window gives its gradient, divided, to each of its elements. `values`: the
// gradients of the output in C order; the result: those of the input. `taps` counts the windows over an element.
template <class T>
std::vector<Exact> exact_gradient(const Problem &problem, const std::vector<T> &values) {
    const Axes a = axes(problem);
    const std::vector<Axis::Taps> all_rows = a.y.all_taps(problem.ceil_mode), all_columns = a.x.all_taps(problem.ceil_mode);
    const std::int64_t plane = a.y.in * a.x.in;
    std::size_t planes = 1;
    for (std::size_t axis = 0; axis + 2 < problem.input_shape.size(); ++axis) planes *= static_cast<std::size_t>(problem.input_shape[axis]);
    std::vector<Exact> exact(planes * static_cast<std::size_t>(plane));
    std::vector<std::uint64_t> whole(exact.size());
    std::size_t at = 0;
    for (std::size_t p = 0; p < planes; ++p)
        for (const Axis::Taps &rows : all_rows)
            for (auto column = all_columns.begin(); column != all_columns.end(); ++column, ++at) {
                const Axis::Taps &columns = *column;
                const auto taps = static_cast<std::int64_t>(rows.inside.size() * columns.inside.size());
                if (taps == 0) continue;
                const std::int64_t divisor = divisor_of(problem, a, taps, rows.full * columns.full);
                const long double share = static_cast<long double>(Element<T>::number(values[at])) / static_cast<long double>(divisor);
                std::uint64_t quotient = 0;
                if constexpr (!Element<T>::kFloat) {
                    const auto element = static_cast<std::int64_t>(values[at]);
                    quotient = divisor == -1 ? 0 - static_cast<std::uint64_t>(element) : static_cast<std::uint64_t>(element / divisor);
                }
                for (const std::int64_t y : rows.inside)
                    for (const std::int64_t x : columns.inside) {
                        const std::size_t i = p * static_cast<std::size_t>(plane) + static_cast<std::size_t>(y * a.x.in + x);
                        Exact &element = exact[i];
                        element.value += share;
                        element.magnitude += std::fabs(static_cast<double>(share));
                        element.only_zeros = element.only_zeros && share == 0;
                        if (divisor < 0) element.divisor = -1;  // which may turn the sign of a zero
                        ++element.taps;
                        element.underflow += Element<T>::kSumDigits == 24 ? 0x1p-150 : 0x1p-1074;
                        whole[i] += quotient;
                        element.quotient = static_cast<std::int64_t>(whole[i]);
                    }
            }
    return exact;
}

// The accuracy contract: (2 ceil(log2 n) + 16) units of sum|x| / |divisor|, of the type that is summed in, plus one rounding
// to the element.
template <class T = float>
double allowed_error(const Exact &exact) {
    double log2_taps = 0;
    while (std::ldexp(1.0, static_cast<int>(log2_taps)) < static_cast<double>(exact.taps)) ++log2_taps;
    const double contract = (2 * log2_taps + 16) * std::ldexp(1.0, -Element<T>::kSumDigits) * exact.magnitude;
    int exponent = 0;
    std::frexp(static_cast<double>(exact.value), &exponent);  // value = f * 2^exponent, f in [0.5, 1)
    const double half_ulp = std::ldexp(1.0, std::max(exponent, Element<T>::kLeastExponent) - 1 - Element<T>::kDigits);
    return contract + half_ulp + exact.underflow;
}

template <class T>
bool keeps_contract(const T &element, const Exact &exact) {
    if constexpr (!Element<T>::kFloat) {
        using Limits = std::numeric_limits<T>;
        return element == static_cast<T>(std::clamp<std::int64_t>(exact.quotient, Limits::min(), Limits::max()));
    }
    const double got = Element<T>::number(element);
    if (exact.taps == 0) return got == 0;
    if (std::isnan(exact.value)) return std::isnan(got);
    if (std::isinf(exact.value)) return static_cast<long double>(got) == exact.value;
    // -0.0 added up is +0.0; a negative divisor may turn its sign.
    if (exact.only_zeros) return got == 0 && (exact.divisor < 0 || !std::signbit(got));
    const double allowed = allowed_error<T>(exact);
    if (std::isinf(got)) {  // what rounds beyond the largest element
        const double beyond = std::ldexp(1.0 - std::ldexp(1.0, -Element<T>::kDigits - 1), Element<T>::kMostExponent);
        return std::signbit(got) == std::signbit(exact.value) && std::fabs(static_cast<double>(exact.value)) + allowed >= beyond;
    }
    return std::isfinite(got) && std::fabs(static_cast<double>(got - exact.value)) <= allowed;
}

// Of a quantized output: a real number's nearest element. What lies so near to the middle of two that float32 cannot tell may be either.
template <class T>
bool keeps_quantized_contract(const T &element, const Exact &exact, const Problem &problem) {
    using Limits = std::numeric_limits<T>;
    const halpool_quantization &to = problem.output_quantization.scale != 0 ? problem.output_quantization : problem.input_quantization;
    const double value = static_cast<double>(exact.value) / to.scale, room = std::ldexp(std::fabs(value), -21);
    const auto nearest = [&](double number) {
        const double whole = std::nearbyint(std::clamp(number, -1e6, 1e6)) + static_cast<double>(to.zero_point);
        return static_cast<T>(std::clamp<double>(whole, Limits::min(), Limits::max()));
    };
    return element == nearest(value - room) || element == nearest(value + room);
}

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_ORACLE_HPP
