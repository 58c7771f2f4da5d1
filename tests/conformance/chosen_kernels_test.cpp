// Every kernel has a problem for which it is the one that the selector takes, forced to nothing but its target: a
// row that can never be chosen is dead weight.
#include "environment.hpp"
#include "guarded_execution.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <set>

namespace halpool_test {
namespace {

struct Attempt {
    Problem problem;
    StridedLayout input, output;
};

// Windows for the kernel's class. What the classes take overlaps, and which comes first differs from target to
// target: the lists hold windows on both sides of every bound, small and large in taps, extents and strides.
std::vector<Problem> windows_for(const KernelUnderTest &kernel, const Ints &shape) {
    long long kernel_h = 0, kernel_w = 0, stride_h = 0, stride_w = 0;
    const int fields =
        std::sscanf(kernel.window.c_str(), "%lldx%llds%lldx%lld", &kernel_h, &kernel_w, &stride_h, &stride_w);
    if (fields >= 3) {
        const Ints size = {kernel_h, kernel_w}, stride = {stride_h, fields == 4 ? stride_w : stride_h};
        return {{shape, size, stride}, {shape, size, stride, {kernel_h / 2, kernel_w / 2}}};
    }
    if (kernel.window == "global") return {{shape, {shape[2], shape[3]}}};
    long long columns = 0;
    if (std::sscanf(kernel.window.c_str(), "blocks%lld", &columns) == 1) return {{shape, {4, columns}}};
    if (kernel.window == "blocks") return {{shape, {10, 9}}, {shape, {20, 2}}};
    if (kernel.window == "separable")
        return {{shape, {5}, {1}, {2}}, {shape, {9}, {1}, {4}}, {shape, {20}, {2}, {3}}};
    if (kernel.window == "lines") return {{shape, {4}, {1}, {2}}, {shape, {7}, {1}, {3}}};
    if (kernel.window == "small") return {{shape, {3}, {3}}, {shape, {4, 2}, {2}, {1}}};
    if (kernel.window == "generic") return {{shape, {70, 3}, {9, 1}}, {shape, {20}, {19}}, {shape, {70, 2}, {11, 1}}};
    if (kernel.window == "large") return {{shape, {17}, {1}}, {shape, {20}, {1}, {3}}, {shape, {40}, {2}, {20}}};
    return {{shape, {2, 3}, {1}}, {shape, {5}, {1}, {2}}, {shape, {9}, {9}, {1}}, {shape, {20}, {3}}, {shape, {20}, {10}, {3}}};
}

bool streams(const KernelUnderTest &kernel) { return kernel.name.find("-streaming") != std::string::npos; }

std::vector<Attempt> attempts_for(const KernelUnderTest &kernel) {
    std::vector<Ints> shapes;
    // Aligned to 64 bytes or to nothing; three channels, which the CPU has kernels for, and fewer columns than a
    // vector.
    for (const std::int64_t channels : {16, 7, 3})
        for (const std::int64_t columns : {96, 95, 9}) shapes.push_back({2, channels, 90, columns});
    if (streams(kernel)) {  // whole cache lines: of channels, of columns, and a half after pooling by two
        shapes.clear();
        for (const std::int64_t channels : {32, 3})
            for (const std::int64_t columns : {96, 144}) shapes.push_back({2, channels, 30, columns});
    }
    long long height = 0, width = 0, padding = 0;  // a kernel for planes of one extent: ..._nchw-7x7p1_...
    const std::size_t plane = kernel.name.find('-');
    if (plane != std::string::npos &&
        std::sscanf(kernel.name.c_str() + plane, "-%lldx%lldp%lld_", &height, &width, &padding) == 3) {
        shapes = {{2, 3, height, width}};
    }
    std::vector<Attempt> all;
    for (const Ints &shape : shapes)
        for (const Problem &problem : windows_for(kernel, shape)) {
            const Ints pooled = output_shape(problem);
            if (pooled[2] < 1 || pooled[3] < 1) continue;
            if (kernel.layout == "nhwc") {
                all.push_back({problem, channels_last(shape), channels_last(pooled)});
            } else if (kernel.layout == "nchw") {
                all.push_back({problem, planar(shape), planar(pooled)});
            } else {  // views of every second column, which the reference kernel alone takes for both
                StridedLayout input = planar(shape), output = planar(pooled);
                for (StridedLayout *view : {&input, &output})
                    for (std::int64_t &stride : view->strides) stride *= 2;
                all.push_back({problem, input, output});
            }
        }
    return all;
}

void expect_every_kernel_listed_once_with_a_reason(const halpool_plan *plan) {
    std::set<std::string> listed;
    for (std::size_t i = 0; i < halpool_plan_candidate_count(plan); ++i) {
        const halpool_candidate candidate = halpool_plan_candidate_at(plan, i);
        EXPECT_TRUE(listed.insert(candidate.kernel).second) << candidate.kernel << " is listed twice";
        EXPECT_STRNE(candidate.reason, "") << candidate.kernel;
        EXPECT_EQ(candidate.chosen != 0, std::string(candidate.kernel) == halpool_plan_kernel(plan))
            << candidate.kernel;
    }
    EXPECT_EQ(listed.size(), kernels_under_test().size());
}

void expect_exact_result(const halpool_plan *plan, const Attempt &attempt) {
    std::vector<float> values(attempt.input.count());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7919 % 2003) / 64 - 15;
    const auto fill = [&](float *first) {
        for (std::size_t i = 0; i < values.size(); ++i) first[attempt.input.offset(i)] = values[i];
    };
    GuardedExecution execution;
    CanaryOutput output(attempt.output);
    halpool_error error;
    ASSERT_EQ(execution.run(plan, attempt.input, Flush::with_page_end, fill, output, &error), HALPOOL_OK)
        << error.message;
    EXPECT_EQ(output.damage(), "");
    const std::vector<Exact> exact = exact_output(attempt.problem, values);
    for (std::size_t i = 0; i < exact.size(); ++i)
        ASSERT_TRUE(keeps_contract(output.value(i), exact[i]))
            << "element " << i << ": got " << output.value(i) << ", exact " << exact[i].value;
}

class ChosenKernels : public ::testing::TestWithParam<KernelUnderTest> {};

TEST_P(ChosenKernels, HaveAProblemThatTheyAreChosenFor) {
    const KernelUnderTest &kernel = GetParam();
    if (!kernel.available) GTEST_SKIP() << kernel.target << ": " << kernel.target_reason;
    // Of a view, every kernel of another target says that it does not take it: the reference is chosen with none
    // forced.
    const char *const target = kernel.is_reference() ? nullptr : kernel.target.c_str();
    const Environment streaming("HALPOOL_STREAMING_BYTES", streams(kernel) ? "0" : "9223372036854775807");
    std::string others;
    for (const Attempt &attempt : attempts_for(kernel)) {
        const PlanAttempt made =
            make_plan(attempt.problem, attempt.input, attempt.output, nullptr, target, kernel.device);
        if (made.status == HALPOOL_ERROR_UNSUPPORTED) {
            others += std::string("\nnone: ") + made.error.message;
            continue;
        }
        ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
        const std::string chosen = halpool_plan_kernel(made.plan.get());
        if (chosen != kernel.name) {
            others += "\n" + chosen;
            continue;
        }
        SCOPED_TRACE(::testing::Message() << attempt.problem);
        expect_every_kernel_listed_once_with_a_reason(made.plan.get());
        expect_exact_result(made.plan.get(), attempt);
        return;
    }
    FAIL() << kernel << " is chosen for none of these problems; in its place:" << others;
}

HALPOOL_TEST_EVERY_KERNEL(ChosenKernels, "f32");

struct MeasuredChoice {
    Problem problem;
    const char *window;
};

// Where the classes' times lay furthest apart when the rules were fitted (docs/performance.md).
TEST(ChannelsLastChoices, AreTheFastestOfThoseMeasured) {
    const std::vector<MeasuredChoice> measured = {
        {{{1, 64, 64, 64}, {7}, {4}}, "small"},      // large took 3.1 times as long
        {{{1, 64, 64, 64}, {9}, {8}}, "small"},      // 5.6
        {{{1, 128, 28, 28}, {3}, {3}}, "small"},     // lines 1.5 to 1.9
        {{{1, 16, 56, 56}, {7}, {2}}, "lines"},      // small 1.6 to 2.3
        {{{1, 64, 64, 64}, {31}, {8}}, "lines"},     // generic 1.3 to 1.7
        {{{1, 16, 64, 64}, {13}, {3}}, "lines"},     // small 2.1 to 3.8
        {{{1, 64, 64, 64}, {7}, {1}}, "lines"},      // small 2.0
        {{{1, 64, 64, 64}, {11}, {1}}, "large"},     // lines 2.5
    };
    int chosen = 0;
    for (const KernelUnderTest &kernel : kernels_under_test()) {
        if (kernel.layout != "nhwc" || kernel.device != HALPOOL_DEVICE_CPU || !kernel.available) continue;
        for (const MeasuredChoice &each : measured) {
            if (kernel.window != each.window) continue;
            SCOPED_TRACE(::testing::Message() << kernel.target << ": " << each.problem);
            const PlanAttempt made = make_plan(each.problem, channels_last(each.problem.input_shape), channels_last(output_shape(each.problem)), nullptr,
                                               kernel.target.c_str(), kernel.device);
            ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
            EXPECT_EQ(halpool_plan_kernel(made.plan.get()), kernel.name);
            ++chosen;
        }
    }
    if (!chosen) GTEST_SKIP() << "no CPU target is linked that runs here";
}

}  // namespace
}  // namespace halpool_test
