// The formulas of average pooling along one axis (docs/semantics.md, sections 2 and 3). Nothing else in the runtime
// computes where a window lies or what it is divided by.
#ifndef HALPOOL_RUNTIME_WINDOW_HPP
#define HALPOOL_RUNTIME_WINDOW_HPP

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace halpool {

// One axis of a problem. kernel, stride and dilation fit 32 bits, input * 4 fits 63: sums below cannot overflow.
struct Axis {
    std::int64_t input;
    std::int64_t kernel;
    std::int64_t stride;
    std::int64_t pad_begin;
    std::int64_t pad_end;
    std::int64_t dilation = 1;  // from one tap of a window to the next

    // From a window's first tap to behind its last.
    std::int64_t reach() const { return (kernel - 1) * dilation + 1; }
};

inline std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
    return a / b - ((a % b != 0 && (a % b < 0) != (b < 0)) ? 1 : 0);
}

inline std::int64_t ceil_divide(std::int64_t a, std::int64_t b) { return -floor_divide(-a, b); }

// The number of windows; below 1 when none fits. stride may be negative here, as PyTorch computes before it checks.
inline std::int64_t output_extent(const Axis &axis, bool ceil_mode) {
    const std::int64_t room = axis.input + axis.pad_begin + axis.pad_end - axis.reach();
    std::int64_t extent = floor_divide(room + (ceil_mode ? axis.stride - 1 : 0), axis.stride) + 1;
    if (ceil_mode && (extent - 1) * axis.stride >= axis.input + axis.pad_begin) --extent;
    return extent;
}

// The padding before and behind the input with which there are ceil(input / stride) windows: as even as can be, the odd one behind
// it (upper) or before it.
struct Padding {
    std::int64_t begin, end;
};

inline Padding same_padding(const Axis &axis, bool upper) {
    const std::int64_t windows = ceil_divide(axis.input, axis.stride);
    const std::int64_t total = std::max<std::int64_t>((windows - 1) * axis.stride + axis.reach() - axis.input, 0);
    return {upper ? total / 2 : total - total / 2, upper ? total - total / 2 : total / 2};
}

// The taps of window o that lie inside the input: the first, and how many, `dilation` apart. `full` counts those in the padding
// as well: a ceil_mode window may be cut by the end of the padding.
struct Span {
    std::int64_t first, taps, full;
};

inline Span window_span(const Axis &axis, std::int64_t o) {
    const std::int64_t start = o * axis.stride - axis.pad_begin;
    const auto taps_before = [&](std::int64_t end) {
        return std::clamp<std::int64_t>(axis.dilation == 1 ? end - start : ceil_divide(end - start, axis.dilation), 0, axis.kernel);
    };
    const std::int64_t outside = taps_before(0);
    return {start + outside * axis.dilation, taps_before(axis.input) - outside, taps_before(axis.input + axis.pad_end)};
}

// Whether window o reaches outside the input: it then covers padding, or is cut.
inline bool leaves_input(const Axis &axis, std::int64_t o) {
    const std::int64_t start = o * axis.stride - axis.pad_begin;
    return start < 0 || start + axis.reach() > axis.input;
}

// The windows of `outputs` that have a tap at element i of the input: the first, and how many, window_step() apart.
struct Windows {
    std::int64_t first, count;
};

inline std::int64_t window_step(const Axis &axis) { return axis.dilation / std::gcd(axis.stride, axis.dilation); }

inline Windows windows_over(const Axis &axis, std::int64_t i, std::int64_t outputs) {
    const std::int64_t at = i + axis.pad_begin, step = window_step(axis);
    const std::int64_t begin = std::max<std::int64_t>(ceil_divide(at - axis.reach() + 1, axis.stride), 0);
    const std::int64_t end = std::min(floor_divide(at, axis.stride) + 1, outputs);
    for (std::int64_t first = begin; first < std::min(begin + step, end); ++first) {
        if ((at - first * axis.stride) % axis.dilation == 0) return {first, ceil_divide(end - first, step)};
    }
    return {0, 0};
}

// `fixed` is as well the rule by which every window is divided by all its taps, cut or not.
enum class DivisorRule { count_include_pad, valid_taps, fixed };

// One axis' factor of the divisor; a window without taps gets 1, since its sum is 0 whatever it is divided by.
inline std::int64_t divisor_factor(const Axis &axis, std::int64_t o, DivisorRule rule) {
    const Span span = window_span(axis, o);
    if (rule == DivisorRule::fixed || span.taps == 0) return 1;
    return rule == DivisorRule::count_include_pad ? span.full : span.taps;
}

}  // namespace halpool

#endif
