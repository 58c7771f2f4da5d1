// Every golden avg_pool2d case, on every kernel of its dtype forced in turn, on its own device: planar, channels-last, as the
// case's view. PyTorch has no int8, uint8 and int32: kernels of these get the cases of int64 that fit.
#include "golden_cases.hpp"
#include "guarded_execution.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <sstream>

namespace halpool_test {
namespace {

// Forward cases in tests/golden.
const std::map<std::string, std::size_t> kCases = {{"float32", 195}, {"float64", 27}, {"float16", 31}, {"bfloat16", 26}, {"int64", 29}};

template <class T>
const std::vector<GoldenCase> &cases_of() {
    static const std::vector<GoldenCase> cases = golden_cases_of<T>("avg_pool2d");
    return cases;
}

const std::vector<GoldenCase> &golden_cases() { return cases_of<float>(); }

// The case with channels and columns in multiples of four, which some kernels demand and few cases have: each
// channel four times, and columns of zeros at the end. A window of the case's own reads zeros there where it read
// padding; what it divides by is the same if padding counts and no window is cut.
std::optional<GoldenCase> in_fours(const GoldenCase &c) {
    const bool same_divisors = c.problem.divisor_override || (c.problem.count_include_pad && !c.problem.ceil_mode);
    if (!same_divisors) return std::nullopt;
    const std::size_t rank = c.input.shape.size();
    GoldenCase wide = c;
    Ints in_shape = c.input.shape, out_shape;
    in_shape[rank - 3] *= 4;
    for (const std::int64_t most = in_shape[rank - 1] + 64;; ++in_shape[rank - 1]) {
        wide.problem.input_shape = in_shape;
        out_shape = output_shape(wide.problem);
        if (in_shape[rank - 1] % 4 == 0 && out_shape[rank - 1] % 4 == 0) break;
        if (in_shape[rank - 1] == most) return std::nullopt;
    }
    const auto widened = [&](const golden::Array &from, const Ints &shape) {
        const StridedLayout to = planar(shape);
        std::vector<float> values(to.count());
        for (std::size_t i = 0; i < values.size(); ++i) {
            std::size_t rest = i;
            std::int64_t at = 0;
            bool inside = true;
            for (std::size_t axis = rank; axis-- > 0;) {
                auto index = static_cast<std::int64_t>(rest % static_cast<std::size_t>(shape[axis]));
                rest /= static_cast<std::size_t>(shape[axis]);
                if (axis == rank - 3) index /= 4;
                inside = inside && index < from.shape[axis];
                at += index * from.strides[axis];
            }
            if (inside) values[i] = from.as<float>()[at];
        }
        return array_of(shape, values);
    };
    wide.name += " in fours";
    wide.input = widened(c.input, in_shape);
    wide.output = widened(c.output, out_shape);
    return wide;
}

const std::vector<GoldenCase> &golden_cases_in_fours() {
    static const std::vector<GoldenCase> cases = [] {
        std::vector<GoldenCase> made;
        for (const GoldenCase &c : golden_cases())
            if (std::optional<GoldenCase> wide = in_fours(c)) made.push_back(std::move(*wide));
        return made;
    }();
    return cases;
}

class GoldenCases : public ::testing::TestWithParam<KernelUnderTest> {
public:
    template <class T, class Out>
    void agree_with_pytorch();
};

TEST_P(GoldenCases, AgreeWithPyTorchOnThisKernelInEveryMemoryFormat) {
    const KernelUnderTest &kernel = GetParam();
    if (!kernel.available) GTEST_SKIP() << kernel.target << ": " << kernel.target_reason;
    with_elements(kernel.dtype, [&](auto from, auto to) { agree_with_pytorch<decltype(from), decltype(to)>(); });
}

template <class T, class Out>
void GoldenCases::agree_with_pytorch() {
    const KernelUnderTest &kernel = GetParam();
    GuardedExecution execution;
    std::size_t executed = 0, refused = 0;
    std::size_t executed_by_format[3] = {0, 0, 0};
    const bool in_fours = kernel.demand.rfind("-a", 0) == 0;
    std::vector<const GoldenCase *> cases;
    for (const GoldenCase &c : cases_of<T>()) cases.push_back(&c);
    for (std::size_t i = 0; in_fours && i < golden_cases_in_fours().size(); ++i)
        cases.push_back(&golden_cases_in_fours()[i]);
    const bool quantized = kernel.dtype[0] == 'q';
    for (const GoldenCase *each : cases) {
        GoldenCase c = *each;
        if (quantized) c.problem.input_quantization = {1, 0};
        const std::vector<MemoryFormat> formats = memory_formats(c);
        for (std::size_t f = 0; f < formats.size(); ++f) {
            const MemoryFormat &format = formats[f];
            SCOPED_TRACE(::testing::Message() << c.name << ", " << format.name << ": " << c.problem);
            const PlanAttempt attempt = make_plan(c.problem, format.input, format.output, kernel, Element<T>::kDtype, Pass::forward, Element<Out>::kDtype);
            if (attempt.status == HALPOOL_ERROR_UNSUPPORTED) {
                EXPECT_FALSE(kernel.is_reference())
                    << "the reference kernel takes every problem: " << attempt.error.message;
                EXPECT_STRNE(attempt.error.message, "");
                EXPECT_EQ(attempt.plan, nullptr);
                ++refused;
                continue;
            }
            ASSERT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
            ASSERT_EQ(halpool_plan_kernel(attempt.plan.get()), kernel.name);
            ASSERT_EQ(halpool_plan_target(attempt.plan.get()), kernel.target);
            ASSERT_EQ(halpool_plan_device(attempt.plan.get()), kernel.device);

            CanaryOutputOf<Out> output(format.output);
            for (const Flush flush : kBothFlushes) {
                SCOPED_TRACE(name(flush));
                const auto fill = [&](T *input) { copy_input(c, format.input, input); };
                halpool_error error;
                ASSERT_EQ(execution.run_from<T>(attempt.plan.get(), format.input, flush, fill, output, &error), HALPOOL_OK)
                    << error.message;
                expect_golden_output<T>(c, output, quantized);
            }
            ++executed;
            ++executed_by_format[f];
            if (HasFailure()) return;  // one case in full says more than all of them
        }
    }
    RecordProperty("executed", static_cast<int>(executed));
    RecordProperty("refused", static_cast<int>(refused));
    std::cout << kernel.name << ": executed " << executed << " (planar " << executed_by_format[0]
              << ", channels-last " << executed_by_format[1] << ", own view " << executed_by_format[2]
              << "), refused " << refused << "\n";

    // A kernel that refuses everything would pass all of the above. PyTorch's cases hold few windows side by side, none of 5x5 and 4x4s2, no
    // planes of the extents that have kernels of their own, hardly a row of whole cache lines, and 29 of integers in all, and global ones of
    // float32 alone, few of even columns; the property tests meet these.
    const bool rare = !Element<T>::kFloat || kernel.demand == "-pairs" || (kernel.window == "global" && kernel.dtype != "f32") || kernel.window.rfind("blocks", 0) == 0 || kernel.window.rfind("5x5", 0) == 0 || kernel.window == "4x4s2" || kernel.demand.find('x') != std::string::npos ||
                      kernel.demand.find("-streaming") != std::string::npos;
    if (!rare) {
        EXPECT_GT(executed, 0u) << "this kernel ran no case at all";
    }
    const bool takes_any_window = kernel.window == "generic" && kernel.demand.empty();
    const bool takes_all_planar = takes_any_window && kernel.layout == "nchw";
    const bool takes_all_channels_last = takes_any_window && kernel.layout == "nhwc";
    const std::size_t all = cases_of<T>().size();
    EXPECT_GT(all, 0u);
    EXPECT_TRUE(!kernel.is_reference() || executed == 3 * all);
    EXPECT_TRUE(!takes_all_planar || executed_by_format[0] == all);
    EXPECT_TRUE(!takes_all_channels_last || executed_by_format[1] == all);
}

HALPOOL_TEST_EVERY_KERNEL(GoldenCases, "");

TEST(GoldenCaseFile, HoldsEveryForwardCase) {
    for (const auto &[dtype, count] : kCases) EXPECT_EQ(load_golden_cases(dtype).size(), count) << dtype;
}

TEST(GoldenOutputShapes, AreWhatTheShapeFunctionSays) {
    for (const GoldenCase &c : golden_cases()) {
        SCOPED_TRACE(::testing::Message() << c.name << ": " << c.problem);
        const StridedLayout input = planar(c.input.shape);
        const halpool_avg_pool2d_options options = c.problem.c_options();
        const halpool_tensor_desc desc = input.desc();
        Ints shape(4, -1);
        halpool_error error;
        ASSERT_EQ(halpool_avg_pool2d_output_shape(&options, &desc, shape.data(), &error), HALPOOL_OK)
            << error.message;
        shape.resize(c.input.shape.size());
        EXPECT_EQ(shape, c.output.shape);
    }
}

// Under qemu the test says which targets the emulated CPU has: none of their kernels may hide among the skipped.
TEST(GoldenCasesUnderEmulation, RunTheTargetsTheyAreFor) {
    const char *const targets = std::getenv("HALPOOL_TEST_CPU_TARGETS");
    if (targets == nullptr) GTEST_SKIP() << "not emulated: HALPOOL_TEST_CPU_TARGETS is not set";
    std::istringstream names(targets);
    const std::set<std::string> usable{std::istream_iterator<std::string>(names),
                                       std::istream_iterator<std::string>()};
    for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU, ""))
        EXPECT_EQ(kernel.available, kernel.is_reference() || usable.count(kernel.target) != 0)
            << kernel << ": " << kernel.target_reason;
}

// What a caller gets who forces nothing.
template <class T>
void expect_agreement_on_the_chosen_kernel() {
    GuardedMemory input_memory;
    for (const GoldenCase &c : cases_of<T>())
        for (const MemoryFormat &format : memory_formats(c)) {
            SCOPED_TRACE(::testing::Message() << Element<T>::kName << " " << c.name << ", " << format.name << ": " << c.problem);
            const halpool_avg_pool2d_options options = c.problem.c_options();
            const halpool_tensor_desc in = format.input.desc(Element<T>::kDtype), out = format.output.desc(Element<T>::kDtype);
            T *const input = input_memory.place<T>(format.input, Flush::with_page_end);
            copy_input(c, format.input, input);
            CanaryOutputOf<T> output(format.output);
            halpool_error error;
            ASSERT_EQ(halpool_avg_pool2d(&options, &in, input, &out, output.data(), &error), HALPOOL_OK)
                << error.message;
            expect_golden_output<T>(c, output);
        }
}

TEST(GoldenCasesOnTheChosenKernel, AgreeWithPyTorchInEveryMemoryFormat) {
    for (const char *dtype : {"f32", "f64", "f16", "bf16", "i8", "u8", "i32", "i64"})
        with_element(dtype, [](auto element) { expect_agreement_on_the_chosen_kernel<decltype(element)>(); });
}

}  // namespace
}  // namespace halpool_test
