// One call of avg_pool2d as the tests write it down: shapes and arguments, no memory.
#ifndef HALPOOL_TESTS_PROBLEM_HPP
#define HALPOOL_TESTS_PROBLEM_HPP

#include <halpool/halpool.h>

#include <cstdint>
#include <optional>
#include <ostream>
#include <vector>

namespace halpool_test {

using Ints = std::vector<std::int64_t>;

struct Problem {
    Ints input_shape;  // [N, C, H, W] or [C, H, W]
    Ints kernel_size;
    Ints stride = {};  // empty: kernel_size
    Ints padding = {};
    bool ceil_mode = false;
    bool count_include_pad = true;
    std::optional<std::int64_t> divisor_override = std::nullopt;
    Ints padding_end = {};  // empty: the same as padding
    bool allow_any_padding = false;
    bool allow_any_dtype = false;
    Ints dilation = {};  // empty: 1
    halpool_auto_pad auto_pad = HALPOOL_AUTO_PAD_NONE;
    halpool_divisor_rule divisor_rule = HALPOOL_DIVISOR_DEFAULT;
    halpool_quantization input_quantization = {0, 0}, output_quantization = {0, 0};

    // Points into *this.
    halpool_avg_pool2d_options c_options() const {
        const auto list = [](const Ints &values) {
            return halpool_int_list{values.empty() ? nullptr : values.data(), values.size()};
        };
        halpool_avg_pool2d_options c = HALPOOL_AVG_POOL2D_OPTIONS_INIT;
        c.kernel_size = list(kernel_size);
        c.stride = list(stride);
        c.padding = list(padding);
        c.ceil_mode = ceil_mode;
        c.count_include_pad = count_include_pad;
        c.has_divisor_override = divisor_override.has_value();
        c.divisor_override = divisor_override.value_or(0);
        c.padding_end = list(padding_end);
        c.allow_any_padding = allow_any_padding;
        c.allow_any_dtype = allow_any_dtype;
        c.dilation = list(dilation);
        c.auto_pad = auto_pad;
        c.divisor_rule = divisor_rule;
        c.input_quantization = input_quantization;
        c.output_quantization = output_quantization;
        return c;
    }
};

inline std::ostream &operator<<(std::ostream &out, const Ints &values) {
    out << '[';
    for (std::size_t i = 0; i < values.size(); ++i) out << (i ? "," : "") << values[i];
    return out << ']';
}

inline std::ostream &operator<<(std::ostream &out, const Problem &problem) {
    out << "input " << problem.input_shape << " kernel " << problem.kernel_size << " stride " << problem.stride
        << " padding " << problem.padding << " padding_end " << problem.padding_end
        << (problem.ceil_mode ? " ceil" : "") << (problem.count_include_pad ? " include" : " exclude")
        << (problem.allow_any_padding ? " any_padding" : "");
    if (!problem.dilation.empty()) out << " dilation " << problem.dilation;
    if (problem.auto_pad != HALPOOL_AUTO_PAD_NONE) out << " auto_pad " << problem.auto_pad;
    if (problem.divisor_rule != HALPOOL_DIVISOR_DEFAULT) out << " divisor_rule " << problem.divisor_rule;
    for (const halpool_quantization &q : {problem.input_quantization, problem.output_quantization})
        if (q.scale != 0) out << " scale " << q.scale << " zero point " << q.zero_point;
    if (problem.divisor_override) out << " divisor " << *problem.divisor_override;
    return out;
}

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_PROBLEM_HPP
