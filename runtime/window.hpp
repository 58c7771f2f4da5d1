// The formulas of average pooling along one axis (docs/semantics.md, sections 2 and 3). Nothing else in the runtime
// computes where a window lies or what it is divided by.
#ifndef HALPOOL_RUNTIME_WINDOW_HPP
#define HALPOOL_RUNTIME_WINDOW_HPP

#include <algorithm>
#include <cstdint>

namespace halpool {

// One axis of a problem. kernel, stride and paddings fit 32 bits, input * 4 fits 63: sums below cannot overflow.
struct Axis {
    std::int64_t input;
    std::int64_t kernel;
    std::int64_t stride;
    std::int64_t pad_begin;
    std::int64_t pad_end;
};

inline std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
    return a / b - ((a % b != 0 && (a % b < 0) != (b < 0)) ? 1 : 0);
}

// The number of windows; below 1 when none fits. stride may be negative here, as PyTorch computes before it checks.
inline std::int64_t output_extent(const Axis &axis, bool ceil_mode) {
    const std::int64_t room = axis.input + axis.pad_begin + axis.pad_end - axis.kernel;
    std::int64_t extent = floor_divide(room + (ceil_mode ? axis.stride - 1 : 0), axis.stride) + 1;
    if (ceil_mode && (extent - 1) * axis.stride >= axis.input + axis.pad_begin) --extent;
    return extent;
}

// The taps [begin, end) of window o that lie inside the input (begin >= end: none), and the window's extent with the
// padding it covers (`full`: a ceil_mode window may be cut by the end of the padding).
struct Span {
    std::int64_t begin, end, full;
    std::int64_t taps() const { return std::max<std::int64_t>(end - begin, 0); }
};

inline Span window_span(const Axis &axis, std::int64_t o) {
    const std::int64_t start = o * axis.stride - axis.pad_begin;
    const std::int64_t stop = std::min(start + axis.kernel, axis.input + axis.pad_end);
    return {std::max<std::int64_t>(start, 0), std::min(stop, axis.input), stop - start};
}

// Whether window o reaches outside the input: it then covers padding, or is cut.
inline bool leaves_input(const Axis &axis, std::int64_t o) {
    const std::int64_t start = o * axis.stride - axis.pad_begin;
    return start < 0 || start + axis.kernel > axis.input;
}

// The windows [begin, end) of `outputs` that cover element i of the input (begin >= end: none).
inline Span windows_over(const Axis &axis, std::int64_t i, std::int64_t outputs) {
    const std::int64_t begin = -floor_divide(axis.kernel - 1 - axis.pad_begin - i, axis.stride);
    const std::int64_t end = floor_divide(i + axis.pad_begin, axis.stride) + 1;
    return {std::max<std::int64_t>(begin, 0), std::min(end, outputs), 0};
}

enum class DivisorRule { count_include_pad, valid_taps, fixed };

// One axis' factor of the divisor; a window without taps gets 1, since its sum is 0 whatever it is divided by.
inline std::int64_t divisor_factor(const Axis &axis, std::int64_t o, DivisorRule rule) {
    const Span span = window_span(axis, o);
    if (rule == DivisorRule::fixed || span.taps() == 0) return 1;
    return rule == DivisorRule::count_include_pad ? span.full : span.taps();
}

}  // namespace halpool

#endif
