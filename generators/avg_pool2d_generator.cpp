// The one generator of average pooling: kernel_manifest.py calls it once for each row of schedules/.
#include "cpu_schedule.hpp"
#include "pool_algorithm.hpp"

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

enum class Window { generic, small, separable, fixed, global };

class AvgPool2d : public Generator<AvgPool2d> {
public:
    GeneratorParam<Layout> layout{"layout", Layout::nchw, {{"nchw", Layout::nchw}, {"nhwc", Layout::nhwc}}};
    GeneratorParam<Window> window{
        "window",
        Window::generic,
        {{"generic", Window::generic}, {"small", Window::small}, {"separable", Window::separable}, {"fixed", Window::fixed}, {"global", Window::global}}};
    GeneratorParam<int> fixed_kernel_h{"fixed_kernel_h", 0}, fixed_kernel_w{"fixed_kernel_w", 0};
    GeneratorParam<int> fixed_stride_h{"fixed_stride_h", 0}, fixed_stride_w{"fixed_stride_w", 0};
    GeneratorParam<int> fixed_channels{"fixed_channels", 0};  // channels-last with so few channels; 0: any number
    GeneratorParam<int> vector{"vector", 8}, tile_rows{"tile_rows", 1}, tile_columns{"tile_columns", 1};
    GeneratorParam<int> channel_vectors{"channel_vectors", 1};

    // In the order of kernel_convention.h; the user context is the target feature user_context.
    Input<Buffer<float, 4>> input{"input"};
    Input<int> kernel_h{"kernel_h"}, kernel_w{"kernel_w"}, stride_h{"stride_h"}, stride_w{"stride_w"};
    Input<int> pad_top{"pad_top"}, pad_left{"pad_left"};
    Input<int> border{"border"}, uniform{"uniform"};
    Input<float> positive_zero{"positive_zero"};
    Input<Buffer<float, 1>> divisor_x{"divisor_x"}, divisor_y{"divisor_y"};
    Input<Buffer<float, 2>> reciprocal{"reciprocal"};
    Output<Buffer<float, 4>> output{"output"};

    void generate() {
        check_convention();
        const bool fixed = window == Window::fixed;
        const bool nhwc = layout == Layout::nhwc;
        PoolProblem problem{layout, input, {}, {}, border, !nhwc || fixed_channels > 0};
        problem.x = {fixed ? Expr(int(fixed_kernel_w)) : kernel_w, fixed ? Expr(int(fixed_stride_w)) : stride_w, pad_left,
                     input.dim(nhwc ? 1 : 0).extent()};
        problem.y = {fixed ? Expr(int(fixed_kernel_h)) : kernel_h, fixed ? Expr(int(fixed_stride_h)) : stride_h, pad_top,
                     input.dim(nhwc ? 2 : 1).extent()};

        if (fixed) {
            stages = fixed_window_sum(problem, v);
        } else if (window == Window::small) {
            stages = runtime_window_sum(problem, v, problem.x.kernel, 1, Float(32));  // at most 16 rows of 16 taps
        } else if (window == Window::separable) {
            separable_stages = separable_window_sum(problem, v);
            stages.sum = separable_stages.sum;
        } else if (window == Window::generic) {
            stages = runtime_window_sum(problem, v, 8, 2, Float(64));
        } else if (nhwc) {
            stages = runtime_window_sum(problem, v, 16, 1, Float(64));
        } else {
            row_stages = row_sum(problem, v, vector);
            stages.sum = row_stages.sum;
        }

        Expr sum = stages.sum(v.arguments(layout));
        if (fixed) {
            const auto factor_at = [&](Expr x, Expr y) {
                Expr height_class = cast<int>(divisor_y(y)) - 1;
                return reciprocal(x, unsafe_promise_clamped(height_class, 0, int(fixed_kernel_h) - 1));
            };
            Expr one_factor = border == int(Border::none) || uniform == 1;
            Expr factor = select(one_factor, factor_at(0, 0), factor_at(v.x, v.y));
            output(v.order(layout)) = sum * factor + positive_zero;
        } else {
            output(v.order(layout)) = sum / (divisor_y(v.y) * divisor_x(v.x)) + positive_zero;
        }
    }

    void schedule() {
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
        if (nhwc) {  // channels and columns are always computed whole
            output.dim(0).set_min(0);
            output.dim(1).set_min(0);
        } else if (window == Window::fixed || window == Window::global) {
            output.dim(0).set_min(0);
        }
        for (auto *buffer : {&divisor_x, &divisor_y}) buffer->dim(0).set_min(0);
        for (int i = 0; i < 2; ++i) reciprocal.dim(i).set_min(0);

        const CpuSchedule s{vector, tile_rows, tile_columns, channel_vectors};
        const CallConditions when{border, uniform, output.dim(nhwc ? 1 : 0).extent(), output.dim(nhwc ? 2 : 1).extent(),
                                  output.dim(nhwc ? 0 : 2).extent(), stride_w};
        if (fixed_channels > 0) {
            schedule_few_channels(output, v, when, s);
        } else if (window == Window::separable) {
            schedule_separable(output, separable_stages, layout, v, when, s);
        } else if (window == Window::fixed) {
            (nhwc ? schedule_channels_last_fixed : schedule_planar_fixed)(output, stages, v, when, s);
        } else if (nhwc) {
            schedule_channels_last_runtime(output, stages, v, when, s);
        } else if (window == Window::global) {
            schedule_planar_global(output, row_stages, v);
        } else {
            schedule_planar_runtime(output, stages, v, when, s);
        }
    }

private:
    void check_convention() {
        const std::vector<Internal::AbstractGenerator::ArgInfo> arguments = arginfos();
        _halide_user_assert(arguments.size() + 1 == kKernelArgumentCount) << "the arguments must be those of kernel_convention.h\n";
        for (std::size_t i = 0; i < arguments.size(); ++i) {
            _halide_user_assert(arguments[i].name == kKernelArgumentNames[i + 1])
                << arguments[i].name << " must be " << kKernelArgumentNames[i + 1] << " (kernel_convention.h)\n";
        }
    }

    OutputVariables v;
    PoolStages stages;
    RowStages row_stages;
    SeparableStages separable_stages;
};

}  // namespace
}  // namespace halpool

HALIDE_REGISTER_GENERATOR(halpool::AvgPool2d, avg_pool2d)
