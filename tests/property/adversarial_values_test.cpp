// Values and windows chosen to break a sum, on every kernel: very long windows, NaN, infinities, signed zeros,
// denormals.
#include "guarded_execution.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace halpool_test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

using ValueAt = std::function<float(std::size_t)>;

class AdversarialValues : public ::testing::TestWithParam<KernelUnderTest> {
protected:
    void SetUp() override {
        if (!GetParam().available) GTEST_SKIP() << GetParam().target << ": " << GetParam().target_reason;
    }

    // Runs the problem in both memory formats where the kernel takes it; checks each element with the oracle, and
    // with `also` (value, index in C order).
    void check(const Problem &problem, const ValueAt &value_at,
               const std::function<void(float, std::size_t)> &also = nullptr) {
        const Ints shape = output_shape(problem);
        std::vector<float> values;
        std::vector<Exact> exact;
        for (const bool last : {false, true}) {
            const StridedLayout input = last ? channels_last(problem.input_shape) : planar(problem.input_shape);
            const StridedLayout output_layout = last ? channels_last(shape) : planar(shape);
            SCOPED_TRACE(::testing::Message() << problem << (last ? ", channels-last" : ", planar"));
            const PlanAttempt attempt = make_plan(problem, input, output_layout, GetParam());
            if (attempt.status == HALPOOL_ERROR_UNSUPPORTED) continue;
            ASSERT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
            if (values.empty()) {
                values.resize(input.count());
                for (std::size_t i = 0; i < values.size(); ++i) values[i] = value_at(i);
                exact = exact_output(problem, values);
            }
            const auto fill = [&](float *in) {
                for (std::size_t i = 0; i < values.size(); ++i) in[input.offset(i)] = values[i];
            };
            CanaryOutput output(output_layout);
            halpool_error error;
            ASSERT_EQ(execution_.run(attempt.plan.get(), input, Flush::with_page_end, fill, output, &error),
                      HALPOOL_OK)
                << error.message;
            ++executed_;
            EXPECT_EQ(output.damage(), "");
            for (std::size_t i = 0; i < exact.size(); ++i) {
                ASSERT_TRUE(keeps_contract(output.value(i), exact[i]))
                    << "element " << i << ": got " << output.value(i) << ", exact " << exact[i].value
                    << ", allowed error " << allowed_error(exact[i]);
                if (also) also(output.value(i), i);
            }
        }
    }

    // Windows of every class, so that each kernel takes some; three channels have kernels of their own, and so
    // have channels and columns in multiples of four.
    static std::vector<Problem> every_window_class(std::int64_t channels, std::int64_t height,
                                                   std::int64_t width) {
        std::vector<Problem> all = windows_over({1, channels, height, width});
        for (const Problem &problem : windows_over({1, 3, height, width})) all.push_back(problem);
        if (GetParam().demand.find("-a") == std::string::npos) return all;
        // The output's columns of strides 1 and 2 are multiples of four too.
        for (const Problem &problem : windows_over({1, 8, height, width / 8 * 8 + 8})) all.push_back(problem);
        // Whole cache lines, for kernels that write past the caches.
        for (std::int64_t channels : {16, 3})
            for (std::int64_t columns : {32, 33})
                for (const Problem &problem : windows_over({1, channels, height, columns})) all.push_back(problem);
        return all;
    }
    static std::vector<Problem> windows_over(const Ints &shape) {
        const std::int64_t height = shape[2], width = shape[3];
        std::vector<Problem> all = windows_of_any_shape(shape, height, width);
        for (std::int64_t plane : {7, 14}) {  // planes that have kernels of their own
            for (bool include : {true, false}) all.push_back({{shape[0], shape[1], plane, plane}, {3}, {1}, {1}, false, include});
        }
        // Side by side, at least four in a row: of each width that has a kernel, and of any other.
        for (std::int64_t columns : {2, 3, 4, 5, 6, 7, 8, 9})
            all.push_back({{shape[0], shape[1], height, 5 * columns + 1}, {3, columns}, {3, columns}});
        return all;
    }
    static std::vector<Problem> windows_of_any_shape(const Ints &shape, std::int64_t height, std::int64_t width) {
        return {{shape, {2}, {2}},
                {shape, {3}, {1}},
                {shape, {3}, {1}, {1}},
                {shape, {3}, {1}, {1}, false, false},
                {shape, {3}, {2}},
                {shape, {3}, {2}, {1}, true},
                {shape, {3}, {2}, {1}, false, false},
                {shape, {5}, {1}, {2}, false, false},
                {shape, {5}, {2}},
                {shape, {5}, {2}, {2}, true, false},
                {shape, {2}, {1}},
                {shape, {4}, {2}},
                {shape, {4}, {2}, {1}, false, false},
                {shape, {5}, {3}},
                {shape, {5}, {3}, {1}},
                {shape, {5, 4}, {2, 3}, {2, 1}},
                {shape, {5, 4}, {1, 1}, {2, 2}, false, false},
                {shape, {1, 1}, {1, 1}},
                {shape, {11, 7}, {1}, {5, 3}},
                {shape, {19, 13}, {2, 3}, {9, 6}, false, false},
                {shape, {height, width}}};
    }

    GuardedExecution execution_;
    int executed_ = 0;
};

TEST_P(AdversarialValues, TheMeanOfOnesIsOneHoweverLongTheWindow) {
    const auto ones = [](std::size_t) { return 1.0f; };
    const auto is_one = [](float value, std::size_t i) { ASSERT_EQ(value, 1.0f) << "element " << i; };
    check({{1, 1, 6000, 6000}, {6000}}, ones, is_one);                 // global
    check({{1, 1, 6001, 6003}, {6000}, {1, 2}}, ones, is_one);         // the same window, sliding
    check({{1, 3, 4100, 40}, {4100, 40}}, ones, is_one);               // tall
    check({{1, 3, 40, 4100}, {40, 4100}}, ones, is_one);               // wide
    check({{1, 1, 1, 100000}, {1, 99999}, {1, 1}}, ones, is_one);      // one row
    check({{1, 2, 100000, 1}, {99999, 1}, {1, 1}}, ones, is_one);      // one column
}

TEST_P(AdversarialValues, LongWindowsOfTenthsKeepTheContract) {
    const auto tenths = [](std::size_t) { return 0.1f; };
    for (const std::int64_t k : {31, 64, 200}) {
        const std::int64_t size = k + 17, wide = k / 4 + 1;  // wide: as many windows as the oracle has time for
        check({{1, 2, size, size}, {k}, {1, 3}}, tenths);
        check({{1, 2, size, size}, {k}, {wide, 3}, {k / 2}, false, false}, tenths);
        check({{1, 2, size, size}, {k}, {3, wide}, {k / 2}, true}, tenths);
        check({{1, 1, k, k}, {k}}, tenths);
    }
    check({{1, 1, 3000, 2500}, {3000, 2500}}, tenths);
}

TEST_P(AdversarialValues, LongWindowsWhoseTermsCancelKeepTheContract) {
    const auto cancel = [](std::size_t i) {
        return (i % 2 == 0 ? 1.0f : -1.0f) * (1e4f + static_cast<float>(i % 1009));
    };
    check({{1, 2, 90, 90}, {64}, {5}}, cancel);
    check({{1, 2, 501, 499}, {501, 499}}, cancel);
    for (const Problem &problem : every_window_class(5, 23, 37)) check(problem, cancel);
}

// Of one element that is large, and others so small that a sum of `together` of them, added to it, rounds up by half of the last place:
// every such addition errs by one unit, all to the same side. It is how many there are that the contract bounds.
TEST_P(AdversarialValues, ALargeElementAmongSmallOnesKeepsTheContract) {
    const auto windows = [](std::int64_t channels) {
        const auto input = [&](std::int64_t height, std::int64_t width) { return Ints{1, channels, height, width}; };
        return std::vector<Problem>{{input(25, 25), {17}, {1}},
                                    {input(45, 45), {33}, {1}},
                                    {input(90, 90), {71}, {8}},
                                    {input(150, 150), {135}, {8}},
                                    {input(90, 90), {72, 9}, {8, 1}},
                                    {input(290, 20), {255, 11}, {5, 3}},
                                    {input(20, 290), {11, 255}, {3, 5}},
                                    {input(1060, 1), {1023, 1}, {1}},
                                    {input(1, 1060), {1, 1023}, {1}},
                                    {input(26, 600), {17, 511}, {8, 8}}};
    };
    for (const std::int64_t channels : {1, 3, 16})
        for (const Problem &problem : windows(channels))
            for (const int together : {1, 4, 8, 16, 64}) {
                const float small = (0x1p-24f + 0x1p-28f) / static_cast<float>(together);
                const auto plane = static_cast<std::size_t>(problem.input_shape[2] * problem.input_shape[3]);
                check(problem, [=](std::size_t i) { return i % plane == plane / 2 ? 1.0f : small; });
            }
}

TEST_P(AdversarialValues, ANaNReachesExactlyTheWindowsThatHoldIt) {
    for (const Problem &problem : every_window_class(2, 19, 35)) {
        const std::size_t count = planar(problem.input_shape).count();
        for (const std::size_t at :
             {std::size_t{0}, std::size_t{34}, std::size_t{35}, count / 2, count - 35, count - 1})
            check(problem, [at](std::size_t i) { return i == at ? kNaN : static_cast<float>(i % 7); });
    }
    EXPECT_GT(executed_, 0);
}

TEST_P(AdversarialValues, InfinitiesReachExactlyTheWindowsThatHoldThem) {
    for (const Problem &problem : every_window_class(17, 9, 21))
        for (const std::size_t at : {0, 20, 21, 100, 188, 189, 3 * 9 * 21 - 1}) {
            check(problem, [at](std::size_t i) { return i == at ? kInfinity : 1.0f; });
            check(problem, [at](std::size_t i) { return i == at ? -kInfinity : -2.0f; });
            check(problem, [at](std::size_t i) { return i == at ? kInfinity : i == at + 1 ? -kInfinity : 3.0f; });
        }
    EXPECT_GT(executed_, 0);
}

TEST_P(AdversarialValues, MinusZerosAddUpToPlusZero) {
    for (const Problem &problem : every_window_class(20, 18, 33))
        check(problem, [](std::size_t) { return -0.0f; },
              [](float value, std::size_t i) {
                  ASSERT_EQ(value, 0.0f) << "element " << i;
                  ASSERT_FALSE(std::signbit(value)) << "element " << i;
              });
    EXPECT_GT(executed_, 0);
}

TEST_P(AdversarialValues, DenormalsAreNotFlushed) {
    constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
    const auto exactly = [](float want) {
        return [want](float value, std::size_t i) { ASSERT_EQ(value, want) << "element " << i; };
    };
    for (Problem problem : every_window_class(6, 12, 36)) {
        if (!problem.padding.empty() && problem.count_include_pad) continue;
        check(problem, [](std::size_t) { return 1024 * kSmallest; }, exactly(1024 * kSmallest));
        problem.divisor_override = 1;
        check(problem, [](std::size_t) { return kSmallest; });
    }
    EXPECT_GT(executed_, 0);
}

TEST_P(AdversarialValues, ASumThatOverflowsIsInfinite) {
    constexpr float kLargest = std::numeric_limits<float>::max();
    for (const Problem &problem : every_window_class(6, 12, 36)) {
        // Windows of one tap have no sum: at stride 2 padding leaves some.
        if ((!problem.padding.empty() && problem.stride != Ints{1}) || problem.kernel_size == Ints{1, 1}) continue;
        for (const bool last : {false, true}) {
            const StridedLayout input = last ? channels_last(problem.input_shape) : planar(problem.input_shape);
            const Ints shape = output_shape(problem);
            CanaryOutput output(last ? channels_last(shape) : planar(shape));
            const PlanAttempt attempt = make_plan(problem, input, output.layout(), GetParam());
            if (attempt.status == HALPOOL_ERROR_UNSUPPORTED) continue;
            ASSERT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
            const auto fill = [&](float *in) {
                for (std::size_t i = 0; i < input.count(); ++i) in[input.offset(i)] = kLargest;
            };
            ASSERT_EQ(execution_.run(attempt.plan.get(), input, Flush::with_page_begin, fill, output, nullptr),
                      HALPOOL_OK);
            for (std::size_t i = 0; i < output.layout().count(); ++i)
                ASSERT_EQ(output.value(i), kInfinity) << problem;
            ++executed_;
        }
    }
    EXPECT_GT(executed_, 0);
}

// Padding beyond half the window, and beyond all of it: between its windows and the input lie blocks that hold nothing.
TEST_P(AdversarialValues, LargeWindowsFarBesideTheInputKeepTheContract) {
    for (const std::int64_t channels : {1, 3, 16})
        for (const std::int64_t padding : {75, 140})
            for (const std::int64_t stride : {1, 3}) {
                Problem wide{{1, channels, 4, 25}, {3, 70}, {stride}, {1, padding}}, tall{{1, channels, 25, 4}, {70, 3}, {stride}, {padding, 1}};
                for (Problem *problem : {&wide, &tall}) {
                    problem->allow_any_padding = true;
                    check(*problem, [](std::size_t i) { return static_cast<float>(i % 13) - 4.3f; });
                }
            }
}

TEST_P(AdversarialValues, WindowsWhollyInPaddingGiveZero) {
    Problem problem{{1, 3, 6, 20}, {2}, {1}, {5}};
    problem.allow_any_padding = true;
    for (const bool include : {true, false})
        for (const bool ceil_mode : {true, false}) {
            problem.count_include_pad = include;
            problem.ceil_mode = ceil_mode;
            problem.kernel_size = {2};
            check(problem, [](std::size_t) { return kInfinity; });
            problem.kernel_size = {3};
            check(problem, [](std::size_t) { return kNaN; });
        }
}

HALPOOL_TEST_EVERY_KERNEL(AdversarialValues, "f32");

}  // namespace
}  // namespace halpool_test
