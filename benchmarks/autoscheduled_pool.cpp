// avg_pool2d of one exact problem without a schedule, for Halide's own autoschedulers: autoschedulers.py compares them with halpool.
#include <Halide.h>

#include <algorithm>
#include <vector>

namespace {

using namespace Halide;

// The sum as one reads it in a textbook; as an expression of all taps; as sums along rows, then along columns (both as
// expressions). No autoscheduler turns one into another, so autoschedulers.py takes the fastest of the three.
enum class Form { reduction, taps, separable };

class AutoscheduledAvgPool2d : public Generator<AutoscheduledAvgPool2d> {
public:
    GeneratorParam<bool> channels_last{"channels_last", false};
    GeneratorParam<Form> form{
        "form", Form::reduction, {{"reduction", Form::reduction}, {"taps", Form::taps}, {"separable", Form::separable}}};
    GeneratorParam<int> batch{"batch", 1}, channels{"channels", 1}, input_h{"input_h", 1}, input_w{"input_w", 1};
    GeneratorParam<int> kernel_h{"kernel_h", 1}, kernel_w{"kernel_w", 1}, stride_h{"stride_h", 1}, stride_w{"stride_w", 1};
    GeneratorParam<int> pad_h{"pad_h", 0}, pad_w{"pad_w", 0};
    GeneratorParam<bool> count_include_pad{"count_include_pad", true};

    Input<Buffer<float, 4>> input{"input"};
    Output<Buffer<float, 4>> output{"output"};

    void generate() {
        Func padded = input;
        if (pad_h > 0 || pad_w > 0) {
            // Where the image ends is a constant, not a field of the buffer.
            const auto extent = [](int of) { return Range(0, of); };
            const Region image = in_order<Region>(extent(input_w), extent(input_h), extent(channels), extent(batch));
            padded = BoundaryConditions::constant_exterior(input, 0.0f, image);
        }
        output(in_order<std::vector<Var>>(x, y, c, n)) = window_sum(padded) / taps_in_window();
    }

    // Bounds let the autoschedulers and the code after them know the problem; estimates they demand.
    void schedule() {
        describe(input, input_h, input_w);
        describe(output, output_extent(input_h, kernel_h, stride_h, pad_h), output_extent(input_w, kernel_w, stride_w, pad_w));
    }

private:
    // The dimension that is contiguous in memory comes first.
    template <class List, class Item>
    List in_order(const Item &along_x, const Item &along_y, const Item &along_c, const Item &along_n) const {
        if (channels_last) return List{along_c, along_x, along_y, along_n};
        return List{along_x, along_y, along_c, along_n};
    }

    Expr at(const Func &func, const Expr &along_x, const Expr &along_y) const {
        return func(in_order<std::vector<Expr>>(along_x, along_y, Expr(c), Expr(n)));
    }

    Expr window_sum(const Func &padded) const {
        const Expr left = x * stride_w - pad_w, top = y * stride_h - pad_h;
        if (form == Form::reduction) {
            Func total("total");
            const RDom taps(0, kernel_w, 0, kernel_h);
            total(in_order<std::vector<Var>>(x, y, c, n)) += at(padded, left + taps.x, top + taps.y);
            return at(total, x, y);
        }
        const auto row = [&](const Expr &line) {
            Expr sum = at(padded, left, line);
            for (int i = 1; i < kernel_w; ++i) sum += at(padded, left + i, line);
            return sum;
        };
        Func rows("rows");
        if (form == Form::separable) rows(in_order<std::vector<Var>>(x, y, c, n)) = row(y);
        const auto line = [&](int i) { return form == Form::separable ? at(rows, x, top + i) : row(top + i); };
        Expr sum = line(0);
        for (int i = 1; i < kernel_h; ++i) sum += line(i);
        return sum;
    }

    Expr taps_in_window() const {
        if (count_include_pad) return static_cast<float>(int(kernel_h) * int(kernel_w));
        const auto inside = [](const Expr &first, int kernel, int extent) { return min(first + kernel, extent) - max(first, 0); };
        return cast<float>(inside(x * stride_w - pad_w, kernel_w, input_w) * inside(y * stride_h - pad_h, kernel_h, input_h));
    }

    static int output_extent(int extent, int kernel, int stride, int pad) { return (extent + 2 * pad - kernel) / stride + 1; }

    template <class Tensor>
    void describe(Tensor &tensor, int height, int width) {
        int stride = 1, dimension = 0;
        for (const int extent : in_order<std::vector<int>, int>(width, height, channels, batch)) {
            tensor.dim(dimension).set_bounds(0, extent).set_stride(stride).set_estimate(0, extent);
            stride *= extent;
            ++dimension;
        }
    }

    Var x{"x"}, y{"y"}, c{"c"}, n{"n"};
};

}  // namespace

HALIDE_REGISTER_GENERATOR(AutoscheduledAvgPool2d, autoscheduled_avg_pool2d)
