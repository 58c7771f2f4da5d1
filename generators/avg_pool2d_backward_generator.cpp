// The generator of average pooling's backward pass: gathers, for each element, the gradients of the windows that cover it.
#include "convention.hpp"
#include "device_arguments.hpp"
#include "element_type.hpp"
#include "gpu_schedule.hpp"
#include "gradient_lines.hpp"
#include "pool_algorithm.hpp"
#include "scalable_vectors.hpp"

#include <halpool/internal/kernel_convention.h>

#include <string>

namespace halpool {
namespace {

using namespace Halide;

enum class Window { generic, lines, fixed, global };

class AvgPool2dBackward : public Generator<AvgPool2dBackward> {
public:
    GeneratorParam<std::string> dtype{"dtype", "f32"};
    GeneratorParam<Layout> layout{"layout", Layout::nchw, {{"nchw", Layout::nchw}, {"nhwc", Layout::nhwc}}};
    GeneratorParam<Window> window{
        "window", Window::generic, {{"generic", Window::generic}, {"lines", Window::lines}, {"fixed", Window::fixed}, {"global", Window::global}}};
    GeneratorParam<int> fixed_kernel_h{"fixed_kernel_h", 0}, fixed_kernel_w{"fixed_kernel_w", 0};
    GeneratorParam<int> fixed_stride_h{"fixed_stride_h", 0}, fixed_stride_w{"fixed_stride_w", 0};
    GeneratorParam<int> vector{"vector", 8}, channel_vectors{"channel_vectors", 1};

    // As in the forward pass: what is stored in whole vectors goes past the caches (cmake/stream_stores.py), the same code otherwise.
    GeneratorParam<bool> streaming{"streaming", false};
    GeneratorParam<int> alignment{"alignment", 1};
    GeneratorParam<int> tile_rows{"tile_rows", 1}, threads{"threads", 128};  // of device kernels

    // In the order of kernel_convention.h; configure() adds what lies between these and the output.
    Input<Buffer<void, 4>> input{"input"};
    Output<Buffer<void, 4>> output{"output"};

    void configure() {
        const ElementType element = element_type();
        input.set_type(element.stored);
        output.set_type(element.stored);
        const auto add_int = [this](const char *name) { return add_input<int>(name); };
        if (on_device()) {
            for (auto [value, name] : {std::pair{&kernel_h, "kernel_h"}, {&kernel_w, "kernel_w"}, {&stride_h, "stride_h"}, {&stride_w, "stride_w"},
                                       {&pad_top, "pad_top"}, {&pad_left, "pad_left"}, {&dilation_h, "dilation_h"}, {&dilation_w, "dilation_w"}, {&border, "border"}}) {
                added.add(*value, add_int(name));
            }
            device.add(add_int, [this](const char *name) { return add_input<float>(name); });
            return;
        }
        for (auto [value, name] : {std::pair{&pad_top, "pad_top"}, {&pad_left, "pad_left"}, {&border, "border"}, {&uniform, "uniform"},
                                   {&windows_h, "windows_h"}, {&windows_w, "windows_w"}, {&step_h, "step_h"}, {&step_w, "step_w"},
                                   {&kernel_w, "kernel_w"}, {&stride_w, "stride_w"}, {&pitch, "pitch"}}) {
            added.add(*value, add_int(name));
        }
        positive_zero = add_input<Expr>("positive_zero", element.factor);
        for (auto [table, name] : {std::pair{&first_x, "first_x"}, {&end_x, "end_x"}, {&first_y, "first_y"}, {&end_y, "end_y"}}) {
            *table = add_input<Buffer<>>(name, Int(32), 1);
        }
        divisor_x = add_input<Buffer<>>("divisor_x", element.factor, 1);
        divisor_y = add_input<Buffer<>>("divisor_y", element.factor, 1);
        reciprocal = add_input<Buffer<>>("reciprocal", element.factor, 2);
    }

    void generate() {
        if (on_device()) {
            check_convention(arginfos(), kDeviceKernelArgumentNames);
            device.read();
        } else {
            check_convention(arginfos(), kBackwardKernelArgumentNames);
        }
        added.read();
        const ElementType element = element_type();
        gradient(v.order(layout)) = element.widened(input(v.arguments(layout)));
        problem.layout = layout;
        problem.sum = element.sum;
        problem.on_device = on_device();
        if (on_device()) find_windows();
        if (is_by_lines()) {
            sum(v.order(layout)) = line_sum();
        } else if (window == Window::fixed) {
            fixed_sum();
        } else if (window == Window::global) {
            Expr g = layout == Layout::nchw ? gradient(0, 0, v.c, v.n) : gradient(v.c, 0, 0, v.n);
            sum(v.order(layout)) = divided(share(g, 0, 0));
        } else if (on_device()) {
            many = windows_sum(false);
            sum(v.order(layout)) = divided(many.sum(v.arguments(layout)));
        } else {
            few = windows_sum(true);
            many = windows_sum(false);
            sum(v.order(layout)) = divided(select(is_few(), few.sum(v.arguments(layout)), many.sum(v.arguments(layout))));
        }
        Expr total = sum(v.arguments(layout));
        output(v.order(layout)) = element.is_float() ? element.rounded(total + (on_device() ? cast(element.sum, device.positive_zero) : Expr(*positive_zero)))
                                  : element.stored.bits() < 64 ? saturating_cast(element.stored, total) : cast(element.stored, total);
    }

    void schedule() {
        if (on_device()) {
            schedule_for_device();
            return;
        }
        const bool nhwc = layout == Layout::nhwc;
        if (get_target().has_feature(Target::RVV)) get_pipeline().add_custom_lowering_pass(new ScalableVectors);
        for (int i = 0; i < 4; ++i) input.dim(i).set_min(0);
        input.dim(0).set_stride(1);
        output.dim(0).set_stride(1).set_min(0);
        if (nhwc) output.dim(1).set_min(0);
        for (auto *table : {first_x, end_x, first_y, end_y, divisor_x, divisor_y}) table->dim(0).set_min(0);
        for (int i = 0; i < 2; ++i) reciprocal->dim(i).set_min(0);
        if (window == Window::global && !nhwc) output.dim(2).set_stride(output.dim(0).extent());  // planes are rows
        if (is_by_lines()) {
            output.never_partition_all();
            const GradientRows kind = !streaming ? GradientRows::any : window == Window::fixed ? GradientRows::planar_whole_vectors : GradientRows::pixel_vectors;
            get_pipeline().add_custom_lowering_pass(new GradientLines(element_type(), vector, masked_loads(), get_target().has_feature(Target::AVX512), kind));
        } else if (window == Window::fixed) {
            schedule_fixed();
        } else if (window == Window::global) {
            nhwc ? schedule_channels(output) : schedule_row(output);
        } else {
            for (Stage stage : {output.specialize(is_few() && uniform == 1), output.specialize(is_few()), Stage(output)}) {
                nhwc ? schedule_channels(stage) : schedule_row(stage);
            }
            place(few);
            place(many);
        }
    }

private:
    ElementType element_type() const { return ElementType(dtype, 0, get_target()); }
    bool on_device() const { return get_target().has_gpu_feature(); }

    // On a device, from the window: what tables say on the CPU. Of windows with dilation, those between are looked at as well.
    void find_windows() {
        const bool nhwc = layout == Layout::nhwc;
        axis_x = {kernel_w, stride_w, pad_left, input.dim(nhwc ? 1 : 0).extent(), dilation_w};
        axis_y = {kernel_h, stride_h, pad_top, input.dim(nhwc ? 2 : 1).extent(), dilation_h};
        const auto reach = [](const WindowAxis &axis) { return (axis.kernel - 1) * axis.dilation; };
        windows_w = reach(axis_x) / axis_x.stride + 1;
        windows_h = reach(axis_y) / axis_y.stride + 1;
        step_w = step_h = 1;
        uniform = select(device.own_divisor == 0, 1, 0);
        problem.one = device.one;
    }
    // The first window that may cover element i, and the one behind the last.
    static Expr first_over(const WindowAxis &axis, const Expr &i) {
        return max((i + axis.pad_begin - (axis.kernel - 1) * axis.dilation + axis.stride - 1) / axis.stride, 0);
    }
    static Expr end_over(const WindowAxis &axis, const Expr &i) { return min((i + axis.pad_begin) / axis.stride + 1, axis.input); }
    static Expr has_tap(const WindowAxis &axis, const Expr &i, const Expr &o) { return (i + axis.pad_begin - o * axis.stride) % axis.dilation == 0; }
    Expr first_window_x() { return on_device() ? first_over(axis_x, v.x) : Expr((*first_x)(v.x)); }
    Expr end_window_x() { return on_device() ? end_over(axis_x, v.x) : Expr((*end_x)(v.x)); }
    Expr first_window_y() { return on_device() ? first_over(axis_y, v.y) : Expr((*first_y)(v.y)); }
    Expr end_window_y() { return on_device() ? end_over(axis_y, v.y) : Expr((*end_y)(v.y)); }
    static constexpr int kNarrow = 4;

    // What the window at (ox, oy) gives to each of its elements.
    Expr share(const Expr &g, const Expr &ox, const Expr &oy) {
        const ElementType element = element_type();
        Expr x = on_device() ? ox : select(uniform == 1, 0, ox), y = on_device() ? oy : select(uniform == 1, 0, oy);
        Expr divisor = on_device() ? device.divisor(element, axis_x, axis_y, ox, oy, true) : (*divisor_y)(y) * (*divisor_x)(x);
        if (!element.is_float()) {
            Expr quotient = element.wide_quotient(g, divisor);
            return cast(element.sum, quotient);
        }
        return g * select(uniform == 1, cast(element.factor, 1), cast(element.factor, 1) / divisor);  // else divided as a sum
    }
    Expr divided(const Expr &sum) {
        const ElementType element = element_type();
        if (!element.is_float()) return sum;
        Expr divisor = on_device() ? device.fixed(element) : (*divisor_y)(0) * (*divisor_x)(0);
        // strict_float: else LLVM makes x * (1 / d) an x / d in what is left of a row, or of the channels, and bits depend on the shares.
        Expr scaled = sum * select(uniform == 1, cast(element.factor, 1) / divisor, cast(element.factor, 1));
        return on_device() ? scaled : strict_float(scaled);
    }

    // Of elements of less than 32 bits they are loaded one by one before AVX-512.
    bool masked_loads() const { return get_target().has_feature(Target::AVX512) || (get_target().has_feature(Target::AVX) && element_type().stored.bits() >= 32); }

    // Windows that overlap have no kernel of their own but where it streams: by lines as well, with the same bits.
    bool is_by_lines() const { return window == Window::lines || (window == Window::fixed && streaming && int(fixed_kernel_w) > int(fixed_stride_w)); }

    Expr line_sum() {
        _halide_user_assert(layout == Layout::nchw && element_type().sum == Float(32)) << "lines are planar, of floats\n";
        const auto rows = output.dim(1), planes = output.dim(2);
        // Whole planes come one after the other.
        Expr planes_behind = select(planes.stride() == rows.extent() * rows.stride(), planes.min() + planes.extent() - 1 - v.c, 0);
        Expr elements_behind = (rows.min() + rows.extent() - v.y) * rows.stride() + planes_behind * planes.stride();
        const bool fixed = window == Window::fixed;
        Expr kernel = fixed ? Expr(int(fixed_kernel_w)) : kernel_w, stride = fixed ? Expr(int(fixed_stride_w)) : stride_w;
        Expr most_rows = fixed ? Expr((int(fixed_kernel_h) - 1) / int(fixed_stride_h) + 1) : windows_h;
        return gradient_line_sum({input(0, 0, v.c, v.n), v.y, (*first_y)(0), (*end_y)(0), most_rows, (*divisor_y)(0), (*reciprocal)(0, 0), uniform,
                                  strict_float(1.0f / ((*divisor_y)(0) * (*divisor_x)(0))), *positive_zero, pitch, kernel, stride, pad_left,
                                  output.dim(0).extent() / pitch, input.dim(0).extent() / pitch, input.dim(1).stride(), elements_behind});
    }

    // Windows known at run time, in blocks of 8 x 2: see runtime_window_sum.
    struct WindowsSum {
        Func sum{"sum"}, partial{"partial"}, total{"total"};
        RDom taps, blocks;
    };
    Expr is_few() { return windows_w <= 16 && windows_h <= 16; }

    WindowsSum windows_sum(bool few_blocks) {
        constexpr int kBlockW = 8, kBlockH = 2;
        WindowsSum stages;
        Var block_x("block_x"), block_y("block_y");
        std::vector<Var> block_order = v.order(layout);
        block_order.insert(block_order.end(), {block_x, block_y});
        const std::vector<Expr> block_at(block_order.begin(), block_order.end());
        stages.taps = RDom(0, kBlockW, 0, kBlockH, "taps");
        Expr ox = first_window_x() + (block_x * kBlockW + stages.taps.x) * step_w;
        Expr oy = first_window_y() + (block_y * kBlockH + stages.taps.y) * step_h;
        stages.taps.where(oy < end_window_y());
        Expr term;
        if (layout == Layout::nhwc) {
            stages.taps.where(ox < end_window_x());
            Expr x = unsafe_promise_clamped(ox, 0, input.dim(1).extent() - 1), y = unsafe_promise_clamped(oy, 0, input.dim(2).extent() - 1);
            term = share(gradient(v.c, x, y, v.n), x, y);
        } else {  // a window that does not cover this column of the vector's is masked
            stages.taps.where(block_x * kBlockW + stages.taps.x < windows_w);
            Expr x = clamp(ox, 0, input.dim(0).extent() - 1), y = unsafe_promise_clamped(oy, 0, input.dim(1).extent() - 1);
            Expr value = share(gradient(x, y, v.c, v.n), x, y);
            term = select(ox < end_window_x(), value, cast(value.type(), 0));
        }
        if (on_device()) term = select(has_tap(axis_x, v.x, ox) && has_tap(axis_y, v.y, oy), term, cast(term.type(), 0));
        stages.partial(block_order) = cast(problem.sum, 0);
        // strict_float: else quotients and sums are fused in vectors and not in what is left of a row, and bits depend on the shares.
        Expr added = stages.partial(block_at) + term;
        stages.partial(block_at) = problem.sum.is_float() ? strict_float(added) : added;
        stages.blocks = RDom(0, (windows_w + kBlockW - 1) / kBlockW, 0, (windows_h + kBlockH - 1) / kBlockH, "blocks");
        std::vector<Expr> this_block = v.arguments(layout);
        this_block.insert(this_block.end(), {stages.blocks.x, stages.blocks.y});
        const LongSum total{problem, few_blocks};
        total.begin(stages.total(v.order(layout)));
        total.add(stages.total(v.arguments(layout)), stages.partial(this_block));
        stages.sum(v.order(layout)) = total.value(stages.total(v.arguments(layout)));
        return stages;
    }

    void schedule_for_device() {
        set_dense(input, element_type().stored, 1);
        set_dense(output, element_type().result, 1);
        PoolStages stages;
        stages.total = many.total;
        stages.partial = many.partial;
        stages.taps = many.taps;
        stages.blocks = many.blocks;
        // Floats are divided before or after they are added up. Each integer's quotient is truncated: no condition on the divisor may be the
        // same for all of them, for Halide would pass it as a bool, which SPIR-V's uniform buffers cannot hold.
        const std::vector<Expr> divisors = element_type().is_float() ? std::vector<Expr>{device.own_divisor == 0, device.own_divisor == 1}
                                                                    : std::vector<Expr>{device.own_divisor <= 1};
        schedule_flat(output, stages, layout, v, divisors, {vector, tile_rows, 1, threads}, 0, 0);
    }

    void place(WindowsSum &stages) {
        const Var lane = layout == Layout::nhwc ? v.c : v.x, tile("to");
        stages.total.compute_at(output, tile).vectorize(lane);
        stages.total.update().reorder(lane, stages.blocks.x, stages.blocks.y).vectorize(lane);
        stages.partial.compute_at(stages.total, stages.blocks.x).vectorize(lane);
        stages.partial.update().reorder(lane, stages.taps.x, stages.taps.y).vectorize(lane);
    }

    void schedule_channels(Stage stage) {
        Var to("to"), ti("ti");
        const auto strip = [&](Stage stage, int lanes) {
            stage.split(v.c, to, ti, lanes, TailStrategy::ShiftInwards).vectorize(ti).reorder(ti, to, v.x, v.y, v.n).never_partition_all();
        };
        Expr channels = output.dim(0).extent();
        for (int vectors = channel_vectors; vectors > 0; vectors /= 2) {
            strip(stage.specialize(channels >= int(vector) * vectors), int(vector) * vectors);
        }
        if (int(vector) > kNarrow) strip(stage.specialize(channels >= kNarrow), kNarrow);
        strip(stage, 1);
    }

    void schedule_row(Stage stage) {
        Var to("to"), ti("ti");
        const auto part = [&](Stage stage, int lanes) {
            stage.split(v.x, to, ti, lanes, TailStrategy::ShiftInwards).vectorize(ti).reorder(ti, to, v.y, v.c, v.n).never_partition_all();
        };
        Expr width = output.dim(0).extent();
        if (window == Window::global) {
            Stage plane = stage.specialize(width == 49);  // how most classifiers end
            part(plane, vector);
            plane.unroll(to);
        }
        part(stage.specialize(width >= int(vector)), vector);
        if (int(vector) > kNarrow) part(stage.specialize(width >= kNarrow), kNarrow);
        part(stage, 1);
    }

    // Planar windows of one kind. Column x = m * stride + phase lies in the windows that begin up to (kernel - 1) / stride before
    // the one that begins at or before it: for each phase, neighbouring columns m read neighbouring gradients.
    void fixed_sum() {
        _halide_user_assert(layout == Layout::nchw) << "kernels for fixed windows are planar\n";
        const auto windows = [](int kernel, int stride) { return (kernel + stride - 1) / stride; };
        const int kw = fixed_kernel_w, sw = fixed_stride_w, kh = fixed_kernel_h, sh = fixed_stride_h;
        Expr shifted_x = v.x % sw + pad_left, last_x = v.x / sw + shifted_x / sw, phase_x = shifted_x % sw;
        Expr shifted_y = v.y + pad_top, last_y = shifted_y / sh, phase_y = shifted_y % sh;
        Expr width = input.dim(0).extent(), height = input.dim(1).extent(), masked = border == static_cast<int>(Border::masked);
        Expr total;
        for (int j = windows(kh, sh) - 1; j >= 0; --j) {
            Expr oy = last_y - j, inside_y = clamp(oy, 0, height - 1), row;
            for (int i = windows(kw, sw) - 1; i >= 0; --i) {
                Expr ox = last_x - i, inside_x = select(masked, ox, clamp(ox, 0, width - 1));
                Expr g = gradient(inside_x, inside_y, v.c, v.n);
                Expr covers = ox >= 0 && ox < width;
                if ((kw - 1) / sw == i) covers = covers && phase_x + i * sw < kw;
                // Beside the table's rows there is room (runtime/divisors.cpp).
                Expr own = g * reciprocal_at(inside_x, inside_y);
                Expr term = select(covers, select(uniform == 1, g, own), cast(g.type(), 0));
                row = row.defined() ? strict_float(row + term) : term;
            }
            Expr covers = oy >= 0 && oy < height;
            if ((kh - 1) / sh == j) covers = covers && phase_y + j * sh < kh;
            Expr term = select(covers, row, cast(row.type(), 0));
            total = total.defined() ? strict_float(total + term) : term;
        }
        sum(v.order(layout)) = select(uniform == 1, total * reciprocal_at(0, 0), total);
    }

    Expr reciprocal_at(const Expr &ox, const Expr &oy) {
        return (*reciprocal)(ox, unsafe_promise_clamped(cast<int>((*divisor_y)(oy)) - 1, 0, int(fixed_kernel_h) - 1));
    }

    void schedule_fixed() {
        Var xm("xm"), phase("phase"), xo("xo"), xi("xi");
        const int stride = fixed_stride_w;
        const auto columns = [&](Stage stage, int lanes) {
            if (stride > 1) {
                stage.split(v.x, xm, phase, stride, TailStrategy::RoundUp)
                    .split(xm, xo, xi, lanes, TailStrategy::ShiftInwards)
                    .reorder(xi, phase, xo, v.y, v.c, v.n)
                    .vectorize(xi)
                    .unroll(phase);
            } else {
                stage.split(v.x, xo, xi, lanes, TailStrategy::ShiftInwards).reorder(xi, xo, v.y, v.c, v.n).vectorize(xi);
            }
            stage.never_partition_all();
        };
        Expr extent = output.dim(0).extent(), whole = extent % stride == 0, count = extent / stride;
        Expr masked = border == static_cast<int>(Border::masked);
        for (Expr one : {uniform == 1, Expr()}) {
            for (int padding : {0, 1, -1}) {
                if (padding >= int(fixed_kernel_w)) continue;
                Expr condition = masked && whole && count >= int(vector);
                if (one.defined()) condition = condition && one;
                if (padding >= 0) condition = condition && pad_left == padding;
                columns(output.specialize(condition), vector);
            }
        }
        if (int(vector) > kNarrow) columns(output.specialize(masked && whole && count >= kNarrow), kNarrow);
        output.never_partition_all();
    }

    Expr kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, border;
    Expr uniform, windows_h, windows_w, step_h, step_w, pitch;
    WindowAxis axis_x, axis_y;
    AddedInputs added;
    DeviceArguments device;
    Input<Expr> *positive_zero = nullptr;
    Input<Buffer<>> *first_x = nullptr, *end_x = nullptr, *first_y = nullptr, *end_y = nullptr;
    Input<Buffer<>> *divisor_x = nullptr, *divisor_y = nullptr, *reciprocal = nullptr;
    OutputVariables v;
    PoolProblem problem{};
    Func gradient{"gradient"}, sum{"shares"};
    WindowsSum few, many;
};

}  // namespace
}  // namespace halpool

HALIDE_REGISTER_GENERATOR(halpool::AvgPool2dBackward, avg_pool2d_backward)
