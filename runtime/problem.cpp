#include "problem.hpp"

#include "dtype.hpp"
#include "failure.hpp"

#include <cstdlib>
#include <limits>
#include <utility>

namespace halpool {
namespace {

constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr std::ptrdiff_t kMaxSpan = std::numeric_limits<std::ptrdiff_t>::max();

std::string list(const std::int64_t *values, std::size_t count) {
    std::string out = "[";
    for (std::size_t i = 0; i < count; ++i) out += (i ? ", " : "") + std::to_string(values[i]);
    return out + "]";
}

std::int64_t checked(bool overflow, std::int64_t value, const char *what, const std::string &shape) {
    require(!overflow, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", what, " of shape ", shape,
            " has a size in bytes that does not fit ", 8 * sizeof(std::ptrdiff_t), " bits");
    return value;
}

// What holds for a tensor of any rank: pointers, extents, and that every byte offset in it fits an address.
void check_tensor(const halpool_tensor_desc &tensor, const char *what) {
    const DTypeFacts &dtype = dtype_facts(tensor.dtype);
    require(tensor.rank >= 0 && tensor.rank <= 64, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", what, " has rank ",
            tensor.rank, "; it must lie in [0, 64]");
    require(tensor.rank == 0 || tensor.shape != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", what,
            "'s shape is a null pointer");
    const auto rank = static_cast<std::size_t>(tensor.rank);
    const std::string shape = list(tensor.shape, rank);
    bool empty = false;
    for (std::size_t i = 0; i < rank; ++i) {
        require(tensor.shape[i] >= 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", what, "'s shape ", shape,
                " has a negative extent");
        empty |= tensor.shape[i] == 0;
    }
    // Extents of zero count as one here: PyTorch's strides of an empty tensor do the same, and no sum below may overflow.
    auto bytes = static_cast<std::ptrdiff_t>(dtype.bytes);
    const std::ptrdiff_t element = bytes;
    for (std::size_t i = 0; i < rank; ++i) {
        bool overflow = __builtin_mul_overflow(bytes, std::max<std::int64_t>(tensor.shape[i], 1), &bytes);
        checked(overflow, 0, what, shape);
    }
    if (tensor.strides == nullptr || empty) return;
    std::ptrdiff_t below = 0, above = 0;
    for (std::size_t i = 0; i < rank; ++i) {
        std::ptrdiff_t reach = 0;
        bool overflow = tensor.strides[i] < -kInt64Max ||
                        __builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &reach) ||
                        __builtin_mul_overflow(reach, element, &reach) ||
                        __builtin_add_overflow(reach < 0 ? below : above, reach, reach < 0 ? &below : &above);
        checked(overflow, 0, what, shape);
    }
    std::ptrdiff_t span = 0;
    checked(__builtin_sub_overflow(above, below, &span) || span > kMaxSpan - element, 0, what, shape);
}

// One integer or [height, width], within 32 bits as PyTorch demands.
std::pair<std::int64_t, std::int64_t> pair(const halpool_int_list &values) {
    const std::int64_t height = values.data[0], width = values.data[values.size == 1 ? 0 : 1];
    for (std::int64_t v : {height, width}) {
        require(v >= std::numeric_limits<std::int32_t>::min() && v <= std::numeric_limits<std::int32_t>::max(),
                HALPOOL_ERROR_INVALID_ARGUMENT, "integer out of range");
    }
    return {height, width};
}

bool one_or_two(const halpool_int_list &values) { return values.size == 1 || values.size == 2; }

void check_list(const halpool_int_list &values, const char *name) {
    require(values.size == 0 || values.data != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, name,
            " has a size but its data is a null pointer");
}

// PyTorch's pooling_output_shape, which checks as it computes: the height first, then the width.
std::int64_t torch_output_extent(const Axis &axis, bool ceil_mode, bool any_padding) {
    require(axis.stride != 0, HALPOOL_ERROR_INVALID_ARGUMENT, "stride should not be zero");
    for (std::int64_t pad : {axis.pad_begin, axis.pad_end}) {
        require(pad >= 0, HALPOOL_ERROR_INVALID_ARGUMENT, "pad must be non-negative, but got pad: ", pad);
        require(any_padding || pad <= axis.reach() / 2, HALPOOL_ERROR_INVALID_ARGUMENT,
                "pad should be at most half of effective kernel size, but got pad=", pad,
                ", kernel_size=", axis.kernel, " and dilation=", axis.dilation);
    }
    return output_extent(axis, ceil_mode);
}

struct Geometry {
    Axis y, x;
    std::int64_t out_h, out_w;
};

Geometry check_operator(Op op, const halpool_avg_pool2d_options &options, const halpool_tensor_desc &input) {
    check_tensor(input, op == Op::avg_pool2d ? "input" : "gradient of the input");
    check_list(options.kernel_size, "kernel_size");
    check_list(options.stride, "stride");
    check_list(options.padding, "padding");
    check_list(options.padding_end, "padding_end");
    check_list(options.dilation, "dilation");

    require(one_or_two(options.kernel_size), HALPOOL_ERROR_INVALID_ARGUMENT,
            "avg_pool2d: kernel_size must either be a single int, or a tuple of two ints");
    const auto [kernel_h, kernel_w] = pair(options.kernel_size);
    require(options.stride.size == 0 || one_or_two(options.stride), HALPOOL_ERROR_INVALID_ARGUMENT,
            "avg_pool2d: stride must either be omitted, a single int, or a tuple of two ints");
    const auto [stride_h, stride_w] = options.stride.size ? pair(options.stride) : std::pair{kernel_h, kernel_w};
    for (const halpool_int_list &padding : {options.padding, options.padding_end}) {
        require(padding.size == 0 || one_or_two(padding), HALPOOL_ERROR_INVALID_ARGUMENT,
                "avg_pool2d: padding must either be a single int, or a tuple of two ints");
    }
    require(options.dilation.size == 0 || one_or_two(options.dilation), HALPOOL_ERROR_INVALID_ARGUMENT,
            "avg_pool2d: dilation must either be a single int, or a tuple of two ints");
    const auto [dilation_h, dilation_w] = options.dilation.size ? pair(options.dilation) : std::pair<std::int64_t, std::int64_t>{1, 1};
    const auto none = std::pair<std::int64_t, std::int64_t>{0, 0};
    const auto [pad_top, pad_left] = options.padding.size ? pair(options.padding) : none;
    const auto [pad_bottom, pad_right] =
        options.padding_end.size ? pair(options.padding_end) : std::pair{pad_top, pad_left};

    require(!options.has_divisor_override || options.divisor_override != 0, HALPOOL_ERROR_INVALID_ARGUMENT,
            "divisor must be not zero");
    require(options.auto_pad >= HALPOOL_AUTO_PAD_NONE && options.auto_pad <= HALPOOL_AUTO_PAD_SAME_LOWER, HALPOOL_ERROR_INVALID_ARGUMENT,
            "auto_pad is ", options.auto_pad, ", which is not one of halpool_auto_pad");
    const bool is_padded = pad_top != 0 || pad_left != 0 || pad_bottom != 0 || pad_right != 0;
    require(options.auto_pad == HALPOOL_AUTO_PAD_NONE || !is_padded, HALPOOL_ERROR_INVALID_ARGUMENT,
            "auto_pad computes the padding: padding must be 0");
    require(options.divisor_rule >= HALPOOL_DIVISOR_DEFAULT && options.divisor_rule <= HALPOOL_DIVISOR_VALID_TAPS, HALPOOL_ERROR_INVALID_ARGUMENT,
            "divisor_rule is ", options.divisor_rule, ", which is not one of halpool_divisor_rule");
    require(options.divisor_rule == HALPOOL_DIVISOR_DEFAULT || !options.has_divisor_override, HALPOOL_ERROR_INVALID_ARGUMENT,
            "divisor_override and divisor_rule both say what to divide by: give one of them");

    require(input.rank != 0, HALPOOL_ERROR_OUT_OF_RANGE, "Dimension specified as -3 but tensor has no dimensions");
    require(input.rank >= 3, HALPOOL_ERROR_OUT_OF_RANGE, "Dimension out of range (expected to be in range of [",
            -input.rank, ", ", input.rank - 1, "], but got -3)");

    const std::int64_t *planes = input.shape + input.rank - 3;
    Geometry g{};
    g.y = {planes[1], kernel_h, stride_h, pad_top, pad_bottom, dilation_h};
    g.x = {planes[2], kernel_w, stride_w, pad_left, pad_right, dilation_w};
    for (Axis *axis : {&g.y, &g.x}) {
        if (options.auto_pad == HALPOOL_AUTO_PAD_NONE || axis->kernel < 1 || axis->stride < 1 || axis->dilation < 1) continue;
        const Padding same = same_padding(*axis, options.auto_pad == HALPOOL_AUTO_PAD_SAME_UPPER);
        axis->pad_begin = same.begin;
        axis->pad_end = same.end;
    }
    const bool ceil_mode = options.ceil_mode != 0, any_padding = options.allow_any_padding != 0;
    g.out_h = torch_output_extent(g.y, ceil_mode, any_padding);
    g.out_w = torch_output_extent(g.x, ceil_mode, any_padding);

    require(kernel_w > 0 && kernel_h > 0, HALPOOL_ERROR_INVALID_ARGUMENT,
            "kernel size should be greater than zero, but got kH: ", kernel_h, " kW: ", kernel_w);
    require(stride_w > 0 && stride_h > 0, HALPOOL_ERROR_INVALID_ARGUMENT,
            "stride should be greater than zero, but got dH: ", stride_h, " dW: ", stride_w);
    require(dilation_w > 0 && dilation_h > 0, HALPOOL_ERROR_INVALID_ARGUMENT,
            "dilation should be greater than zero, but got dilationH: ", dilation_h, " dilationW: ", dilation_w);
    require((input.rank == 3 || input.rank == 4) && planes[0] != 0 && planes[1] != 0 && planes[2] != 0,
            HALPOOL_ERROR_INVALID_ARGUMENT,
            "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but got:",
            list(input.shape, static_cast<std::size_t>(input.rank)));
    require(g.out_h >= 1 && g.out_w >= 1, HALPOOL_ERROR_INVALID_ARGUMENT, "Given input size: (", planes[0], "x",
            planes[1], "x", planes[2], "). Calculated output size: (", planes[0], "x", g.out_h, "x", g.out_w,
            "). Output size is too small");
    for (Axis *axis : {&g.y, &g.x}) {
        if (axis->kernel == 1) axis->dilation = 1;  // of one tap
    }
    return g;
}

bool is_quantized(const halpool_quantization &quantization) { return quantization.scale != 0; }

bool is_byte(std::int32_t dtype) { return dtype == HALPOOL_INT8 || dtype == HALPOOL_UINT8; }

// What PyTorch checks last. Quantized tensors it takes.
void check_dtype(Op op, const halpool_avg_pool2d_options &options, std::int32_t dtype) {
    const DTypeFacts &facts = dtype_facts(dtype);
    const bool quantized = is_byte(dtype) && is_quantized(options.input_quantization);
    const bool allowed = quantized || (options.allow_any_dtype && find_arithmetic(dtype, dtype, false));
    require(facts.in_operator || allowed, HALPOOL_ERROR_NOT_IMPLEMENTED, "\"", op_name(op), "\" not implemented for '", facts.torch_name, "'");
}

void check_quantization(const halpool_quantization &quantization, std::int32_t dtype, const char *tensor) {
    if (!is_quantized(quantization)) return;
    require(is_byte(dtype), HALPOOL_ERROR_INVALID_ARGUMENT, tensor, "_quantization is for int8 and uint8; the ", tensor, " is ", dtype_facts(dtype).name);
    require(quantization.scale > 0 && quantization.scale <= std::numeric_limits<double>::max(), HALPOOL_ERROR_INVALID_ARGUMENT, tensor,
            "_quantization.scale is ", quantization.scale, "; it must be positive and finite");
    const std::int64_t least = dtype == HALPOOL_INT8 ? -128 : 0, most = least + 255;
    require(quantization.zero_point >= least && quantization.zero_point <= most, HALPOOL_ERROR_INVALID_ARGUMENT, tensor,
            "_quantization.zero_point is ", quantization.zero_point, "; that of ", dtype_facts(dtype).name, " lies in [", least, ", ", most, "]");
}

// What is computed of the elements: Problem::arithmetic, scale, input_zero and output_zero.
void choose_arithmetic(const halpool_avg_pool2d_options &options, std::int32_t input, std::int32_t output, Problem &problem) {
    const bool forward = problem.op == Op::avg_pool2d;
    const char *const of = forward ? "" : "gradient of the ";
    check_quantization(options.input_quantization, input, "input");
    check_quantization(options.output_quantization, output, "output");
    const bool quantized_input = is_quantized(options.input_quantization), quantized_output = is_quantized(options.output_quantization);
    require(forward || !(quantized_input || quantized_output), HALPOOL_ERROR_INVALID_ARGUMENT, "gradients are not quantized");
    require(quantized_input || !quantized_output, HALPOOL_ERROR_INVALID_ARGUMENT, "output_quantization needs an input_quantization");
    problem.arithmetic = find_arithmetic(input, output, quantized_input && is_byte(output));
    const bool has_it = problem.arithmetic && problem.arithmetic->references[static_cast<int>(problem.op)];
    require(has_it, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", of, forward ? "output" : "input", " is ", dtype_facts(output).name, " and the ", of,
            forward ? "input" : "output", " ", dtype_facts(input).name, "; they must be the same",
            forward ? ", or float16 or bfloat16 of float32, or float32 of int8 or uint8" : "");
    problem.scale = 1;
    if (!quantized_input) return;
    const halpool_quantization &from = options.input_quantization, &to = quantized_output ? options.output_quantization : from;
    problem.input_zero = static_cast<std::int32_t>(from.zero_point);
    problem.scale = from.scale;
    if (problem.arithmetic->quantized) {
        problem.output_zero = static_cast<std::int32_t>(to.zero_point);
        problem.scale = from.scale / to.scale;
    }
    // Divisors are multiplied by its reciprocal.
    constexpr double kLeast = 0x1p-60, kMost = 0x1p60;
    require(problem.scale >= kLeast && problem.scale <= kMost, HALPOOL_ERROR_INVALID_ARGUMENT, "the scales give a factor of ", problem.scale,
            "; it must lie in [2^-60, 2^60]");
}

TensorGeometry geometry(const halpool_tensor_desc &tensor) {
    TensorGeometry g{{1, 0, 0, 0}, {0, 0, 0, 0}, &dtype_facts(tensor.dtype)};
    const std::size_t offset = 4 - static_cast<std::size_t>(tensor.rank);
    for (std::size_t i = offset; i < 4; ++i) g.shape[i] = tensor.shape[i - offset];
    std::int64_t dense = 1;
    for (std::size_t i = 4; i-- > 0;) {
        g.strides[i] = tensor.strides && i >= offset ? tensor.strides[i - offset] : dense;
        dense *= std::max<std::int64_t>(g.shape[i], 1);
    }
    return g;
}

// Whether no two indices reach one element: true when the axes, ordered by stride, each step over all that is inside.
bool is_injective(const TensorGeometry &g) {
    std::array<int, 4> axes{0, 1, 2, 3};
    const auto reach = [&](int axis) { return g.strides[axis] < 0 ? -g.strides[axis] : g.strides[axis]; };
    std::sort(axes.begin(), axes.end(), [&](int a, int b) { return reach(a) < reach(b); });
    std::int64_t inside = 0;
    for (int axis : axes) {
        if (g.shape[axis] <= 1) continue;
        if (reach(axis) <= inside) return false;
        inside += (g.shape[axis] - 1) * reach(axis);
    }
    return true;
}

Problem make_problem(Op op, const halpool_avg_pool2d_options &options, const Geometry &g, const halpool_tensor_desc &input,
                     const halpool_tensor_desc &output) {
    Problem problem{};
    problem.op = op;
    choose_arithmetic(options, input.dtype, output.dtype, problem);
    require(op_built_in(op), HALPOOL_ERROR_UNSUPPORTED, op_name(op), " was not built into this library; built in: ", joined(built_ops));
    require(arithmetic_built_in(*problem.arithmetic), HALPOOL_ERROR_UNSUPPORTED, "dtype ", problem.arithmetic->words,
            " was not built into this library; built in: ", arithmetics_built_in());

    problem.input = geometry(input);
    problem.output = geometry(output);
    problem.y = g.y;
    problem.x = g.x;
    switch (options.divisor_rule) {
    case HALPOOL_DIVISOR_WINDOW_FULL: problem.rule = DivisorRule::fixed; break;
    case HALPOOL_DIVISOR_WINDOW_CLIPPED: problem.rule = DivisorRule::count_include_pad; break;
    case HALPOOL_DIVISOR_VALID_TAPS: problem.rule = DivisorRule::valid_taps; break;
    default:
        problem.rule = options.has_divisor_override ? DivisorRule::fixed
                       : options.count_include_pad  ? DivisorRule::count_include_pad
                                                    : DivisorRule::valid_taps;
    }
    problem.fixed_divisor = options.has_divisor_override ? options.divisor_override : problem.y.kernel * problem.x.kernel;
    require(problem.output.elements() == 0 || is_injective(problem.output), HALPOOL_ERROR_INVALID_ARGUMENT,
            op == Op::avg_pool2d ? "the output" : "the gradient of the input", "'s strides reach one element by several indices");
    return problem;
}

}  // namespace

bool op_built_in(Op op) { return is_among(built_ops, op_name(op)); }

const char *op_name(Op op) { return op == Op::avg_pool2d ? "avg_pool2d" : "avg_pool2d_backward"; }

constexpr std::array<int, 4> kPlanar{0, 1, 2, 3}, kChannelsLast{0, 2, 3, 1};  // axes from the outermost

std::optional<Problem> Problem::as_forward() const {
    if (op != Op::avg_pool2d_backward || !input.dtype->is_float || y.stride != 1 || x.stride != 1) return std::nullopt;
    Problem forward = *this;
    forward.op = Op::avg_pool2d;
    const auto turn = [](Axis &axis, std::int64_t windows) {
        axis.input = windows;
        axis.pad_begin = axis.reach() - 1 - axis.pad_begin;
        axis.pad_end = axis.reach() - 1 - axis.pad_end;
        return axis.pad_begin >= 0 && axis.pad_end >= 0;
    };
    const bool inside = y.pad_begin == 0 && y.pad_end == 0 && x.pad_begin == 0 && x.pad_end == 0;
    const bool one_divisor = rule != DivisorRule::valid_taps || inside;
    if (!turn(forward.y, windows_h()) || !turn(forward.x, windows_w()) || !one_divisor) return std::nullopt;
    if (rule != DivisorRule::fixed) forward.fixed_divisor = y.kernel * x.kernel;  // no window of stride 1 is cut
    forward.rule = DivisorRule::fixed;
    return forward;
}

bool Problem::spreads_channels_last() const { return !output.is_nested(kPlanar); }

std::optional<Problem> Problem::as_spread_forward() const {
    if (op != Op::avg_pool2d_backward || !input.dtype->is_float || input.dtype->bytes < 4) return std::nullopt;
    const bool planar = !spreads_channels_last();
    // Channels-last windows of a stride are slower spread out; those of stride 1 are scaled once, where a kernel divides each tap.
    const bool scaled = output.is_nested(kChannelsLast) && input.is_nested(kChannelsLast) && y.stride == 1 && x.stride == 1 && y.dilation == 1 && x.dilation == 1;
    if (!planar && !scaled) return std::nullopt;
    if ((!planar || input.is_nested(kPlanar)) && as_forward()) return std::nullopt;
    const std::array<int, 4> &order = planar ? kPlanar : kChannelsLast;
    Problem spread = *this;
    spread.op = Op::avg_pool2d;
    // Where the last window begins, or far enough that every window of stride 1 has a tap there.
    const auto turn = [](Axis &axis, std::int64_t windows) {
        const std::int64_t extent = axis.input, reach = axis.reach(), pad = axis.pad_begin;
        axis.input = std::max((windows - 1) * axis.stride + 1, extent + pad + 1 - reach);
        axis.stride = 1;
        axis.pad_begin = reach - 1 - pad;
        axis.pad_end = extent - axis.input + pad;
        return axis.pad_begin >= 0 && axis.pad_end >= 0 && axis.input <= kMostElements;
    };
    if (!turn(spread.y, windows_h()) || !turn(spread.x, windows_w())) return std::nullopt;
    spread.input.shape = {input.shape[0], input.shape[1], spread.y.input, spread.x.input};
    if (!spread.input.make_dense(order)) return std::nullopt;
    const auto one_factor = [&](const Axis &axis, std::int64_t windows) {
        for (std::int64_t o = 1; o < windows; ++o) {
            if (divisor_factor(axis, o, rule) != divisor_factor(axis, 0, rule)) return false;
        }
        return true;
    };
    if (rule != DivisorRule::fixed) {
        const bool one_divisor = one_factor(y, windows_h()) && one_factor(x, windows_w());
        spread.fixed_divisor = one_divisor ? divisor_factor(y, 0, rule) * divisor_factor(x, 0, rule) : 1;
    }
    spread.rule = DivisorRule::fixed;
    return spread;
}

std::optional<Problem> Problem::in_input_layout() const {
    if (op != Op::avg_pool2d) return std::nullopt;
    constexpr std::array<int, 4> kOrders[] = {kPlanar, kChannelsLast};
    for (const auto &order : kOrders) {
        if (input.is_nested(order) && output.is_nested(order)) return std::nullopt;
    }
    for (const auto &order : kOrders) {
        if (!input.is_nested(order)) continue;
        Problem relaid = *this;
        return relaid.output.make_dense(order) ? std::optional(relaid) : std::nullopt;
    }
    return std::nullopt;
}

std::optional<Problem> Problem::with_dense_input() const {
    if (op != Op::avg_pool2d || in_input_layout()) return std::nullopt;
    bool planar = output.is_nested(kPlanar);
    const bool channels_last = output.is_nested(kChannelsLast);
    if (!planar && !channels_last) return std::nullopt;
    if (planar && channels_last) {  // of one channel, or one pixel: as the input lies
        const auto step = [&](std::size_t axis) { return input.shape[axis] > 1 ? std::abs(input.strides[axis]) : std::numeric_limits<std::int64_t>::max(); };
        planar = step(1) >= std::min(step(2), step(3));
    }
    const std::array<int, 4> &order = planar ? kPlanar : kChannelsLast;
    Problem gathered = *this;
    if (input.is_dense(order) || !gathered.input.make_dense(order)) return std::nullopt;
    for (const Axis &axis : {y, x}) {
        if (axis.reach() > kMostElements || axis.stride > kMostElements || axis.pad_begin > kMostElements) return std::nullopt;  // no kernel takes such
    }
    constexpr std::int64_t kMostBytes = 64 * 1024 * 1024;  // a thread, and beside its rows
    const std::int64_t pixel_bytes = (planar ? 1 : input.shape[1]) * static_cast<std::int64_t>(input.dtype->bytes), row_bytes = x.input * pixel_bytes;
    const std::int64_t rows = std::min(y.input, 3 * y.reach() + kLargeBlock * y.stride);  // of a part, at least (StagedCall)
    if (x.reach() + x.pad_begin > kMostBytes / pixel_bytes) return std::nullopt;
    return rows <= kMostBytes / row_bytes ? std::optional(gathered) : std::nullopt;
}

std::int64_t TensorGeometry::lowest() const {
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < 4; ++i) offset += std::min<std::int64_t>((shape[i] - 1) * strides[i], 0);
    return offset;
}

std::int64_t TensorGeometry::highest() const {
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < 4; ++i) offset += std::max<std::int64_t>((shape[i] - 1) * strides[i], 0);
    return offset;
}

bool TensorGeometry::is_dense(const std::array<int, 4> &axes_from_outermost) const {
    std::int64_t expected = 1;
    for (std::size_t i = 4; i-- > 0;) {
        const auto axis = static_cast<std::size_t>(axes_from_outermost[i]);
        if (shape[axis] != 1 && strides[axis] != expected) return false;
        expected *= shape[axis];
    }
    return true;
}

bool TensorGeometry::make_dense(const std::array<int, 4> &axes_from_outermost) {
    std::int64_t dense = 1;
    for (std::size_t i = 4; i-- > 0;) {
        const auto axis = static_cast<std::size_t>(axes_from_outermost[i]);
        const std::int64_t extent = std::max<std::int64_t>(shape[axis], 1);
        strides[axis] = dense;
        if (dense > std::numeric_limits<std::int64_t>::max() / 64 / extent) return false;
        dense *= extent;
    }
    return true;
}

bool TensorGeometry::is_nested(const std::array<int, 4> &axes_from_outermost) const {
    std::int64_t inside = 0;  // from the first element inside an axis to the last
    for (std::size_t i = 4; i-- > 0;) {
        const auto axis = static_cast<std::size_t>(axes_from_outermost[i]);
        if (shape[axis] <= 1) continue;
        if (i == 3 ? strides[axis] != 1 : strides[axis] <= inside) return false;
        inside += (shape[axis] - 1) * strides[axis];
    }
    return true;
}

std::string Problem::describe() const {
    const auto by = [](std::int64_t a, std::int64_t b) { return std::to_string(a) + "x" + std::to_string(b); };
    const auto memory = [](const TensorGeometry &g) {
        return g.is_planar() ? "nchw" : g.is_channels_last() ? "nhwc" : "strided";
    };
    std::string out = text(op_name(op), " ", arithmetic->words, " ", list(input.shape.data(), 4), " ", memory(input), " -> ",
                           list(output.shape.data(), 4), " ", memory(output), ", kernel ", by(y.kernel, x.kernel),
                           ", stride ", by(y.stride, x.stride), ", padding ", by(y.pad_begin, x.pad_begin));
    if (y.pad_end != y.pad_begin || x.pad_end != x.pad_begin) out += " to " + by(y.pad_end, x.pad_end);
    if (scale != 1 || input_zero != 0 || output_zero != 0) out += text(", scale ", scale, ", zero points ", input_zero, " and ", output_zero);
    if (y.dilation != 1 || x.dilation != 1) out += ", dilation " + by(y.dilation, x.dilation);
    if (rule == DivisorRule::fixed) return out + ", divisor " + std::to_string(fixed_divisor);
    return out + (rule == DivisorRule::count_include_pad ? ", padding counts" : ", padding does not count");
}

std::array<std::int64_t, 4> avg_pool2d_shape(const halpool_avg_pool2d_options &options,
                                             const halpool_tensor_desc &input) {
    const Geometry g = check_operator(Op::avg_pool2d, options, input);
    check_dtype(Op::avg_pool2d, options, input.dtype);
    check_quantization(options.input_quantization, input.dtype, "input");
    std::array<std::int64_t, 4> shape{};
    const auto rank = static_cast<std::size_t>(input.rank);
    for (std::size_t i = 0; i + 2 < rank; ++i) shape[i] = input.shape[i];
    shape[rank - 2] = g.out_h;
    shape[rank - 1] = g.out_w;
    return shape;
}

Problem avg_pool2d_problem(const halpool_avg_pool2d_options &options, const halpool_tensor_desc &input,
                           const halpool_tensor_desc &output) {
    const Geometry g = check_operator(Op::avg_pool2d, options, input);
    const std::array<std::int64_t, 4> shape = avg_pool2d_shape(options, input);
    const auto rank = static_cast<std::size_t>(input.rank);
    check_tensor(output, "output");
    require(output.rank == input.rank && std::equal(shape.begin(), shape.begin() + input.rank, output.shape),
            HALPOOL_ERROR_INVALID_ARGUMENT, "the output has shape ",
            list(output.shape, static_cast<std::size_t>(output.rank)), "; this problem's output is ",
            list(shape.data(), rank));
    return make_problem(Op::avg_pool2d, options, g, input, output);
}

Problem avg_pool2d_backward_problem(const halpool_avg_pool2d_options &options, const halpool_tensor_desc &grad_output,
                                    const halpool_tensor_desc &grad_input) {
    const Geometry g = check_operator(Op::avg_pool2d_backward, options, grad_input);
    check_tensor(grad_output, "gradient of the output");
    const auto rank = static_cast<std::size_t>(grad_input.rank);
    std::array<std::int64_t, 4> shape{};
    for (std::size_t i = 0; i + 2 < rank; ++i) shape[i] = grad_input.shape[i];
    shape[rank - 2] = g.out_h;
    shape[rank - 1] = g.out_w;
    // PyTorch's check_dim_size, of the planes, the height and the width; the batch it does not check.
    for (std::size_t axis = rank - 3; axis < rank; ++axis) {
        const bool same = grad_output.rank == grad_input.rank && grad_output.shape[axis] == shape[axis];
        const std::string size = axis < static_cast<std::size_t>(std::max(grad_output.rank, 0)) ? std::to_string(grad_output.shape[axis]) : "none";
        require(same, HALPOOL_ERROR_INVALID_ARGUMENT, "Expected a tensor of dimension ", rank, " and tensor.size[", axis, "] == ", shape[axis],
                " but got: dimension ", grad_output.rank, " and tensor.size[", axis, "] = ", size);
    }
    require(std::equal(shape.begin(), shape.begin() + grad_input.rank, grad_output.shape), HALPOOL_ERROR_INVALID_ARGUMENT,
            "the gradient of the output has shape ", list(grad_output.shape, rank), "; this problem's output is ", list(shape.data(), rank));
    check_dtype(Op::avg_pool2d_backward, options, grad_output.dtype);
    return make_problem(Op::avg_pool2d_backward, options, g, grad_output, grad_input);
}

}  // namespace halpool
