// The one generator of average pooling: kernel_manifest.py calls it once for each row of schedules/.
#include "certain_stages.hpp"
#include "convention.hpp"
#include "cpu_schedule.hpp"
#include "dense_columns.hpp"
#include "device_arguments.hpp"
#include "element_type.hpp"
#include "gpu_schedule.hpp"
#include "lane_sums.hpp"
#include "large_window.hpp"
#include "line_window.hpp"
#include "pool_algorithm.hpp"
#include "scalable_vectors.hpp"
#include "statements.hpp"
#include "tap_window.hpp"
#include "window_walk.hpp"

#include <halpool/internal/kernel_convention.h>

#include <cstddef>

namespace halpool {
namespace {

using namespace Halide;

static_assert(sizeof(KernelBuffer) == sizeof(halide_buffer_t) && sizeof(KernelDimension) == sizeof(halide_dimension_t) &&
                  sizeof(KernelType) == sizeof(halide_type_t) &&
                  offsetof(KernelBuffer, host) == offsetof(halide_buffer_t, host) &&
                  offsetof(KernelBuffer, type) == offsetof(halide_buffer_t, type) &&
                  offsetof(KernelBuffer, dim) == offsetof(halide_buffer_t, dim) &&
                  offsetof(KernelDimension, stride) == offsetof(halide_dimension_t, stride),
              "kernel_convention.h must describe Halide's buffers");

constexpr int kAnyChannels = 1 << 20;

enum class Window { generic, small, separable, lines, large, blocks, fixed, global };

class AvgPool2d : public Generator<AvgPool2d> {
public:
    GeneratorParam<std::string> dtype{"dtype", "f32"};
    GeneratorParam<Layout> layout{"layout", Layout::nchw, {{"nchw", Layout::nchw}, {"nhwc", Layout::nhwc}}};
    GeneratorParam<Window> window{
        "window",
        Window::generic,
        {{"generic", Window::generic}, {"small", Window::small}, {"separable", Window::separable}, {"lines", Window::lines}, {"large", Window::large}, {"blocks", Window::blocks}, {"fixed", Window::fixed}, {"global", Window::global}}};
    GeneratorParam<int> fixed_kernel_h{"fixed_kernel_h", 0}, fixed_kernel_w{"fixed_kernel_w", 0};
    GeneratorParam<int> fixed_stride_h{"fixed_stride_h", 0}, fixed_stride_w{"fixed_stride_w", 0};
    GeneratorParam<int> fixed_channels{"fixed_channels", 0};  // channels-last with so few channels; 0: any number
    // Planar, windows of stride 1: planes of exactly this extent, padded by fixed_padding on all sides; 0: any.
    GeneratorParam<int> fixed_plane_h{"fixed_plane_h", 0}, fixed_plane_w{"fixed_plane_w", 0}, fixed_padding{"fixed_padding", 0};
    GeneratorParam<int> fixed_input_w{"fixed_input_w", 0}, fixed_output_w{"fixed_output_w", 0};  // rows of a workload; 0: any
    GeneratorParam<int> vector{"vector", 8}, wide_vector{"wide_vector", 0}, tile_rows{"tile_rows", 1}, tile_columns{"tile_columns", 1};
    GeneratorParam<int> channel_vectors{"channel_vectors", 1}, most_channels{"most_channels", 0};  // 0: as walked_channels says
    GeneratorParam<int> threads{"threads", 128};    // of device kernels
    GeneratorParam<int> alignment{"alignment", 1};  // kernel_convention.h: KernelRow
    GeneratorParam<bool> streaming{"streaming", false};
    GeneratorParam<bool> pairs{"pairs", false};  // kernel_convention.h: KernelRow

    // In the order of kernel_convention.h; the user context is the target feature user_context. configure() adds what
    // lies between these and the output.
    Input<Buffer<void, 4>> input{"input"};
    Input<int> kernel_h{"kernel_h"}, kernel_w{"kernel_w"}, stride_h{"stride_h"}, stride_w{"stride_w"};
    Input<int> pad_top{"pad_top"}, pad_left{"pad_left"}, dilation_h{"dilation_h"}, dilation_w{"dilation_w"};
    Input<int> border{"border"};
    Output<Buffer<void, 4>> output{"output"};

    void configure() {
        const ElementType element = element_type();
        _halide_user_assert(!pairs || element.has_words()) << "there are no words of pairs of " << std::string(dtype) << "\n";
        input.set_type(pairs ? element.word() : element.stored);
        output.set_type(pairs && layout == Layout::nhwc ? element.word() : element.result);
        if (on_device()) {
            device.add([this](const char *name) { return add_input<int>(name); }, [this](const char *name) { return add_input<float>(name); });
        } else {
            uniform = add_input<int>("uniform");
            pitch = add_input<int>("pitch");
            input_zero = add_input<int>("input_zero");
            output_zero = add_input<int>("output_zero");
            positive_zero = add_input<Expr>("positive_zero", element.factor);
            divisor_x = add_input<Buffer<>>("divisor_x", element.factor, 1);
            divisor_y = add_input<Buffer<>>("divisor_y", element.factor, 1);
            reciprocal = add_input<Buffer<>>("reciprocal", element.factor, 2);
        }
    }

    void generate() {
        if (on_device()) {
            check_convention(arginfos(), kDeviceKernelArgumentNames);
            device.read();
        } else {
            check_convention(arginfos(), kKernelArgumentNames);
        }
        const bool fixed = window == Window::fixed;
        const bool nhwc = layout == Layout::nhwc;
        const ElementType element = element_type();
        Func summed = input;
        if (element.stored != element.sum || !is_f32()) {
            summed = Func("summed");
            Expr stored = input(v.arguments(layout));
            if (pairs) {
                summed(v.order(layout)) = Tuple(element.low_of_pair(stored), element.high_of_pair(stored));
            } else {
                summed(v.order(layout)) = element.widened(stored, on_device() ? device.input_zero : Expr(*input_zero));
            }
        }
        PoolProblem problem{layout, summed, element.sum, {}, {}, border, !nhwc || fixed_channels > 0, fixed_channels, on_device()};
        problem.x = {fixed ? Expr(int(fixed_kernel_w)) : kernel_w, fixed ? Expr(int(fixed_stride_w)) : stride_w, pad_left,
                     input.dim(nhwc ? 1 : 0).extent()};
        problem.y = {fixed ? Expr(int(fixed_kernel_h)) : kernel_h, fixed ? Expr(int(fixed_stride_h)) : stride_h, pad_top,
                     input.dim(nhwc ? 2 : 1).extent()};

        if (window == Window::generic) {
            problem.x.dilation = dilation_w;
            problem.y.dilation = dilation_h;
        }
        problem.pairs = pairs;
        if (pairs) problem.zero = element.zero_pair();
        if (pairs && !nhwc) problem.x.input = input.dim(0).extent() * 2;
        if (fixed_plane_w > 0) {
            for (auto [axis, extent] : {std::pair{&problem.x, int(fixed_plane_w)}, std::pair{&problem.y, int(fixed_plane_h)}}) {
                axis->input = extent;
                axis->pad_begin = int(fixed_padding);
            }
        }
        if (on_device()) problem.one = device.one;
        problem.walks_down = walks();
        problem.dense_columns = dense_columns();
        _halide_user_assert(!walks() || int(fixed_kernel_w) / 2 <= int(vector))
            << "a window of " << int(fixed_kernel_w) << " columns needs vectors of at least half as many\n";
        problem.side_by_side = side_by_side();
        if (on_device() && window == Window::separable) {
            // Such windows cost so much that one kernel for all borders is enough.
            problem.border = static_cast<int>(Border::clamped);
            problem.x.stride = clamp(problem.x.stride, 1, kSeparableStride);  // as it is: for the bounds of shared memory
        } else if (on_device()) {
            // No border, no padding: with that known, aligned rows have aligned windows.
            for (WindowAxis *axis : {&problem.x, &problem.y}) {
                Expr no_border = border == static_cast<int>(Border::none);
                axis->pad_begin = window == Window::global ? Expr(0) : select(no_border, 0, axis->pad_begin);
            }
        }

        if (fixed) {
            stages = fixed_window_sum(problem, v);
            if (may_walk_along()) {
                const FuncRef tile = stages.sum(v.arguments(layout));
                const Tuple walked = walked_along_sum(problem, v), tiled = pairs ? Tuple(tile) : Tuple(Expr(tile));
                stages.sum = Func("sum");
                stages.sum(v.order(layout)) = always_walks_along() ? walked : select(walks_along(), walked, tiled);
            }
        } else if (window == Window::small) {
            stages.sum(v.order(layout)) = tap_window_sum(problem, v, window_call());
        } else if (window == Window::lines) {
            stages.sum(v.order(layout)) = line_window_sum(problem, v, window_call());
        } else if (window == Window::separable) {
            separable_stages = separable_window_sum(problem, v);
            stages.sum = separable_stages.sum;
        } else if (window == Window::large) {
            stages.sum(v.order(layout)) = large_window_sum(problem, v, window_call());
        } else if (window == Window::blocks) {
            problem.border = static_cast<int>(Border::none);
            if (fixed_stride_w > 0) {
                problem.x.stride = int(fixed_stride_w);
                block_stages = block_sum(problem, v);
                stages.sum = block_stages.sum;
            } else {
                separable_stages = separable_window_sum(problem, v);
                stages.sum = separable_stages.sum;
            }
        } else if (window == Window::generic) {
            stages = runtime_window_sum(problem, v, 8, 2, false);
        } else if (on_device()) {
            tree_stages = tree_sum(problem, v, nhwc ? threads / kChannelLanes : int(threads));
            stages.sum = tree_stages.sum;
        } else if (nhwc) {
            problem.border = static_cast<int>(Border::none);
            stages = runtime_window_sum(problem, v, 16, 1, false);
            few_stages = runtime_window_sum(problem, v, 16, 1, true);
            Func sum("sum");
            sum(v.order(layout)) = select(is_few(), few_stages.sum(v.arguments(layout)), stages.sum(v.arguments(layout)));
            stages.sum = sum;
        } else {
            row_stages = row_sum(problem, v, vector);
            stages.sum = row_stages.sum;
        }

        const bool word_of_means = pairs && nhwc;
        Expr sum = word_of_means ? Expr() : Expr(stages.sum(v.arguments(layout)));
        if (on_device()) {
            Expr divisor = device.divisor(element, problem.x, problem.y, v.x, v.y, window == Window::generic);
            output(v.order(layout)) = element.mean(sum, divisor, element.is_float() ? cast(element.sum, device.positive_zero) : Expr(), device.output_zero, device.scale);
        } else if (fixed) {
            const auto factor_at = [&](Expr x, Expr y, bool is_steady = false) {
                Expr height_class = cast<int>((*divisor_y)(y)) - 1;
                if (is_steady) height_class = steady(height_class);
                return (*reciprocal)(x, unsafe_promise_clamped(height_class, 0, int(fixed_kernel_h) - 1));
            };
            Expr one_factor = border == int(Border::none) || *uniform == 1;
            // In a tile the mark would keep Halide from reading it once a pixel.
            const auto of_walk = [&](const Expr &own) { return !may_walk_along() ? own : always_walks_along() ? steady(own) : select(walks_along(), steady(own), own); };
            Expr factor = select(one_factor, factor_at(0, 0), of_walk(factor_at(v.x, v.y, walks())));
            Expr zero = *positive_zero;
            if (word_of_means) {
                const FuncRef sums = stages.sum(v.arguments(layout));
                const auto divisor_at = [&](Expr x, Expr y) -> Expr { return (*divisor_y)(y) * (*divisor_x)(x); };
                Expr divisor = select(one_factor, divisor_at(0, 0), of_walk(divisor_at(v.x, v.y)));
                output(v.order(layout)) = element.pair_of_means(element.low_sum(sums[0], sums[1]), sums[1], divisor, factor, zero);
                return;
            }
            if (problem.side_by_side) zero = select(is_read_in_order(), read_in_order(problem, v, stages, zero), zero);
            output(v.order(layout)) = element.mean_by_reciprocal(sum, factor, zero, *output_zero);
        } else if (window == Window::large) {
            // Where all windows have one divisor, one division serves a whole row. strict_float also tells Halide that
            // the order of the sums matters.
            Expr one = strict_float(1.0f / ((*divisor_y)(0) * (*divisor_x)(0)));
            Expr own = strict_float(sum / ((*divisor_y)(v.y) * (*divisor_x)(v.x)));
            output(v.order(layout)) = select(*uniform == 1, sum * one, own) + *positive_zero;
        } else if (window == Window::small || window == Window::lines) {
            Expr one = call_constant(1.0f / ((*divisor_y)(0) * (*divisor_x)(0)));
            Expr own = (*reciprocal)(v.x, unsafe_promise_clamped(cast<int>((*divisor_y)(v.y)) - 1, 0, kernel_h - 1));
            // strict_float tells Halide that the order of the sums matters, for the whole kernel.
            output(v.order(layout)) = strict_float(sum * select(*uniform == 1, one, own)) + *positive_zero;
        } else {
            const bool one_divisor = window == Window::blocks || window == Window::global;  // all windows have it
            Expr divisor = one_divisor ? (*divisor_y)(0) * (*divisor_x)(0) : (*divisor_y)(v.y) * (*divisor_x)(v.x);
            output(v.order(layout)) = element.mean(sum, divisor, *positive_zero, *output_zero);
        }
    }

    void schedule() {
        if (dense_columns()) get_pipeline().add_custom_lowering_pass(new DenseColumns);
        if (may_walk_along() && !always_walks_along()) get_pipeline().add_custom_lowering_pass(new CertainStages);
        if (!on_device()) get_pipeline().add_custom_lowering_pass(new WindowWalk(
            masked_loads(), fixed_plane_w < int(vector) ? int(fixed_plane_w) : 0));
        if (window == Window::lines) get_pipeline().add_custom_lowering_pass(new LineWindow(vector));
        if (window == Window::small) get_pipeline().add_custom_lowering_pass(new TapWindow);
        if (window == Window::large) get_pipeline().add_custom_lowering_pass(new LargeWindow(vector));
        if (get_target().has_feature(Target::RVV)) get_pipeline().add_custom_lowering_pass(new ScalableVectors);
        if (!on_device()) get_pipeline().add_custom_lowering_pass(new LaneSums(vector, !get_target().has_feature(Target::RVV)));
        if (on_device()) {
            schedule_for_device();
        } else {
            schedule_for_cpu();
        }
    }

private:
    WindowCall window_call() {
        const bool nhwc = layout == Layout::nhwc;
        const int column = nhwc ? 1 : 0;
        const Expr column_pitch = window == Window::lines ? Expr(*pitch) : nhwc ? input.dim(1).stride() : Expr(1);
        return {output.dim(column).min(), output.dim(column).extent(), input.dim(column + 1).stride(), column_pitch,
                nhwc ? input.dim(0).extent() : Expr(1), *uniform};
    }
    bool is_f32() const { return std::string(dtype) == "f32"; }
    ElementType element_type() const {
        return ElementType(dtype, window == Window::fixed ? int(fixed_kernel_h) * int(fixed_kernel_w) : 0, get_target());
    }
    bool planar_fixed() const { return !on_device() && window == Window::fixed && layout == Layout::nchw; }
    bool walks() const { return planar_fixed() && walks_down(true, fixed_kernel_w, fixed_stride_w, element_type().stored.bytes(), masked_loads()); }
    bool may_walk_along() const {
        return !on_device() && window == Window::fixed && layout == Layout::nhwc && fixed_channels == 0 && !streaming && walked_channels() > 0;
    }
    bool always_walks_along() const { return may_walk_along() && walked_channels() == kAnyChannels; }
    Expr walks_along() const { return output.dim(0).extent() <= walked_channels(); }
    // Channels-last, fixed windows: with more channels, or words of pairs, pixels are too far apart to walk along the rows. Of small
    // elements they are close, and what finds a pixel's memory costs as much as its sums: bytes walk even where windows share nothing.
    int walked_channels() const {
        const int bits = element_type().stored.bits(), overlap = int(fixed_kernel_w) - int(fixed_stride_w);
        if (most_channels > 0) return most_channels;
        return bits == 8 || (bits == 16 && overlap > 0) || (is_f32() && fixed_stride_w == 1) ? kAnyChannels : 0;
    }
    bool dense_columns() const { return walks() && fixed_plane_w == 0 && reads_dense_columns(fixed_stride_w, element_type().stored.bytes()); }
    // Of elements of less than 32 bits they are loaded one by one before AVX-512.
    bool masked_loads() const { return get_target().has_feature(Target::AVX512) || (get_target().has_feature(Target::AVX) && (pairs || element_type().stored.bits() >= 32)); }
    bool side_by_side() const {
        return planar_fixed() && is_f32() && !walks() && lie_side_by_side(fixed_kernel_h, fixed_kernel_w, fixed_stride_h, fixed_stride_w);
    }
    // Planar windows side by side, of rows of more than one tile, as long as the first-level cache holds a row and the
    // second-level cache does not hold the call.
    Expr is_read_in_order() const {
        Expr columns = input.dim(0).extent(), rows = output.dim(1).extent() * output.dim(2).extent() * int(fixed_kernel_h);
        return border == int(Border::none) && columns > std::max(128, int(fixed_kernel_w) * int(tile_columns) * int(vector)) &&
               columns <= 4096 && rows >= (1 << 18) / columns;
    }
    Expr is_few() const { return input.dim(1).extent() <= 16 * 16; }
    bool on_device() const { return get_target().has_gpu_feature(); }

    void schedule_for_device() {
        set_dense(input, element_type().stored, alignment);
        set_dense(output, element_type().result, alignment);
        if (window == Window::global) {  // one output a plane
            for (int i : {0, 1}) output.dim(layout == Layout::nhwc ? i + 1 : i).set_extent(1);
        }
        const GpuSchedule s{vector, tile_rows, tile_columns, threads};
        const std::vector<Expr> borders = {border == static_cast<int>(Border::none),
                                           border == static_cast<int>(Border::clamped)};
        if (window == Window::global) {
            schedule_tree(output, tree_stages, layout, v);
        } else if (window == Window::separable) {
            schedule_shared_columns(output, separable_stages, layout, v, s);
        } else {
            const int rows = window == Window::fixed ? (tile_rows - 1) * fixed_stride_h + fixed_kernel_h : 0;
            schedule_flat(output, stages, layout, v, borders, s, rows, int(vector) * int(fixed_stride_w));
        }
    }

    void schedule_for_cpu() {
        const bool nhwc = layout == Layout::nhwc;
        for (int i = 0; i < 4; ++i) input.dim(i).set_min(0);
        input.dim(0).set_stride(1);
        output.dim(0).set_stride(1);
        if (fixed_channels > 0) {
            input.dim(0).set_extent(fixed_channels);
            input.dim(1).set_stride(fixed_channels);
            output.dim(0).set_extent(fixed_channels);
            output.dim(1).set_stride(fixed_channels);
        }
        if (fixed_input_w > 0) {
            input.dim(nhwc ? 1 : 0).set_extent(fixed_input_w);
            output.dim(nhwc ? 1 : 0).set_min(0).set_extent(fixed_output_w);
        }
        if (fixed_plane_w > 0) {
            for (auto [i, extent] : {std::pair{0, int(fixed_plane_w)}, std::pair{1, int(fixed_plane_h)}}) {
                input.dim(i).set_extent(extent);
                output.dim(i).set_min(0).set_extent(extent);
                input.dim(i + 1).set_stride(i == 0 ? extent : int(fixed_plane_w) * int(fixed_plane_h));
                output.dim(i + 1).set_stride(i == 0 ? extent : int(fixed_plane_w) * int(fixed_plane_h));
            }
        }
        if (!nhwc && window == Window::global) {  // planes are rows, results are neighbours
            input.dim(2).set_stride(input.dim(0).extent());
            output.dim(2).set_stride(1);
            for (int i : {0, 1, 3}) output.dim(i).set_bounds(0, 1);
        }
        if (nhwc) {  // channels and columns are always computed whole
            output.dim(0).set_min(0);
            if (window != Window::large) output.dim(1).set_min(0);
        } else if (window == Window::fixed) {
            output.dim(0).set_min(0);
        }
        for (auto *buffer : {divisor_x, divisor_y}) buffer->dim(0).set_min(0);
        for (int i = 0; i < 2; ++i) reciprocal->dim(i).set_min(0);

        const int registers = get_target().arch == Target::X86 && !get_target().has_feature(Target::AVX512) ? 16 : 32;
        const CpuSchedule s{vector, wide_vector, tile_rows, tile_columns, channel_vectors, streaming, registers, pairs};
        const CallConditions when{border, *uniform, output.dim(nhwc ? 1 : 0).extent(), output.dim(nhwc ? 2 : 1).extent(),
                                  output.dim(nhwc ? 0 : 2).extent(), kernel_h, stride_w, pad_left,
                                  input.dim(nhwc ? 1 : 0).stride(), output.dim(nhwc ? 1 : 0).stride(), input.dim(0).extent()};
        if (fixed_channels > 0 && window == Window::fixed) {
            schedule_few_channels(output, v, when, s);
        } else if (window == Window::small) {
            schedule_taps(output, v, when, s);
        } else if (window == Window::large) {
            schedule_large(output, layout, v, when, s);
        } else if (window == Window::blocks && fixed_stride_w > 0) {
            schedule_blocks_of_width(output, block_stages, v, when, s);
        } else if (window == Window::blocks) {
            schedule_blocks(output, separable_stages, layout, v, when, s);
        } else if (window == Window::lines) {
            schedule_lines(output, v, when, s, get_target().has_feature(Target::AVX));
        } else if (window == Window::fixed && nhwc) {
            const int carried = std::max(int(fixed_kernel_w) - int(fixed_stride_w), 1) * (pairs ? 2 : 1);
            if (may_walk_along()) schedule_channels_last_walk(always_walks_along() ? output : output.specialize(walks_along()), v, when, s, carried, output.type().bytes());
            if (!always_walks_along()) schedule_channels_last_fixed(output, stages, v, when, s);
        } else if (window == Window::fixed) {
            if (fixed_plane_w > 0) {
                schedule_planar_plane(output, v, when, s, fixed_plane_w);
            } else if (side_by_side()) {
                schedule_planar_side_by_side(output, stages, v, is_read_in_order(), when, s);
            } else if (dense_columns() && streaming) {
                schedule_planar_even_strips(output, v, when, s);
            } else if (walks()) {
                // Masks are registers of their own kind.
                const int held = (int(fixed_kernel_h) - int(fixed_stride_h) + 1) * (4 * int(fixed_stride_w) + 1);
                const bool four_vectors = dense_columns() && get_target().has_feature(Target::AVX512) && held <= registers - 8;
                schedule_planar_walk(output, v, when, s, dense_columns(), four_vectors, get_target().has_feature(Target::AVX512) && !streaming);
            } else {
                schedule_planar_tiles(output, stages, v, when, s, lie_side_by_side(fixed_kernel_h, fixed_kernel_w, fixed_stride_h, fixed_stride_w));
            }
        } else if (window == Window::global && nhwc) {
            schedule_channels_last_global(output, stages, few_stages, is_few(), v, when, s);
        } else if (nhwc) {
            schedule_channels_last_runtime(output, stages, v, when, s);
        } else if (window == Window::global) {
            schedule_planar_global(output, row_stages, v, when, s);
        } else {
            schedule_planar_runtime(output, stages, v, when, s);
        }
    }

    Input<int> *uniform = nullptr, *pitch = nullptr, *input_zero = nullptr, *output_zero = nullptr;
    Input<Expr> *positive_zero = nullptr;
    Input<Buffer<>> *divisor_x = nullptr, *divisor_y = nullptr, *reciprocal = nullptr;
    DeviceArguments device;
    OutputVariables v;
    PoolStages stages, few_stages;
    RowStages row_stages;
    SeparableStages separable_stages;
    BlockStages block_stages;
    TreeStages tree_stages;
};

}  // namespace
}  // namespace halpool

HALIDE_REGISTER_GENERATOR(halpool::AvgPool2d, avg_pool2d)
