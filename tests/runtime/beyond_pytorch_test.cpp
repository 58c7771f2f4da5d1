// What PyTorch's avg_pool2d has not: dilation, SAME padding, rules for the divisor, quantized tensors, results of another dtype or layout.
#include "environment.hpp"

#include <halpool/halpool.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace halpool_test {
namespace {

using halpool::AvgPool2dOptions;
using halpool::DType;
using halpool::TensorDesc;

template <class Out, class In>
std::vector<Out> pooled(DType from, const std::vector<In> &values, const halpool::Shape &shape, const halpool::IntList &kernel_size, DType to,
                        const AvgPool2dOptions &options) {
    const TensorDesc input(shape, from), output(halpool::avg_pool2d_output_shape(input, kernel_size, options), to);
    std::size_t count = 1;
    for (const std::int64_t extent : output.shape()) count *= static_cast<std::size_t>(extent);
    std::vector<Out> result(count);
    halpool::avg_pool2d({values.data(), input}, {result.data(), output}, kernel_size, options);
    return result;
}

std::vector<float> pooled(const std::vector<float> &values, const halpool::Shape &shape, const halpool::IntList &kernel_size, const AvgPool2dOptions &options) {
    return pooled<float>(DType::f32, values, shape, kernel_size, DType::f32, options);
}

// What is refused, and in which words.
template <class Call>
void expect_refused(const std::string &words, const Call &call) {
    try {
        call();
        ADD_FAILURE() << "not refused: " << words;
    } catch (const halpool::Error &error) {
        EXPECT_EQ(error.status(), HALPOOL_ERROR_INVALID_ARGUMENT);
        EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
}

TEST(Dilation, IsTheDistanceOfAWindowsElements) {
    AvgPool2dOptions options;
    options.stride = 1;
    options.dilation = {1, 2};
    EXPECT_EQ(pooled({1, 2, 4, 8, 16}, {1, 1, 5}, {1, 2}, options), (std::vector<float>{2.5f, 5, 10}));
    options.dilation = {1, 3};
    options.padding = {0, 1};
    options.count_include_pad = false;
    // The outer windows have one element inside: [pad, 4], [1, 8], [2, 16], [4, pad].
    EXPECT_EQ(pooled({1, 2, 4, 8, 16}, {1, 1, 5}, {1, 2}, options), (std::vector<float>{4, 4.5f, 9, 4}));
    options.dilation = {0, 1};
    expect_refused("dilation should be greater than zero, but got dilationH: 0 dilationW: 1", [&] { pooled({1, 2}, {1, 1, 2}, {1, 2}, options); });
    options.dilation = {1, 1, 1};
    expect_refused("dilation must either be a single int, or a tuple of two ints", [&] { pooled({1, 2}, {1, 1, 2}, {1, 2}, options); });
    options.dilation = {1, 2};
    options.padding = {0, 2};
    expect_refused("pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and dilation=2",
                   [&] { pooled({1, 2, 3}, {1, 1, 3}, {1, 2}, options); });
}

TEST(AutoPad, GivesAsManyWindowsAsStridesTheOddOneAtTheEndOrTheBeginning) {
    AvgPool2dOptions options;
    options.stride = 2;
    options.count_include_pad = false;
    options.auto_pad = halpool::AutoPad::same_upper;
    EXPECT_EQ(pooled({1, 2, 3, 4}, {1, 1, 4}, {1, 3}, options), (std::vector<float>{2, 3.5f}));
    options.auto_pad = halpool::AutoPad::same_lower;
    EXPECT_EQ(pooled({1, 2, 3, 4}, {1, 1, 4}, {1, 3}, options), (std::vector<float>{1.5f, 3}));
    options.padding = 1;
    expect_refused("auto_pad computes the padding: padding must be 0", [&] { pooled({1, 2, 3, 4}, {1, 1, 4}, {1, 3}, options); });
    options.padding = 0;
    options.auto_pad = static_cast<halpool::AutoPad>(3);
    expect_refused("auto_pad is 3, which is not one of halpool_auto_pad", [&] { pooled({1, 2, 3, 4}, {1, 1, 4}, {1, 3}, options); });
}

TEST(DivisorRules, DifferWhereAWindowIsCut) {
    AvgPool2dOptions options;
    options.stride = 2;
    options.padding = {0, 1};
    options.ceil_mode = true;
    const auto by = [&](halpool::DivisorRule rule) {
        options.divisor_rule = rule;
        return pooled({12, 12, 12, 12}, {1, 1, 4}, {1, 3}, options);  // [pad, 12, 12], [12, 12, 12] .. [12, pad] of a window cut after it
    };
    EXPECT_EQ(by(halpool::DivisorRule::by_default), by(halpool::DivisorRule::window_clipped));
    EXPECT_EQ(by(halpool::DivisorRule::window_clipped), (std::vector<float>{8, 12, 6}));
    EXPECT_EQ(by(halpool::DivisorRule::window_full), (std::vector<float>{8, 12, 4}));
    EXPECT_EQ(by(halpool::DivisorRule::valid_taps), (std::vector<float>{12, 12, 12}));
    options.divisor_override = 2;
    expect_refused("divisor_override and divisor_rule both say what to divide by", [&] { by(halpool::DivisorRule::window_full); });
    options.divisor_override.reset();
    expect_refused("divisor_rule is 4, which is not one of halpool_divisor_rule", [&] { by(static_cast<halpool::DivisorRule>(4)); });
}

// Real numbers 0, 1, 2, 3.5.
const std::vector<std::uint8_t> quantized{10, 12, 14, 17};

TEST(Quantization, RoundsMeansOfRealNumbersToEven) {
    AvgPool2dOptions options;
    options.input_quantization = halpool::Quantization{0.5, 10};
    const auto quantized_mean = [&] { return pooled<std::uint8_t>(DType::u8, quantized, {1, 1, 2, 2}, 2, DType::u8, options); };
    EXPECT_EQ(quantized_mean(), (std::vector<std::uint8_t>{13}));  // 1.625 is 3.25 steps; the output's quantization is the input's
    options.output_quantization = halpool::Quantization{0.25, 3};
    EXPECT_EQ(quantized_mean(), (std::vector<std::uint8_t>{9}));  // 6.5 steps
    options.output_quantization = halpool::Quantization{0.001, 3};
    EXPECT_EQ(quantized_mean(), (std::vector<std::uint8_t>{255}));
    EXPECT_EQ(pooled<float>(DType::u8, quantized, {1, 1, 2, 2}, 2, DType::f32, [] {
                  AvgPool2dOptions to_float;
                  to_float.input_quantization = halpool::Quantization{0.5, 10};
                  return to_float;
              }()),
              std::vector<float>{1.625f});
}

TEST(Quantization, PaddingStandsForZero) {
    AvgPool2dOptions options;
    options.padding = 1;
    options.input_quantization = halpool::Quantization{0.5, 10};
    // A window each: 0, 2, 4 and 7 steps of one half, divided by 4.
    EXPECT_EQ(pooled<std::uint8_t>(DType::u8, quantized, {1, 1, 2, 2}, 2, DType::u8, options), (std::vector<std::uint8_t>{10, 10, 11, 12}));
    options.padding = 2;
    options.stride = 2;
    options.allow_any_padding = true;
    const auto with_empty_windows = pooled<std::uint8_t>(DType::u8, quantized, {1, 1, 2, 2}, 2, DType::u8, options);
    EXPECT_EQ(with_empty_windows, (std::vector<std::uint8_t>{10, 10, 10, 10, 13, 10, 10, 10, 10}));
}

TEST(Quantization, IsRefusedWhereItMakesNoSense) {
    const auto refused = [](const std::string &words, DType from, DType to, halpool::Quantization in, halpool::Quantization out) {
        AvgPool2dOptions options;
        options.allow_any_dtype = true;
        if (in.scale != 0) options.input_quantization = in;
        if (out.scale != 0) options.output_quantization = out;
        const TensorDesc input({1, 1, 4, 4}, from), output({1, 1, 2, 2}, to);
        expect_refused(words, [&] { halpool::AvgPool2dPlan(input, output, 2, options); });
    };
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
    refused("input_quantization is for int8 and uint8; the input is float32", DType::f32, DType::f32, {1, 0}, {0, 0});
    refused("output_quantization is for int8 and uint8; the output is float32", DType::u8, DType::f32, {1, 0}, {1, 0});
    refused("output_quantization needs an input_quantization", DType::u8, DType::u8, {0, 0}, {1, 0});
    refused("input_quantization.scale is -1; it must be positive and finite", DType::u8, DType::u8, {-1, 0}, {0, 0});
    refused("input_quantization.scale is nan", DType::u8, DType::u8, {kNan, 0}, {0, 0});
    refused("output_quantization.scale is inf", DType::u8, DType::u8, {1, 0}, {kInfinity, 0});
    refused("input_quantization.zero_point is 256; that of uint8 lies in [0, 255]", DType::u8, DType::u8, {1, 256}, {0, 0});
    refused("output_quantization.zero_point is -129; that of int8 lies in [-128, 127]", DType::i8, DType::i8, {1, 0}, {1, -129});
    refused("the scales give a factor of", DType::i8, DType::i8, {1e-300, 0}, {1e300, 0});
    refused("the output is uint8 and the input int8; they must be the same", DType::i8, DType::u8, {1, 0}, {1, 0});
    AvgPool2dOptions options;
    options.input_quantization = halpool::Quantization{1, 0};
    const TensorDesc gradient({1, 1, 2, 2}, DType::u8), input({1, 1, 4, 4}, DType::u8);
    options.allow_any_dtype = true;
    expect_refused("gradients are not quantized", [&] { halpool::AvgPool2dBackwardPlan(gradient, input, 2, options); });
}

TEST(ResultsOfAnotherDType, AreRoundedOnceOrExact) {
    EXPECT_EQ(pooled<std::uint16_t>(DType::f32, std::vector<float>{1, 2, 3, 4}, {1, 1, 2, 2}, 2, DType::f16, {}), std::vector<std::uint16_t>{0x4100});
    EXPECT_EQ(pooled<std::uint16_t>(DType::f32, std::vector<float>{1, 2, 3, 4}, {1, 1, 2, 2}, 2, DType::bf16, {}), std::vector<std::uint16_t>{0x4020});
    AvgPool2dOptions options;
    options.allow_any_dtype = true;
    EXPECT_EQ(pooled<float>(DType::u8, quantized, {1, 1, 2, 2}, 2, DType::f32, options), std::vector<float>{13.25f});
    // PyTorch's refusal of bytes stays the default.
    options.allow_any_dtype = false;
    EXPECT_THROW(pooled<float>(DType::u8, quantized, {1, 1, 2, 2}, 2, DType::f32, options), halpool::Error);
    const TensorDesc doubles({1, 1, 4, 4}, DType::f64), floats({1, 1, 2, 2}, DType::f32), words({1, 1, 2, 2}, DType::f16);
    expect_refused("the output is float32 and the input float64; they must be the same, or float16 or bfloat16 of float32, or float32 of int8 or uint8",
                   [&] { halpool::AvgPool2dPlan(doubles, floats, 2); });
    expect_refused("the gradient of the input is float64 and the gradient of the output float16; they must be the same",
                   [&] { halpool::AvgPool2dBackwardPlan(words, doubles, 2); });
}

// Of an input of [2, 24, 20, 21] ones, 3x3 windows of stride 1 without padding: where none of it is copied, and nothing beside it is written.
std::string kernel_for(const halpool::Shape &input_strides, const halpool::Shape &output_strides) {
    const TensorDesc input({2, 24, 20, 21}, input_strides), output({2, 24, 18, 19}, output_strides);
    AvgPool2dOptions options;
    options.stride = 1;
    const halpool::AvgPool2dPlan plan(input, output, 3, options);
    std::vector<float> from(100000, 1), to(100000, -1);
    plan.execute(from.data(), to.data());
    std::size_t written = 0;
    for (const float value : to) written += value == 1 ? 1 : 0;
    EXPECT_EQ(written, 2u * 24 * 18 * 19);
    EXPECT_EQ(written + static_cast<std::size_t>(std::count(to.begin(), to.end(), -1.0f)), to.size());
    return plan.kernel();
}

TEST(MemoryWithGaps, IsTheKernelsOfItsLayoutToo) {
    // Rows of 24 columns; 24 of 32 channels of an image; both for the output.
    const std::string planar = kernel_for({32 * 20 * 24, 20 * 24, 24, 1}, {32 * 18 * 20, 18 * 20, 20, 1});
    const std::string channels_last = kernel_for({20 * 21 * 32, 1, 21 * 32, 32}, {18 * 19 * 40, 1, 19 * 40, 40});
    const bool has_kernels = halpool_target_count() > 1 && halpool_target_at(0).available != 0;
    if (!has_kernels) GTEST_SKIP() << "this machine has portable kernels alone";
    EXPECT_NE(planar.find("_nchw_"), std::string::npos) << planar;
    EXPECT_NE(channels_last.find("_nhwc_"), std::string::npos) << channels_last;
}

TEST(OutputsOfAnotherLayout, AreComputedInTheInputs) {
    const halpool::Shape planar_in{24 * 420, 420, 21, 1}, planar_out{24 * 342, 342, 19, 1}, last_in{24 * 420, 1, 24 * 21, 24}, last_out{24 * 342, 1, 24 * 19, 24};
    const std::string to_last = kernel_for(planar_in, last_out), to_planar = kernel_for(last_in, planar_out);
    const std::string to_transposed = kernel_for(planar_in, {24 * 342, 342, 1, 18});
    const bool has_kernels = halpool_target_count() > 1 && halpool_target_at(0).available != 0;
    if (!has_kernels) GTEST_SKIP() << "this machine has portable kernels alone";
    EXPECT_NE(to_last.find("_nchw_"), std::string::npos) << to_last;
    EXPECT_NE(to_planar.find("_nhwc_"), std::string::npos) << to_planar;
    EXPECT_NE(to_transposed.find("_nchw_"), std::string::npos) << to_transposed;
}

TEST(InputsOfAnyStrides, AreGatheredForTheKernels) {
    const halpool::Shape out{24 * 342, 342, 19, 1}, last_out{24 * 342, 1, 24 * 19, 24};
    const std::string transposed = kernel_for({24 * 420, 420, 1, 20}, out), every_second = kernel_for({24 * 840, 840, 42, 2}, out);
    const std::string one_image = kernel_for({0, 420, 21, 1}, out), one_plane = kernel_for({420, 0, 21, 1}, last_out);
    const bool has_kernels = halpool_target_count() > 1 && halpool_target_at(0).available != 0;
    if (!has_kernels) GTEST_SKIP() << "this machine has portable kernels alone";
    for (const std::string &kernel : {transposed, every_second, one_image}) EXPECT_NE(kernel.find("_nchw_"), std::string::npos) << kernel;
    EXPECT_NE(one_plane.find("_nhwc_"), std::string::npos) << one_plane;
}

// Windows so far apart, or so wide, that the memory beside what is gathered would be more than a machine should give.
TEST(InputsOfAnyStrides, OfWindowsThatNoKernelTakesAreTheReferences) {
    // Two planes, every second column.
    const std::vector<float> values{1, 9, 2, 9, 3, 9, 4, 9, 5, 9, 6, 9, 7, 9, 8, 9, 2, 9, 3, 9, 4, 9, 5, 9, 6, 9, 7, 9, 8, 9, 9, 9};
    const TensorDesc every_second({1, 2, 2, 4}, {32, 16, 8, 2});
    AvgPool2dOptions options;
    const auto pooled_by_reference = [&](const halpool::IntList &kernel_size) {
        const TensorDesc output(halpool::avg_pool2d_output_shape(every_second, kernel_size, options));
        EXPECT_EQ(output.shape(), (halpool::Shape{1, 2, 1, 1}));
        const halpool::AvgPool2dPlan plan(every_second, output, kernel_size, options);
        EXPECT_NE(plan.kernel().find("_reference"), std::string::npos) << plan.kernel();
        std::vector<float> result(2);
        plan.execute(values.data(), result.data());
        return result;
    };
    options.stride = 2147483647;
    EXPECT_EQ(pooled_by_reference(2), (std::vector<float>{3.5f, 4.5f}));
    options.stride = {1, 150000000};
    options.padding = {0, 100000000};
    options.count_include_pad = false;
    EXPECT_EQ(pooled_by_reference({2, 200000000}), (std::vector<float>{4.5f, 5.5f}));
}

// Of any strides: the bits that the dense input gives, of every part of the output, whatever is gathered at once.
TEST(InputsOfAnyStrides, GiveTheBitsOfDenseOnes) {
    const struct {
        halpool::Shape shape;
        std::int64_t kernel, stride, padding;
    } problems[] = {
        {{2, 3, 210, 190}, 2, 2, 0}, {{1, 2, 200, 210}, 3, 1, 1}, {{2, 16, 60, 70}, 3, 2, 1}, {{1, 2, 230, 220}, 31, 1, 15}, {{2, 5, 7, 7}, 7, 7, 0},
        {{3, 2, 64, 68}, 4, 4, 0},   {{1, 3, 190, 200}, 7, 2, 3}, {{1, 40, 33, 35}, 7, 1, 3}, {{1, 2, 150, 240}, 5, 7, 2}, {{1, 1, 300, 300}, 300, 300, 0}};
    for (const auto &problem : problems) {
        const std::int64_t n = problem.shape[0], c = problem.shape[1], h = problem.shape[2], w = problem.shape[3];
        const struct {
            const char *name;
            halpool::Shape strides;
            std::int64_t first;  // element [0, 0, 0, 0]
        } views[] = {{"transposed", {c * h * w, h * w, 1, h}, 0},
                     {"every second column", {c * h * w * 2, h * w * 2, w * 2, 2}, 0},
                     {"backwards", {c * h * w, h * w, -w, -1}, h * w - 1},
                     {"one image", {0, h * w, w, 1}, 0},
                     {"one row", {c * w, w, 0, 1}, 0},
                     {"one column, channels innermost", {h * c, 1, c, 0}, 0},
                     {"some channels of planes", {(c + 2) * h * w, h * w, w, 1}, 0},
                     {"some channels of pixels", {h * w * (c + 3), 1, w * (c + 3), c + 3}, 0},
                     {"cropped planes", {c * (h + 1) * (w + 3), (h + 1) * (w + 3), w + 3, 1}, 0}};
        std::vector<float> memory(static_cast<std::size_t>(n * (c + 3) * (h + 1) * (w + 3) * 2));
        for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i * 7919 % 1009) / 500 - 1;
        AvgPool2dOptions options;
        options.stride = problem.stride;
        options.padding = problem.padding;
        options.count_include_pad = problem.stride != 1;
        for (const auto &view : views) {
            for (const auto format : {halpool::MemoryFormat::contiguous, halpool::MemoryFormat::channels_last}) {
                const TensorDesc strided(problem.shape, view.strides);
                const TensorDesc output(halpool::avg_pool2d_output_shape(strided, problem.kernel, options), DType::f32, format);
                const halpool::AvgPool2dPlan plan(strided, output, problem.kernel, options);
                // The same kernel computes the dense input, which might have had another one.
                const Environment demanded("HALPOOL_KERNEL", plan.kernel().c_str());
                const bool by_pixels = plan.kernel().find("_nhwc") != std::string::npos;
                const TensorDesc dense(problem.shape, DType::f32, by_pixels ? halpool::MemoryFormat::channels_last : halpool::MemoryFormat::contiguous);
                const halpool::AvgPool2dPlan of_dense(dense, output, problem.kernel, options);
                std::vector<float> copy(static_cast<std::size_t>(n * c * h * w));
                const auto at = [&](const halpool::Shape &strides, std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t l) {
                    return static_cast<std::size_t>(i * strides[0] + j * strides[1] + k * strides[2] + l * strides[3]);
                };
                for (std::int64_t i = 0; i < n; ++i)
                    for (std::int64_t j = 0; j < c; ++j)
                        for (std::int64_t k = 0; k < h; ++k)
                            for (std::int64_t l = 0; l < w; ++l) copy[at(dense.strides(), i, j, k, l)] = memory[at(view.strides, i, j, k, l) + static_cast<std::size_t>(view.first)];
                std::size_t count = 1;
                for (const std::int64_t extent : output.shape()) count *= static_cast<std::size_t>(extent);
                std::vector<float> got(count, -9), of_two(count, -9), wanted(count, -8);
                plan.execute(memory.data() + view.first, got.data());
                plan.execute(memory.data() + view.first, of_two.data(), 2);
                of_dense.execute(copy.data(), wanted.data());
                EXPECT_EQ(got, wanted) << view.name << ", " << plan.kernel() << ", kernel " << problem.kernel << ", stride " << problem.stride;
                EXPECT_EQ(of_two, wanted) << view.name << ", " << plan.kernel();
            }
        }
    }
}

}  // namespace
}  // namespace halpool_test
