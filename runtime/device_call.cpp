#include "device_call.hpp"

#include "failure.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace halpool {
namespace {

std::int32_t narrow(std::int64_t value) { return static_cast<std::int32_t>(value); }  // the selector checked the size

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The problem as the kernel sees it: slices of three extents, innermost first.
struct View {
    Axis y, x;
    std::array<std::int64_t, 3> input, output;
    std::int64_t slices;
    std::int64_t input_element, output_element;  // bytes

    std::int64_t input_bytes() const { return input[0] * input[1] * input[2] * input_element; }
    std::int64_t output_bytes() const { return output[0] * output[1] * output[2] * output_element; }
};

View view_of(const Problem &problem, const KernelRow &row) {
    const auto &in = problem.input.shape, &out = problem.output.shape;
    View view{problem.y, problem.x, {}, {}, 0, static_cast<std::int64_t>(problem.input.dtype->bytes), static_cast<std::int64_t>(problem.output.dtype->bytes)};
    std::int64_t in_h = in[2], in_w = in[3];
    if (row.window == WindowClass::global) {  // the plane as one row
        in_w = in_h * in_w;
        in_h = 1;
        view.y = {1, 1, 1, 0, 0};
        view.x = {in_w, in_w, 1, 0, 0};
    }
    if (row.layout == KernelLayout::nhwc) {
        view.input = {in[1], in_w, in_h};
        view.output = {out[1], out[3], out[2]};
        view.slices = in[0];
    } else {
        view.input = {in_w, in_h, 1};
        view.output = {out[3], out[2], 1};
        view.slices = in[0] * in[1];
    }
    return view;
}

// Blocks of a launch, for one slice: what gpu_schedule.cpp makes of the output.
std::int64_t blocks_of_slice(const KernelRow &row, const View &view) {
    const bool nhwc = row.layout == KernelLayout::nhwc;
    const std::int64_t width = view.output[nhwc ? 1 : 0], height = view.output[nhwc ? 2 : 1];
    const std::int64_t channels = nhwc ? view.output[0] : 1;
    switch (row.window) {
    case WindowClass::global: return nhwc ? divide_up(channels, kChannelLanes) : 1;
    case WindowClass::separable:
        return nhwc ? divide_up(channels, kChannelLanes) * divide_up(width, row.tile_columns) * height
                    : divide_up(width, row.tile_columns) * height;
    default:
        return divide_up(divide_up(nhwc ? channels : width, row.lanes) * (nhwc ? width : 1) *
                             divide_up(height, std::max(row.tile_rows, 1)),
                         row.threads);
    }
}

// How many slices one launch may compute; 0: not even one.
std::int64_t slices_of_launch(const KernelRow &row, const View &view, const DeviceLimits &limits) {
    constexpr std::int64_t most_elements = std::numeric_limits<std::int32_t>::max() / 2;  // Halide addresses with 32 bits
    const auto limit = [](std::uint64_t value) {
        return static_cast<std::int64_t>(std::min<std::uint64_t>(value, std::numeric_limits<std::int64_t>::max()));
    };
    std::int64_t slices = view.slices;
    for (const auto &[bytes, element] : {std::pair{view.input_bytes(), view.input_element}, std::pair{view.output_bytes(), view.output_element}}) {
        slices = std::min({slices, limit(limits.buffer_bytes) / bytes, most_elements / (bytes / element)});
    }
    slices = std::min(slices, limit(limits.blocks) / blocks_of_slice(row, view));
    if (slices >= view.slices) return view.slices;
    // The next launch's data must start where the device allows.
    const std::int64_t alignment = std::lcm<std::int64_t>(limits.offset_alignment, row.alignment * view.output_element);
    const std::int64_t step = std::lcm(alignment / std::gcd(alignment, view.input_bytes()),
                                       alignment / std::gcd(alignment, view.output_bytes()));
    return slices / step * step;
}

// Of a thread, where they depend on the problem (gpu_schedule.cpp); blocks of 16 taps are unrolled.
std::int64_t loop_iterations(const KernelRow &row, const View &view) {
    if (row.window == WindowClass::generic) {
        // Of the backward pass, the windows over one element.
        const auto taps = [&](const Axis &axis) { return same_name(row.op, "avg_pool2d") ? axis.kernel : (axis.reach() - 1) / axis.stride + 1; };
        return divide_up(taps(view.y), 2) * (divide_up(taps(view.x), 8) + 2);
    }
    if (row.window == WindowClass::global) {
        const std::int64_t lanes = row.layout == KernelLayout::nhwc ? row.threads / kChannelLanes : row.threads;
        return divide_up(view.x.input, 16 * lanes);
    }
    return 0;
}

DeviceRange part(const DeviceRange &range, std::int64_t begin, std::int64_t bytes) {
    return {range.memory, range.address, range.offset + static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(bytes)};
}

}  // namespace

std::string limits_objection(const KernelRow &row, const Problem &problem, const DeviceLimits &limits) {
    if (static_cast<std::uint32_t>(row.threads) > limits.threads) {
        return text("needs blocks of ", row.threads, " threads, the device allows ", limits.threads);
    }
    const View view = view_of(problem, row);
    if (limits.loop_iterations != 0 && loop_iterations(row, view) > static_cast<std::int64_t>(limits.loop_iterations)) {
        return text("needs loops of ", loop_iterations(row, view), " iterations, the device stops at ", limits.loop_iterations);
    }
    if (problem.output.elements() == 0 || slices_of_launch(row, view, limits) > 0) return "";
    const std::int64_t most = std::max(view.input_bytes(), view.output_bytes());
    if (static_cast<std::uint64_t>(most) > limits.buffer_bytes) {
        return text("needs a buffer of ", most, " bytes, the device allows ", limits.buffer_bytes);
    }
    return text("needs launches beyond the device's ", limits.blocks, " blocks, or 2^30 elements");
}

DeviceCall::DeviceCall(const Problem &problem, const KernelRow &row, const DeviceApi &device)
    : device_(device),
      entry_(row.entry),
      nhwc_(row.layout == KernelLayout::nhwc),
      alignment_bytes_(static_cast<std::uint64_t>(row.alignment) * problem.output.dtype->bytes),
      input_element_(*problem.input.dtype),
      output_element_(*problem.output.dtype) {
    const View view = view_of(problem, row);
    input_extents_ = view.input;
    output_extents_ = view.output;
    slices_ = view.slices;
    slices_per_launch_ = slices_of_launch(row, view, device.limits());
    window_ = {narrow(view.y.kernel), narrow(view.x.kernel),    narrow(view.y.stride),
               narrow(view.x.stride), narrow(view.y.pad_begin), narrow(view.x.pad_begin),
               narrow(view.y.dilation), narrow(view.x.dilation)};

    const std::int64_t out_h = problem.windows_h(), out_w = problem.windows_w();
    const auto leaves = [](const Axis &axis, std::int64_t extent) {
        return leaves_input(axis, 0) || leaves_input(axis, extent - 1);
    };
    border_ = static_cast<std::int32_t>(leaves(problem.y, out_h) || leaves(problem.x, out_w) ? Border::clamped : Border::none);

    const auto uniform = [&](const Axis &axis, std::int64_t extent) {
        for (std::int64_t o = 1; o < extent; ++o) {
            if (divisor_factor(axis, o, problem.rule) != divisor_factor(axis, 0, problem.rule)) return false;
        }
        return true;
    };
    const bool one_divisor = uniform(problem.y, out_h) && uniform(problem.x, out_w);
    const std::int64_t first = problem.rule == DivisorRule::fixed
                                   ? problem.fixed_divisor
                                   : divisor_factor(problem.y, 0, problem.rule) * divisor_factor(problem.x, 0, problem.rule);
    own_divisor_ = one_divisor ? 0 : 1;
    std::int64_t fixed = one_divisor ? first : 0;
    fixed_divisor_ = static_cast<float>(fixed);
    // Sums of bytes are smaller than what does not fit 32 bits.
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    if (are_bytes(row.dtype)) fixed = std::clamp(fixed, -kMost, kMost);
    whole_divisor_ = {static_cast<std::int32_t>(static_cast<std::uint32_t>(fixed)), static_cast<std::int32_t>(fixed >> 32)};
    scale_ = static_cast<float>(problem.scale);
    zeros_ = {problem.input_zero, problem.output_zero};
    const bool valid = problem.rule == DivisorRule::valid_taps;
    const auto begin = [&](const Axis &axis) { return valid ? 0 : narrow(-axis.pad_begin); };
    const auto end = [&](const Axis &axis) { return narrow(valid ? axis.input : axis.input + axis.pad_end); };
    divisor_ = {begin(problem.y), begin(problem.x), end(problem.y), end(problem.x)};

    launch(nullptr, nullptr, std::min(slices_, slices_per_launch_), nullptr);
}

void DeviceCall::run(const DeviceRange &input, const DeviceRange &output, void *stream) const {
    const auto bytes = [](const std::array<std::int64_t, 3> &e, const DTypeFacts &element) { return e[0] * e[1] * e[2] * static_cast<std::int64_t>(element.bytes); };
    const std::int64_t input_bytes = bytes(input_extents_, input_element_), output_bytes = bytes(output_extents_, output_element_);
    // The last part first: memory that is too small is found there, before anything is written.
    for (std::int64_t end = slices_; end > 0;) {
        const std::int64_t begin = (end - 1) / slices_per_launch_ * slices_per_launch_, count = end - begin;
        end = begin;
        const DeviceRange in = part(input, begin * input_bytes, count * input_bytes);
        const DeviceRange out = part(output, begin * output_bytes, count * output_bytes);
        launch(&in, &out, count, stream);
    }
}

// Null ranges: prepare only.
void DeviceCall::launch(const DeviceRange *input, const DeviceRange *output, std::int64_t slices, void *stream) const {
    const auto dimensions = [&](const std::array<std::int64_t, 3> &extents) {
        const auto [e0, e1, e2] = extents;
        return std::array<KernelDimension, 4>{{
            {0, narrow(e0), 1, 0},
            {0, narrow(e1), narrow(e0), 0},
            {0, nhwc_ ? narrow(e2) : narrow(slices), narrow(e0 * e1), 0},
            {0, nhwc_ ? narrow(slices) : 1, narrow(nhwc_ ? e0 * e1 * e2 : e0 * e1 * slices), 0},
        }};
    };
    std::array<KernelDimension, 4> input_dimensions = dimensions(input_extents_), output_dimensions = dimensions(output_extents_);
    const auto buffer = [](const DeviceRange *range, const DTypeFacts &element, std::array<KernelDimension, 4> &dims) {
        return KernelBuffer{reinterpret_cast<std::uintptr_t>(range), nullptr, nullptr, 0, element.element, 4, dims.data(), nullptr};
    };
    KernelBuffer in = buffer(input, input_element_, input_dimensions), out = buffer(output, output_element_, output_dimensions);

    void *arguments[kDeviceKernelArgumentCount] = {};
    const auto set = [&](int index, auto &value) {
        arguments[index] = const_cast<void *>(static_cast<const void *>(&value));
    };
    const float positive_zero = 0.0f, one = 1.0f;
    set(kInput, in);
    for (int i = 0; i < static_cast<int>(window_.size()); ++i) set(kKernelH + i, window_[static_cast<std::size_t>(i)]);
    set(kBorder, border_);
    set(kOwnDivisor, own_divisor_);
    set(kDevicePositiveZero, positive_zero);
    for (int i = 0; i < 4; ++i) set(kDivisorBeginH + i, divisor_[static_cast<std::size_t>(i)]);
    set(kFixedDivisor, fixed_divisor_);
    set(kFixedDivisorLow, whole_divisor_[0]);
    set(kFixedDivisorHigh, whole_divisor_[1]);
    set(kDeviceScale, scale_);
    set(kDeviceInputZero, zeros_[0]);
    set(kDeviceOutputZero, zeros_[1]);
    set(kOne, one);
    set(kDeviceOutput, out);

    halpool_error error{};
    const DeviceLaunch call{entry_, arguments, input, output, stream, input == nullptr};
    const halpool_status status = device_.run(call, &error);
    if (status != HALPOOL_OK) throw Failure{status, error.message};
}

}  // namespace halpool
