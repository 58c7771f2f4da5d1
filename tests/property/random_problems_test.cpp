// Thousands of random problems, on every kernel that takes them, against the oracle in f64.
//   HALPOOL_PROPERTY_CASES  how many (4000)       HALPOOL_PROPERTY_SEED  another series
//   HALPOOL_PROPERTY_CASE   this one alone: the number a failure prints
#include "canary_output.hpp"
#include "guarded_memory.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"
#include "random_problem.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>

namespace halpool_test {
namespace {

constexpr std::int64_t kDefaultCases = 4000;
constexpr int kSlices = 4;  // tests that CTest can run side by side

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

class RandomProblems : public ::testing::TestWithParam<int> {};

TEST_P(RandomProblems, KeepTheAccuracyContractOnEveryKernelThatTakesThem) {
    const auto seed = static_cast<std::uint64_t>(from_environment("HALPOOL_PROPERTY_SEED", 20261123));
    const std::int64_t count = from_environment("HALPOOL_PROPERTY_CASES", kDefaultCases);
    const std::int64_t only = from_environment("HALPOOL_PROPERTY_CASE", -1);
    const std::vector<KernelUnderTest> kernels = kernels_under_test();
    std::map<std::string, int> executed;
    GuardedMemory memory[2];

    for (std::int64_t number = 0; number < count || number <= only; ++number) {
        if (only >= 0 ? number != only : number % kSlices != GetParam()) continue;
        const RandomCase c = random_case(seed, number);
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
        float *inputs[2];
        for (std::size_t f = 0; f < 2; ++f) {
            inputs[f] = memory[f].place(c.input, kBothFlushes[f]);
            for (std::size_t i = 0; i < c.values.size(); ++i) inputs[f][c.input.offset(i)] = c.values[i];
        }
        CanaryOutput output(c.output);
        Random random(seed ^ static_cast<std::uint64_t>(number));
        for (const KernelUnderTest &kernel : kernels) {
            if (!kernel.available) continue;
            SCOPED_TRACE(kernel.name);
            const PlanAttempt attempt = make_plan(c.problem, c.input, c.output, kernel.name.c_str());
            if (attempt.status == HALPOOL_ERROR_UNSUPPORTED) {
                ASSERT_NE(kernel.layout, "any") << "the reference refused: " << attempt.error.message;
                continue;
            }
            ASSERT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
            ASSERT_EQ(halpool_plan_kernel(attempt.plan.get()), kernel.name);
            ++executed[kernel.name];

            const std::size_t flush = static_cast<std::size_t>(random.between(0, 1));
            output.refill();
            halpool_error error;
            ASSERT_EQ(halpool_plan_execute(attempt.plan.get(), inputs[flush], output.data(), nullptr, &error),
                      HALPOOL_OK)
                << error.message;
            expect_exact(exact, output);
            const std::vector<std::uint32_t> whole = output.all_bits();

            // The same bits in parts, from memory that lies flush with the other page.
            const auto parts = static_cast<std::int32_t>(random.between(2, 9));
            output.refill();
            for (std::int32_t part = parts; part-- > 0;)
                ASSERT_EQ(halpool_plan_execute_part(attempt.plan.get(), inputs[1 - flush], output.data(), part,
                                                    parts, &error),
                          HALPOOL_OK)
                    << error.message;
            EXPECT_EQ(output.damage(), "");
            EXPECT_TRUE(output.all_bits() == whole) << "other bits in " << parts << " parts";
            if (HasFailure()) return;
        }
    }
    if (only >= 0) return;
    for (const KernelUnderTest &kernel : kernels) {
        if (!kernel.available) continue;
        std::cout << kernel.name << ": " << executed[kernel.name] << " problems\n";
        EXPECT_TRUE(count < kDefaultCases || executed[kernel.name] > 0)
            << kernel.name << " took no problem at all";
    }
}

INSTANTIATE_TEST_SUITE_P(Slice, RandomProblems, ::testing::Range(0, kSlices));

}  // namespace
}  // namespace halpool_test
