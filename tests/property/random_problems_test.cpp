// Thousands of random problems, on every kernel that takes them, against the oracle.
//   HALPOOL_PROPERTY_CASES  how many (2500; 600 on devices beside the CPU; of each dtype beside float32 300, of its gradients 200, there 150)
//   HALPOOL_PROPERTY_SEED   another series
//   HALPOOL_PROPERTY_CASE   this one alone: the number a failure prints
#include "guarded_execution.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"
#include "random_problem.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>

namespace halpool_test {
namespace {

// A test takes every `slices`-th of the cases, so that CTest can run several side by side.
struct Slice {
    std::int32_t device;
    std::string dtype;
    Pass pass;
    std::int64_t default_cases;
    int number, slices;
};

std::ostream &operator<<(std::ostream &out, const Slice &slice) {
    return out << device_name(slice.device) << ", " << slice.dtype << (slice.pass == Pass::forward ? "" : " backward") << ", slice " << slice.number << " of " << slice.slices;
}

std::vector<Slice> slices_of(std::int32_t device, std::int64_t default_cases, int slices) {
    std::vector<Slice> all;
    for (int i = 0; i < slices; ++i) all.push_back({device, "f32", Pass::forward, default_cases, i, slices});
    return all;
}

constexpr const char *kDTypes[] = {"f32", "f64", "f16", "bf16", "i8", "u8", "i32", "i64"};
constexpr const char *kConversions[] = {"qi8", "qu8", "i8_f32", "u8_f32", "f32_f16", "f32_bf16"};

// Each dtype beside f32, and each that becomes another.
std::vector<Slice> slices_of_other_dtypes(std::int32_t device, std::int64_t default_cases) {
    std::vector<Slice> all;
    for (const std::string dtype : kDTypes)
        if (dtype != "f32") all.push_back({device, dtype, Pass::forward, default_cases, 0, 1});
    for (const std::string dtype : kConversions)
        all.push_back({device, dtype, Pass::forward, default_cases, 0, 1});
    return all;
}

std::vector<Slice> slices_backward(std::int32_t device, std::int64_t default_cases) {
    std::vector<Slice> all;
    for (const char *dtype : kDTypes) all.push_back({device, dtype, Pass::backward, default_cases, 0, 1});
    return all;
}

// The value as an element. Equal values give equal elements: some share memory. Integers of any size, or small ones.
template <class T>
T element_of(float value, bool small) {
    if constexpr (std::is_same<T, float>::value) return value;
    else if constexpr (std::is_same<T, double>::value) return double{value} * 1.00000000123;
    else if constexpr (Element<T>::kFloat) return T::nearest(value);
    else {
        std::uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        const std::uint64_t any = Random(bits).next();
        return static_cast<T>(small ? any % 7 : any);
    }
}

std::int64_t from_environment(const char *variable, std::int64_t otherwise) {
    const char *const value = std::getenv(variable);
    return value == nullptr || *value == '\0' ? otherwise : std::strtoll(value, nullptr, 10);
}

// Of tensors of bytes: quantized results, or ones that may be.
template <class T>
void choose_quantization(Random &random, bool result_too, Problem &problem) {
    const auto any = [&] {
        return halpool_quantization{std::ldexp(1 + random.unit(), static_cast<int>(random.between(-9, 2))),
                                    random.between(std::numeric_limits<T>::min(), std::numeric_limits<T>::max())};
    };
    if (result_too || random.one_in(2)) problem.input_quantization = any();
    if (result_too && random.one_in(2)) problem.output_quantization = any();
}

template <class T>
void expect_exact(const Problem &problem, const std::vector<Exact> &exact, const CanaryOutputOf<T> &got, bool quantized) {
    EXPECT_EQ(got.damage(), "");
    ASSERT_EQ(exact.size(), got.layout().count());
    for (std::size_t i = 0; i < exact.size(); ++i) {
        const bool kept = [&] {
            if constexpr (sizeof(T) == 1) {
                if (quantized) return keeps_quantized_contract(got.value(i), exact[i], problem);
            }
            return keeps_contract(got.value(i), exact[i]);
        }();
        if (kept) continue;
        ADD_FAILURE() << "element " << i << ": got " << Element<T>::number(got.value(i)) << ", exact " << exact[i].value
                      << ", quotient " << exact[i].quotient << ", allowed error " << allowed_error<T>(exact[i]) << ", taps " << exact[i].taps;
        return;
    }
}

class RandomProblems : public ::testing::TestWithParam<Slice> {
public:
    template <class T, class Out>
    void keep_the_contract();
};

TEST_P(RandomProblems, KeepTheAccuracyContractOnEveryKernelThatTakesThem) {
    with_elements(GetParam().dtype, [&](auto from, auto to) { keep_the_contract<decltype(from), decltype(to)>(); });
}

template <class T, class Out>
void RandomProblems::keep_the_contract() {
    const auto seed = static_cast<std::uint64_t>(from_environment("HALPOOL_PROPERTY_SEED", 20261123));
    const Slice slice = GetParam();
    const bool on_cpu = slice.device == HALPOOL_DEVICE_CPU;
    const std::int64_t count = from_environment("HALPOOL_PROPERTY_CASES", slice.default_cases);
    const std::int64_t only = from_environment("HALPOOL_PROPERTY_CASE", -1);
    std::vector<KernelUnderTest> kernels;
    std::string unavailable;
    const bool forward = slice.pass == Pass::forward;
    for (const KernelUnderTest &kernel : kernels_of_device(slice.device, slice.dtype, forward ? "avg_pool2d" : "")) {
        if (!forward && kernel.is_reference() && kernel.op == "avg_pool2d") continue;
        if (kernel.available) kernels.push_back(kernel);
        else unavailable = kernel.target + ": " + kernel.target_reason;
    }
    if (kernels.empty()) GTEST_SKIP() << unavailable;
    std::map<std::string, int> executed;
    GuardedExecution execution;
    GuardedMemory memory;

    for (std::int64_t number = 0; number < count || number <= only; ++number) {
        if (only >= 0 ? number != only : number % slice.slices != slice.number) continue;
        // bfloat16 has kernels for words of two elements.
        const bool even = !on_cpu || (std::string(slice.dtype) == "bf16" && number % 2 == 0);
        RandomCase c = forward ? random_case(seed, number, even) : random_backward_case(seed, number);
        c.problem.allow_any_dtype = true;
        const bool quantized = slice.dtype[0] == 'q';
        if constexpr (sizeof(T) == 1) {
            Random scales(seed + static_cast<std::uint64_t>(number));
            if (quantized || !std::is_same<T, Out>::value) choose_quantization<T>(scales, quantized, c.problem);
        }
        const Ints shape = output_shape(c.problem);
        SCOPED_TRACE(::testing::Message()
                     << "HALPOOL_PROPERTY_SEED=" << seed << " HALPOOL_PROPERTY_CASE=" << number << ": "
                     << c.problem << " input strides " << ::testing::PrintToString(c.input.strides)
                     << " output strides " << ::testing::PrintToString(c.output.strides));
        if (forward) {
            const halpool_avg_pool2d_options options = c.problem.c_options();
            const halpool_tensor_desc in = c.input.desc(Element<T>::kDtype);
            Ints said(4);
            halpool_error error;
            ASSERT_EQ(halpool_avg_pool2d_output_shape(&options, &in, said.data(), &error), HALPOOL_OK)
                << error.message;
            said.resize(shape.size());
            ASSERT_EQ(said, shape);
        }
        std::vector<T> values;
        for (const float value : c.values) values.push_back(element_of<T>(value, number % 3 == 0));
        const std::vector<Exact> exact = forward ? exact_output(c.problem, values) : exact_gradient(c.problem, values);
        const auto fill = [&](T *input) {
            for (std::size_t i = 0; i < values.size(); ++i) input[c.input.offset(i)] = values[i];
        };
        CanaryOutputOf<Out> output(c.output);
        Random random(seed ^ static_cast<std::uint64_t>(number));
        for (const KernelUnderTest &kernel : kernels) {
            SCOPED_TRACE(kernel.name);
            const PlanAttempt attempt = make_plan(c.problem, c.input, c.output, kernel, Element<T>::kDtype, slice.pass, Element<Out>::kDtype);
            if (attempt.status == HALPOOL_ERROR_UNSUPPORTED) {
                ASSERT_FALSE(kernel.is_reference()) << "the reference refused: " << attempt.error.message;
                continue;
            }
            ASSERT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
            ASSERT_EQ(halpool_plan_kernel(attempt.plan.get()), kernel.name);
            ++executed[kernel.name];

            const std::size_t flush = static_cast<std::size_t>(random.between(0, 1));
            halpool_error error;
            ASSERT_EQ(execution.run_from<T>(attempt.plan.get(), c.input, kBothFlushes[flush], fill, output, &error),
                      HALPOOL_OK)
                << error.message;
            expect_exact(c.problem, exact, output, quantized);
            if (HasFailure()) return;
            if (!on_cpu) continue;
            const auto whole = output.all_bits();

            // The same bits in parts, from memory that lies flush with the other page.
            const auto parts = static_cast<std::int32_t>(random.between(2, 9));
            T *const input = memory.place<T>(c.input, kBothFlushes[1 - flush]);
            fill(input);
            output.refill();
            for (std::int32_t part = parts; part-- > 0;)
                ASSERT_EQ(halpool_plan_execute_part(attempt.plan.get(), input, output.data(), part, parts,
                                                    &error),
                          HALPOOL_OK)
                    << error.message;
            EXPECT_EQ(output.damage(), "");
            EXPECT_TRUE(output.all_bits() == whole) << "other bits in " << parts << " parts";
            if (HasFailure()) return;
        }
    }
    if (only >= 0) return;
    for (const KernelUnderTest &kernel : kernels) {
        std::cout << kernel.name << ": " << executed[kernel.name] << " problems\n";
        EXPECT_TRUE(count < slice.default_cases || executed[kernel.name] > 0 || (!forward && kernel.op == "avg_pool2d"))
            << kernel.name << " took no problem at all";
    }
}

// Kernels of the forward pass take these in several parts of a plane, or many planes at once; the gradient may lie anywhere.
class SpreadGradients : public ::testing::TestWithParam<KernelUnderTest> {
public:
    template <class T>
    void keep_the_contract();
};

TEST_P(SpreadGradients, KeepTheContractInPartsOfPlanesAndFromAnyMemory) {
    const KernelUnderTest &kernel = GetParam();
    if (!kernel.available) GTEST_SKIP() << kernel.target << ": " << kernel.target_reason;
    if (kernel.dtype == "f32") keep_the_contract<float>();
    else keep_the_contract<double>();
}

template <class T>
void SpreadGradients::keep_the_contract() {
    const KernelUnderTest &kernel = GetParam();
    const bool fixed = std::isdigit(static_cast<unsigned char>(kernel.window[0])) != 0;
    const Ints size = fixed ? Ints{kernel.window[0] - '0', kernel.window[2] - '0'} : Ints{5, 4};
    GuardedMemory memory;
    int executed = 0;
    const bool few = from_environment("HALPOOL_PROPERTY_CASES", 2500) < 100;
    const std::vector<Ints> shapes = {{2, 19, 14, 14}, {1, 1, 190, 230}, {3, 13, 7, 7}, {1, 2, 5, 2000}}, strides = {{2, 2}, {1, 1}, {3, 1}, {1, 4}, {8, 11}};  // the last: elements that no window covers
    for (auto shape_at = shapes.begin(); shape_at != (few ? shapes.begin() + 1 : shapes.end()); ++shape_at)
        for (auto stride_at = strides.begin(); stride_at != (few ? strides.begin() + 1 : strides.end()); ++stride_at)
            for (const int divisor : {1, 0, 2}) {
                const Ints &shape = *shape_at, &stride = *stride_at;
                if (few && divisor != 1) continue;
                Problem problem{shape, size, stride, {size[0] / 2, size[1] / 2}, divisor != 2, divisor == 0};
                if (divisor == 2) problem.divisor_override = -3;
                const Ints windows = output_shape(problem);
                const StridedLayout whole = planar(shape), straight = planar(windows), turned = dense(windows, {3, 1, 0, 2});
                std::vector<T> values(straight.count());
                Random random(static_cast<std::uint64_t>(executed));
                for (T &value : values) value = static_cast<T>(random.unit() * 2 - 1);
                std::vector<Exact> exact;
                for (const StridedLayout &from : {straight, turned}) {
                    SCOPED_TRACE(::testing::Message() << problem << " strides " << ::testing::PrintToString(from.strides));
                    const PlanAttempt attempt = make_plan(problem, from, whole, kernel, Element<T>::kDtype, Pass::backward);
                    if (attempt.status == HALPOOL_ERROR_UNSUPPORTED) continue;
                    ASSERT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
                    ++executed;
                    if (exact.empty()) exact = exact_gradient(problem, values);
                    T *const input = memory.place<T>(from, Flush::with_page_end);
                    for (std::size_t i = 0; i < values.size(); ++i) input[from.offset(i)] = values[i];
                    CanaryOutputOf<T> output(whole);
                    halpool_error error;
                    ASSERT_EQ(halpool_plan_execute(attempt.plan.get(), input, output.data(), nullptr, &error), HALPOOL_OK) << error.message;
                    expect_exact(problem, exact, output, false);
                    const auto bits = output.all_bits();
                    output.refill();
                    for (std::int32_t part = 0; part < 7; ++part)
                        ASSERT_EQ(halpool_plan_execute_part(attempt.plan.get(), input, output.data(), part, 7, &error), HALPOOL_OK) << error.message;
                    EXPECT_TRUE(output.all_bits() == bits) << "other bits in parts";
                    if (HasFailure()) return;
                }
            }
    const bool any = kernel.window == "generic" || kernel.window == "lines";
    EXPECT_GE(executed, !any ? 0 : few ? 2 : 40) << "few of these problems were computed";
}

// Rows of one or several pieces, of every stride that has code of its own, of more windows over an element than have; pixels of few and of
// many channels; planes whose last row's vectors end where the output does.
class GradientLines : public ::testing::TestWithParam<KernelUnderTest> {
public:
    template <class T>
    void keep_the_contract();
};

TEST_P(GradientLines, KeepTheContractOfEveryStrideAndInPieces) {
    const KernelUnderTest &kernel = GetParam();
    if (!kernel.available) GTEST_SKIP() << kernel.target << ": " << kernel.target_reason;
    with_elements(kernel.dtype, [&](auto from, auto) { keep_the_contract<decltype(from)>(); });
}

template <class T>
void GradientLines::keep_the_contract() {
    const KernelUnderTest &kernel = GetParam();
    const bool last = kernel.layout == "nhwc", streams = kernel.name.find("-streaming") != std::string::npos;
    std::vector<Problem> problems;
    const auto add = [&](const Ints &shape, const Ints &kernel_size, const Ints &stride, const Ints &padding) {
        for (const int divisor : {1, 0, 2}) {
            problems.push_back({shape, kernel_size, stride, padding, divisor != 2, divisor == 0});
            if (divisor == 2) problems.back().divisor_override = -3;
        }
    };
    for (const std::int64_t stride : {2, 3, 4})
        for (const std::int64_t size : {1, 2, 3, 4, 5, 7, 11, 16})
            for (const std::int64_t width : {1, 6, 17, 66}) {
                const std::int64_t padding = (size + width) % (size / 2 + 1);
                if (width + 2 * padding < size) continue;
                const std::int64_t channels = !streams ? 3 : width == 6 ? 144 : 16 * (size % 3 + 1);  // whole vectors, one and many
                add({2, channels, 9 + size, width}, {size, size}, {stride, stride}, {padding, padding});
            }
    for (const std::int64_t channels : {3, 16}) add({2, channels, 13, 17}, {7, 3}, {2, 2}, {2, 1});  // of more windows along one axis
    add({1, 2, 5, 40011}, {3, 3}, {2, 2}, {1, 1});
    add({1, 1, 4, 60007}, {2, 7}, {1, 3}, {0, 2});
    if (last) {
        add({2, 1500, 3, 9}, {3, 3}, {2, 2}, {1, 1});
        add({1, 700, 4, 11}, {2, 9}, {3, 1}, {0, 4});
        for (const std::int64_t channels : {1, 4, 19, 64}) add({2, channels, 7, 13}, {3, 3}, {1, 1}, {1, 1});
    }
    GuardedMemory memory;
    std::size_t executed = 0;
    const bool few = from_environment("HALPOOL_PROPERTY_CASES", 2500) < 100;
    for (std::size_t number = 0; number < problems.size(); number += few ? 17 : 1) {
        Problem &problem = problems[number];
        problem.allow_any_dtype = true;
        SCOPED_TRACE(::testing::Message() << problem);
        const Ints windows = output_shape(problem);
        const StridedLayout from = last ? channels_last(windows) : planar(windows), to = last ? channels_last(problem.input_shape) : planar(problem.input_shape);
        const PlanAttempt attempt = make_plan(problem, from, to, kernel, Element<T>::kDtype, Pass::backward);
        if (attempt.status == HALPOOL_ERROR_UNSUPPORTED) continue;
        ASSERT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
        ++executed;
        std::vector<T> values(from.count());
        Random random(number);
        for (T &value : values) value = element_of<T>(static_cast<float>(random.unit() * 2 - 1), true);
        T *const input = memory.place<T>(from, kBothFlushes[number % 2]);
        for (std::size_t i = 0; i < values.size(); ++i) input[from.offset(i)] = values[i];
        CanaryOutputOf<T> output(to);
        halpool_error error;
        ASSERT_EQ(halpool_plan_execute(attempt.plan.get(), input, output.data(), nullptr, &error), HALPOOL_OK) << error.message;
        expect_exact(problem, exact_gradient(problem, values), output, false);
        const auto bits = output.all_bits();
        output.refill();
        for (std::int32_t part = 5; part-- > 0;)
            ASSERT_EQ(halpool_plan_execute_part(attempt.plan.get(), input, output.data(), part, 5, &error), HALPOOL_OK) << error.message;
        EXPECT_TRUE(output.all_bits() == bits) << "other bits in parts";
        if (HasFailure()) return;
    }
    // What streams takes no more than two windows over a pixel.
    EXPECT_GT(executed, problems.size() / (few ? 18 : 1) * (streams ? 5 : 9) / 10) << "few of these problems were computed";
}

std::vector<KernelUnderTest> gradient_lines() {
    std::vector<KernelUnderTest> chosen;
    for (const std::string dtype : {"f32", "f16", "bf16"})
        for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU, dtype, "avg_pool2d_backward"))
            if (kernel.window == "lines") chosen.push_back(kernel);
    return chosen;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GradientLines);
INSTANTIATE_TEST_SUITE_P(Cpu, GradientLines, ::testing::ValuesIn(gradient_lines()),
                         [](const auto &parameter) { return test_name(parameter.param); });

std::vector<KernelUnderTest> planar_kernels_of_floats() {
    std::vector<KernelUnderTest> chosen;
    for (const std::string dtype : {"f32", "f64"})
        for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU, dtype))
            if (kernel.layout == "nchw") chosen.push_back(kernel);
    return chosen;
}

INSTANTIATE_TEST_SUITE_P(Cpu, SpreadGradients, ::testing::ValuesIn(planar_kernels_of_floats()),
                         [](const auto &parameter) { return test_name(parameter.param); });

INSTANTIATE_TEST_SUITE_P(Cpu, RandomProblems, ::testing::ValuesIn(slices_of(HALPOOL_DEVICE_CPU, 2500, 3)));
INSTANTIATE_TEST_SUITE_P(CpuDtypes, RandomProblems, ::testing::ValuesIn(slices_of_other_dtypes(HALPOOL_DEVICE_CPU, 300)));
INSTANTIATE_TEST_SUITE_P(CpuBackward, RandomProblems, ::testing::ValuesIn(slices_backward(HALPOOL_DEVICE_CPU, 200)));
INSTANTIATE_TEST_SUITE_P(Cuda, RandomProblems, ::testing::ValuesIn(slices_of(HALPOOL_DEVICE_CUDA, 600, 2)));
INSTANTIATE_TEST_SUITE_P(Vulkan, RandomProblems, ::testing::ValuesIn(slices_of(HALPOOL_DEVICE_VULKAN, 600, 2)));
INSTANTIATE_TEST_SUITE_P(CudaDtypes, RandomProblems, ::testing::ValuesIn(slices_of_other_dtypes(HALPOOL_DEVICE_CUDA, 150)));
INSTANTIATE_TEST_SUITE_P(VulkanDtypes, RandomProblems, ::testing::ValuesIn(slices_of_other_dtypes(HALPOOL_DEVICE_VULKAN, 150)));
INSTANTIATE_TEST_SUITE_P(CudaBackward, RandomProblems, ::testing::ValuesIn(slices_backward(HALPOOL_DEVICE_CUDA, 150)));
INSTANTIATE_TEST_SUITE_P(VulkanBackward, RandomProblems, ::testing::ValuesIn(slices_backward(HALPOOL_DEVICE_VULKAN, 150)));

}  // namespace
}  // namespace halpool_test
