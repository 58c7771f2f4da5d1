// Thousands of random problems, on every kernel that takes them, against the oracle in f64.
//   HALPOOL_PROPERTY_CASES  how many (4000; 600 on devices beside the CPU)
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
    std::int64_t default_cases;
    int number, slices;
};

std::ostream &operator<<(std::ostream &out, const Slice &slice) {
    return out << device_name(slice.device) << ", slice " << slice.number << " of " << slice.slices;
}

std::vector<Slice> slices_of(std::int32_t device, std::int64_t default_cases, int slices) {
    std::vector<Slice> all;
    for (int i = 0; i < slices; ++i) all.push_back({device, default_cases, i, slices});
    return all;
}

std::int64_t from_environment(const char *variable, std::int64_t otherwise) {
    const char *const value = std::getenv(variable);
    return value == nullptr || *value == '\0' ? otherwise : std::strtoll(value, nullptr, 10);
}

void expect_exact(const std::vector<Exact> &exact, const CanaryOutput &got) {
    EXPECT_EQ(got.damage(), "");
    ASSERT_EQ(exact.size(), got.layout().count());
    for (std::size_t i = 0; i < exact.size(); ++i) {
        if (keeps_contract(got.value(i), exact[i])) continue;
        ADD_FAILURE() << "element " << i << ": got " << got.value(i) << ", exact " << exact[i].value
                      << ", allowed error " << allowed_error(exact[i]) << ", taps " << exact[i].taps;
        return;
    }
}

class RandomProblems : public ::testing::TestWithParam<Slice> {};

TEST_P(RandomProblems, KeepTheAccuracyContractOnEveryKernelThatTakesThem) {
    const auto seed = static_cast<std::uint64_t>(from_environment("HALPOOL_PROPERTY_SEED", 20261123));
    const Slice slice = GetParam();
    const bool on_cpu = slice.device == HALPOOL_DEVICE_CPU;
    const std::int64_t count = from_environment("HALPOOL_PROPERTY_CASES", slice.default_cases);
    const std::int64_t only = from_environment("HALPOOL_PROPERTY_CASE", -1);
    std::vector<KernelUnderTest> kernels;
    std::string unavailable;
    for (const KernelUnderTest &kernel : kernels_of_device(slice.device)) {
        if (kernel.available) kernels.push_back(kernel);
        else unavailable = kernel.target + ": " + kernel.target_reason;
    }
    if (kernels.empty()) GTEST_SKIP() << unavailable;
    std::map<std::string, int> executed;
    GuardedExecution execution;
    GuardedMemory memory;

    for (std::int64_t number = 0; number < count || number <= only; ++number) {
        if (only >= 0 ? number != only : number % slice.slices != slice.number) continue;
        const RandomCase c = random_case(seed, number, !on_cpu);
        const Ints shape = output_shape(c.problem);
        SCOPED_TRACE(::testing::Message()
                     << "HALPOOL_PROPERTY_SEED=" << seed << " HALPOOL_PROPERTY_CASE=" << number << ": "
                     << c.problem << " input strides " << ::testing::PrintToString(c.input.strides)
                     << " output strides " << ::testing::PrintToString(c.output.strides));
        {
            const halpool_avg_pool2d_options options = c.problem.c_options();
            const halpool_tensor_desc in = c.input.desc();
            Ints said(4);
            halpool_error error;
            ASSERT_EQ(halpool_avg_pool2d_output_shape(&options, &in, said.data(), &error), HALPOOL_OK)
                << error.message;
            said.resize(shape.size());
            ASSERT_EQ(said, shape);
        }
        const std::vector<Exact> exact = exact_output(c.problem, c.values);
        const auto fill = [&](float *input) {
            for (std::size_t i = 0; i < c.values.size(); ++i) input[c.input.offset(i)] = c.values[i];
        };
        CanaryOutput output(c.output);
        Random random(seed ^ static_cast<std::uint64_t>(number));
        for (const KernelUnderTest &kernel : kernels) {
            SCOPED_TRACE(kernel.name);
            const PlanAttempt attempt = make_plan(c.problem, c.input, c.output, kernel);
            if (attempt.status == HALPOOL_ERROR_UNSUPPORTED) {
                ASSERT_FALSE(kernel.is_reference()) << "the reference refused: " << attempt.error.message;
                continue;
            }
            ASSERT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
            ASSERT_EQ(halpool_plan_kernel(attempt.plan.get()), kernel.name);
            ++executed[kernel.name];

            const std::size_t flush = static_cast<std::size_t>(random.between(0, 1));
            halpool_error error;
            ASSERT_EQ(execution.run(attempt.plan.get(), c.input, kBothFlushes[flush], fill, output, &error),
                      HALPOOL_OK)
                << error.message;
            expect_exact(exact, output);
            if (HasFailure()) return;
            if (!on_cpu) continue;
            const std::vector<std::uint32_t> whole = output.all_bits();

            // The same bits in parts, from memory that lies flush with the other page.
            const auto parts = static_cast<std::int32_t>(random.between(2, 9));
            float *const input = memory.place(c.input, kBothFlushes[1 - flush]);
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
        EXPECT_TRUE(count < slice.default_cases || executed[kernel.name] > 0)
            << kernel.name << " took no problem at all";
    }
}

INSTANTIATE_TEST_SUITE_P(Cpu, RandomProblems, ::testing::ValuesIn(slices_of(HALPOOL_DEVICE_CPU, 4000, 4)));
INSTANTIATE_TEST_SUITE_P(Cuda, RandomProblems, ::testing::ValuesIn(slices_of(HALPOOL_DEVICE_CUDA, 600, 2)));
INSTANTIATE_TEST_SUITE_P(Vulkan, RandomProblems, ::testing::ValuesIn(slices_of(HALPOOL_DEVICE_VULKAN, 600, 2)));

}  // namespace
}  // namespace halpool_test
