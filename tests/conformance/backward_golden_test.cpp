// Every golden avg_pool2d_backward case, on every kernel of its dtype forced in turn: planar, channels-last, as the case's view.
// Kernels of the forward pass compute those of stride 1.
#include "golden_cases.hpp"
#include "guarded_execution.hpp"
#include "kernels_under_test.hpp"

#include <gtest/gtest.h>

#include <iostream>
#include <map>

namespace halpool_test {
namespace {

const std::map<std::string, std::size_t> kCases = {{"float32", 39}, {"float64", 10}, {"float16", 4}, {"bfloat16", 4}, {"int64", 3}};

template <class T>
const std::vector<GoldenCase> &cases_of() {
    static const std::vector<GoldenCase> cases = golden_cases_of<T>("avg_pool2d_backward");
    return cases;
}

class BackwardGoldenCases : public ::testing::TestWithParam<KernelUnderTest> {
public:
    template <class T>
    void agree_with_pytorch();
};

TEST_P(BackwardGoldenCases, AgreeWithPyTorchOnThisKernelInEveryMemoryFormat) {
    const KernelUnderTest &kernel = GetParam();
    if (!kernel.available) GTEST_SKIP() << kernel.target << ": " << kernel.target_reason;
    with_element(kernel.dtype, [&](auto element) { agree_with_pytorch<decltype(element)>(); });
}

template <class T>
void BackwardGoldenCases::agree_with_pytorch() {
    const KernelUnderTest &kernel = GetParam();
    GuardedExecution execution;
    std::size_t executed = 0, all = 0;
    std::size_t executed_by_format[3] = {0, 0, 0};
    for (const GoldenCase &c : cases_of<T>()) {
        ++all;
        const std::vector<MemoryFormat> formats = memory_formats(c);
        for (std::size_t f = 0; f < formats.size(); ++f) {
            const MemoryFormat &format = formats[f];
            SCOPED_TRACE(::testing::Message() << c.name << ", " << format.name << ": " << c.problem);
            const PlanAttempt attempt = make_plan(c.problem, format.input, format.output, kernel, Element<T>::kDtype, Pass::backward);
            if (attempt.status == HALPOOL_ERROR_UNSUPPORTED) {
                EXPECT_FALSE(kernel.is_reference()) << "the reference kernel takes every problem: " << attempt.error.message;
                EXPECT_STRNE(attempt.error.message, "");
                continue;
            }
            ASSERT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
            ASSERT_EQ(halpool_plan_kernel(attempt.plan.get()), kernel.name);
            CanaryOutputOf<T> output(format.output);
            for (const Flush flush : kBothFlushes) {
                SCOPED_TRACE(name(flush));
                const auto fill = [&](T *input) { copy_input(c, format.input, input); };
                halpool_error error;
                ASSERT_EQ(execution.run(attempt.plan.get(), format.input, flush, fill, output, &error), HALPOOL_OK) << error.message;
                expect_golden_output<T>(c, output);
            }
            ++executed;
            ++executed_by_format[f];
            if (HasFailure()) return;
        }
    }
    std::cout << kernel.name << ": executed " << executed << " of " << 3 * all << "\n";
    EXPECT_TRUE(!kernel.is_reference() || executed == 3 * all);
    const bool backward_of_any_window = kernel.op == "avg_pool2d_backward" && kernel.window == "generic" && kernel.demand.empty();
    EXPECT_TRUE(!backward_of_any_window || executed_by_format[kernel.layout == "nhwc" ? 1 : 0] == all);
}

bool has_no_backward(const std::string &arithmetic) { return arithmetic[0] == 'q' || arithmetic.find('_') != arithmetic.npos; }

// The reference of the forward pass computes no backward one.
std::vector<KernelUnderTest> kernels(std::int32_t device) {
    std::vector<KernelUnderTest> chosen;
    for (const KernelUnderTest &kernel : kernels_of_device(device, "", ""))
        if (kernel.op == "avg_pool2d_backward" || !(kernel.is_reference() || has_no_backward(kernel.dtype))) chosen.push_back(kernel);
    return chosen;
}

const auto name_of = [](const auto &parameter) { return test_name(parameter.param); };
INSTANTIATE_TEST_SUITE_P(Cpu, BackwardGoldenCases, ::testing::ValuesIn(kernels(HALPOOL_DEVICE_CPU)), name_of);
INSTANTIATE_TEST_SUITE_P(Cuda, BackwardGoldenCases, ::testing::ValuesIn(kernels(HALPOOL_DEVICE_CUDA)), name_of);
INSTANTIATE_TEST_SUITE_P(Vulkan, BackwardGoldenCases, ::testing::ValuesIn(kernels(HALPOOL_DEVICE_VULKAN)), name_of);

TEST(BackwardGoldenCaseFile, HoldsEveryBackwardCase) {
    for (const auto &[dtype, count] : kCases) EXPECT_EQ(load_golden_cases(dtype, "avg_pool2d_backward").size(), count) << dtype;
}

// What a caller gets who forces nothing.
template <class T>
void expect_agreement_on_the_chosen_kernel() {
    GuardedMemory memory;
    for (const GoldenCase &c : cases_of<T>())
        for (const MemoryFormat &format : memory_formats(c)) {
            SCOPED_TRACE(::testing::Message() << Element<T>::kName << " " << c.name << ", " << format.name << ": " << c.problem);
            const halpool_avg_pool2d_options options = c.problem.c_options();
            const halpool_tensor_desc in = format.input.desc(Element<T>::kDtype), out = format.output.desc(Element<T>::kDtype);
            T *const input = memory.place<T>(format.input, Flush::with_page_end);
            copy_input(c, format.input, input);
            CanaryOutputOf<T> output(format.output);
            halpool_error error;
            ASSERT_EQ(halpool_avg_pool2d_backward(&options, &in, input, &out, output.data(), &error), HALPOOL_OK) << error.message;
            expect_golden_output<T>(c, output);
        }
}

TEST(BackwardGoldenCasesOnTheChosenKernel, AgreeWithPyTorchInEveryMemoryFormat) {
    for (const char *dtype : {"f32", "f64", "f16", "bf16", "i8", "u8", "i32", "i64"})
        with_element(dtype, [](auto element) { expect_agreement_on_the_chosen_kernel<decltype(element)>(); });
}

}  // namespace
}  // namespace halpool_test
