// The C++17 wrapper: the operator's simple call, views, errors, plans.
#include <halpool/halpool.hpp>

#include <gtest/gtest.h>

#include <numeric>

namespace halpool_test {
namespace {

std::vector<float> counting(std::size_t count) {
    std::vector<float> values(count);
    std::iota(values.begin(), values.end(), 1.0f);
    return values;
}

TEST(Wrapper, TheSimpleCallGivesTheKnownAnswer) {
    const std::vector<float> pixels = counting(16);
    halpool::AvgPool2dOptions options;
    options.stride = 2;
    options.padding = 1;
    options.ceil_mode = true;
    const halpool::Tensor pooled =
        halpool::avg_pool2d(halpool::ConstTensorView(pixels.data(), {1, 1, 4, 4}), 3, options);
    EXPECT_EQ(pooled.shape(), (halpool::Shape{1, 1, 3, 3}));
    const std::vector<float> want = {14.0f / 9, 10.0f / 3, 2, 19.0f / 3, 11, 6, 4.5f, 7.5f, 4};
    ASSERT_EQ(pooled.size(), want.size());
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_FLOAT_EQ(pooled.data()[i], want[i]);
}

TEST(Wrapper, DefaultsAreTheOperators) {
    const std::vector<float> pixels = counting(2 * 4 * 6);
    const halpool::Tensor pooled = halpool::avg_pool2d(halpool::ConstTensorView(pixels.data(), {2, 4, 6}), {2, 3});
    EXPECT_EQ(pooled.shape(), (halpool::Shape{2, 2, 2}));
    EXPECT_FLOAT_EQ(pooled.data()[0], (1 + 2 + 3 + 7 + 8 + 9) / 6.0f);
}

TEST(Wrapper, EveryOptionReachesTheLibrary) {
    const std::vector<float> pixels(6 * 6, 1.0f);
    const halpool::ConstTensorView input(pixels.data(), {1, 1, 6, 6});
    const auto first = [&](const halpool::AvgPool2dOptions &options) {
        return halpool::avg_pool2d(input, 3, options).data()[0];
    };
    halpool::AvgPool2dOptions options;
    options.padding = {1, 1};
    EXPECT_FLOAT_EQ(first(options), 4.0f / 9);
    options.count_include_pad = false;
    EXPECT_FLOAT_EQ(first(options), 1.0f);
    options.divisor_override = -8;
    EXPECT_FLOAT_EQ(first(options), -0.5f);
    options.padding_end = {0, 0};
    options.ceil_mode = false;
    EXPECT_EQ(halpool::avg_pool2d_output_shape(input, 3, options), (halpool::Shape{1, 1, 2, 2}));
    options.padding = 4;
    EXPECT_THROW(first(options), halpool::Error);
    options.allow_any_padding = true;
    EXPECT_FLOAT_EQ(first(options), 0.0f);
}

TEST(Wrapper, AChannelsLastInputGivesAChannelsLastResult) {
    std::vector<float> pixels(1 * 4 * 4 * 3);  // [n, h, w, c]
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i % 3);
    const halpool::ConstTensorView input(pixels.data(), {1, 3, 4, 4}, halpool::MemoryFormat::channels_last);
    const halpool::Tensor pooled = halpool::avg_pool2d(input, 2);
    EXPECT_EQ(pooled.shape(), (halpool::Shape{1, 3, 2, 2}));
    EXPECT_EQ(pooled.strides(), (halpool::Shape{12, 1, 6, 3}));
    for (std::size_t i = 0; i < pooled.size(); ++i) EXPECT_EQ(pooled.data()[i], static_cast<float>(i % 3));
}

TEST(Wrapper, PoolsIntoTheCallersMemory) {
    const std::vector<float> pixels(2 * 8 * 8, 3.0f);
    std::vector<float> memory(2 * 4 * 10, -1.0f);
    const halpool::TensorView output(memory.data(),
                                     halpool::TensorDesc({1, 2, 4, 4}, halpool::Shape{80, 40, 10, 2}));
    halpool::avg_pool2d(halpool::ConstTensorView(pixels.data(), {1, 2, 8, 8}), output, 2);
    for (std::size_t i = 0; i < memory.size(); ++i)
        EXPECT_EQ(memory[i], i % 10 < 8 && i % 2 == 0 ? 3.0f : -1.0f) << i;
}

TEST(Wrapper, AnErrorIsAnExceptionWithStatusAndText) {
    const std::vector<float> pixels(16);
    halpool::AvgPool2dOptions options;
    options.padding = 2;
    try {
        halpool::avg_pool2d(halpool::ConstTensorView(pixels.data(), {1, 1, 4, 4}), 2, options);
        FAIL() << "no exception";
    } catch (const halpool::Error &error) {
        EXPECT_EQ(error.status(), HALPOOL_ERROR_INVALID_ARGUMENT);
        EXPECT_STREQ(error.what(),
                     "pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 "
                     "and dilation=1");
    }
    EXPECT_THROW(halpool::TensorDesc({1, 2, 3}, halpool::Shape{1, 2}), std::invalid_argument);
}

TEST(Wrapper, AShapeTooLargeIsAnExceptionNotACrash) {
    const std::vector<float> pixels(16);
    const std::int64_t large = std::int64_t{1} << 62;
    EXPECT_THROW(halpool::avg_pool2d(halpool::ConstTensorView(pixels.data(), {large, large, 4, 4}), 2),
                 halpool::Error);
}

TEST(Wrapper, APlanExecutesAsOftenAsAsked) {
    const halpool::TensorDesc in({1, 8, 20, 20}), out({1, 8, 10, 10});
    halpool::AvgPool2dPlan made(in, out, 2);
    const halpool::AvgPool2dPlan plan = std::move(made);
    EXPECT_FALSE(plan.kernel().empty());
    EXPECT_FALSE(plan.target().empty());
    EXPECT_NE(plan.describe().find(plan.kernel()), std::string::npos);
    std::vector<float> input(8 * 400), output(800), parts(800);
    for (const float value : {1.0f, 7.0f}) {
        std::fill(input.begin(), input.end(), value);
        plan.execute(input.data(), output.data());
        EXPECT_EQ(output, std::vector<float>(800, value));
        plan.execute(input.data(), output.data(), 3);
        EXPECT_EQ(output, std::vector<float>(800, value));
        for (int part = 0; part < 4; ++part) plan.execute_part(input.data(), parts.data(), part, 4);
        EXPECT_EQ(parts, output);
    }
    EXPECT_THROW(plan.execute_part(input.data(), parts.data(), 4, 4), halpool::Error);
}

TEST(Wrapper, APlanForcesAKernelByName) {
    const halpool::TensorDesc in({1, 8, 20, 20}), out({1, 8, 10, 10});
    const std::string reference = halpool_kernel_at(halpool_kernel_count() - 1).name;
    EXPECT_EQ(halpool::AvgPool2dPlan(in, out, 2, {}, {"", reference}).kernel(), reference);
    try {
        halpool::AvgPool2dPlan(in, out, 2, {}, {"no_such_target", ""});
        FAIL() << "no exception";
    } catch (const halpool::Error &error) {
        EXPECT_EQ(error.status(), HALPOOL_ERROR_UNSUPPORTED);
    }
}

}  // namespace
}  // namespace halpool_test
