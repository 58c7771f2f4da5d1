// Plans: which kernel, why, forcing one by argument and by environment, empty batches, views.
#include "aligned_floats.hpp"
#include "canary_output.hpp"
#include "environment.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <numeric>

namespace halpool_test {
namespace {

class Plan : public ::testing::Test {
protected:
    void SetUp() override {
        unsetenv("HALPOOL_KERNEL");
        unsetenv("HALPOOL_TARGET");
        unsetenv("HALPOOL_STREAMING_BYTES");
    }
    const Problem problem_{{1, 16, 8, 8}, {2}};
    const StridedLayout input_ = planar({1, 16, 8, 8}), output_ = planar({1, 16, 4, 4});

    PlanAttempt attempt(const char *kernel = nullptr, const char *target = nullptr) const {
        return make_plan(problem_, input_, output_, kernel, target);
    }
};

// ---- Choice and reasons -------------------------------------------------------------------------------------

TEST_F(Plan, ListsEveryKernelOfTheOperatorAndTheDtypeOnceInTheRegistrysOrderWithAReasonAndOneChosen) {
    const PlanAttempt made = attempt();
    ASSERT_EQ(made.status, HALPOOL_OK);
    const std::vector<KernelUnderTest> kernels = kernels_under_test();
    ASSERT_EQ(halpool_plan_candidate_count(made.plan.get()), kernels.size());
    int chosen = 0;
    for (std::size_t i = 0; i < kernels.size(); ++i) {
        const halpool_candidate candidate = halpool_plan_candidate_at(made.plan.get(), i);
        EXPECT_EQ(candidate.kernel, kernels[i].name);
        EXPECT_EQ(candidate.target, kernels[i].target);
        ASSERT_NE(candidate.reason, nullptr);
        EXPECT_STRNE(candidate.reason, "") << candidate.kernel;
        if (!candidate.chosen) continue;
        ++chosen;
        EXPECT_STREQ(candidate.kernel, halpool_plan_kernel(made.plan.get()));
        EXPECT_STREQ(candidate.target, halpool_plan_target(made.plan.get()));
    }
    EXPECT_EQ(chosen, 1);
    const halpool_candidate none = halpool_plan_candidate_at(made.plan.get(), kernels.size());
    EXPECT_EQ(none.kernel, nullptr);
    EXPECT_EQ(none.reason, nullptr);
    EXPECT_EQ(none.chosen, 0);
}

TEST_F(Plan, DescribesTheProblemTheChosenKernelAndThoseBeforeIt) {
    for (const KernelUnderTest &kernel : kernels_under_test()) {
        const PlanAttempt made = make_plan(problem_, input_, output_, kernel);
        if (made.status != HALPOOL_OK) continue;
        const std::string text = halpool_plan_describe(made.plan.get());
        EXPECT_NE(text.find("16"), std::string::npos) << text;
        EXPECT_NE(text.find(kernel.name), std::string::npos) << text;
        for (std::size_t i = 0;; ++i) {
            const halpool_candidate candidate = halpool_plan_candidate_at(made.plan.get(), i);
            ASSERT_NE(candidate.kernel, nullptr);
            if (candidate.chosen) break;
            EXPECT_NE(text.find(candidate.kernel), std::string::npos) << text;
            EXPECT_NE(text.find(candidate.reason), std::string::npos) << text;
        }
    }
}

TEST_F(Plan, ChoosesTheFixedAndGlobalKernelsForTheWindowsTheyAreFor) {
    const struct {
        Problem problem;
        const char *window;
    } cases[] = {{{{1, 64, 56, 56}, {2}}, "2x2s2"},
                 {{{1, 64, 56, 56}, {3}, {1}, {1}}, "3x3s1"},
                 {{{1, 64, 56, 56}, {3}, {2}, {1}}, "3x3s2"},
                 {{{1, 16, 90, 80}, {31}, {1}, {15}}, "large"},
                 {{{1, 8, 90, 80}, {70}, {10}, {35}}, "generic"},
                 {{{1, 64, 7, 7}, {7}}, "global"}};
    bool any_built_in_runs = false;
    for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU))
        any_built_in_runs = any_built_in_runs || (kernel.available && !kernel.is_reference());
    if (!any_built_in_runs) GTEST_SKIP() << "no target of this build but the portable one runs on this host";
    for (const auto &c : cases)
        for (const bool last : {false, true}) {
            SCOPED_TRACE(::testing::Message() << c.problem << (last ? " channels-last" : " planar"));
            const Ints shape = output_shape(c.problem);
            const PlanAttempt made =
                make_plan(c.problem, last ? channels_last(c.problem.input_shape) : planar(c.problem.input_shape),
                          last ? channels_last(shape) : planar(shape));
            ASSERT_EQ(made.status, HALPOOL_OK);
            for (const KernelUnderTest &kernel : kernels_under_test())
                if (kernel.name == halpool_plan_kernel(made.plan.get())) {
                    EXPECT_EQ(kernel.window, c.window);
                    EXPECT_EQ(kernel.layout, last ? "nhwc" : "nchw");
                }
        }
}

// ---- Forcing ------------------------------------------------------------------------------------------------

TEST_F(Plan, ForcedByNameRunsThatKernelOrSaysWhyNot) {
    for (const KernelUnderTest &kernel : kernels_under_test()) {
        const PlanAttempt made = make_plan(problem_, input_, output_, kernel);
        if (made.status == HALPOOL_OK) {
            EXPECT_TRUE(kernel.available);
            EXPECT_EQ(halpool_plan_kernel(made.plan.get()), kernel.name);
            EXPECT_EQ(halpool_plan_device(made.plan.get()), kernel.device);
        } else {
            EXPECT_EQ(made.status, HALPOOL_ERROR_UNSUPPORTED);
            EXPECT_STRNE(made.error.message, "");
            EXPECT_EQ(made.plan, nullptr);
        }
    }
}

TEST_F(Plan, ForcedToATargetTakesOneOfItsKernels) {
    for (std::size_t i = 0; i < halpool_target_count(); ++i) {
        const halpool_target_info target = halpool_target_at(i);
        const PlanAttempt made = make_plan(problem_, input_, output_, nullptr, target.name, target.device);
        EXPECT_EQ(made.status, target.available ? HALPOOL_OK : HALPOOL_ERROR_UNSUPPORTED) << made.error.message;
        const std::string said = made.plan ? halpool_plan_target(made.plan.get()) : made.error.message;
        // Of a device that is not there, its reason is said, as the target's own.
        const bool on_cpu = target.device == HALPOOL_DEVICE_CPU;
        EXPECT_NE(said.find(made.plan || on_cpu ? target.name : target.reason), std::string::npos) << said;
    }
}

TEST_F(Plan, ForcedToAnUnknownNameSaysSo) {
    for (const bool kernel : {true, false}) {
        const PlanAttempt made = attempt(kernel ? "no_such_name" : nullptr, kernel ? nullptr : "no_such_name");
        EXPECT_EQ(made.status, HALPOOL_ERROR_UNSUPPORTED);
        EXPECT_NE(std::string(made.error.message).find("no_such_name"), std::string::npos) << made.error.message;
    }
}

TEST_F(Plan, ForcedToAKernelOfAnotherTargetIsRefused) {
    const std::vector<KernelUnderTest> kernels = kernels_of_device(HALPOOL_DEVICE_CPU);
    const std::string reference = kernels.back().name, portable = kernels.back().target;
    EXPECT_EQ(attempt(reference.c_str(), portable.c_str()).status, HALPOOL_OK);
    for (const KernelUnderTest &kernel : kernels) {
        if (kernel.target == portable) continue;
        EXPECT_EQ(attempt(kernel.name.c_str(), portable.c_str()).status, HALPOOL_ERROR_UNSUPPORTED) << kernel;
        EXPECT_EQ(attempt(reference.c_str(), kernel.target.c_str()).status, HALPOOL_ERROR_UNSUPPORTED) << kernel;
    }
}

TEST_F(Plan, AnInvalidProblemIsRefusedBeforeAnUnknownKernel) {
    const Problem invalid{{1, 16, 8, 8}, {2}, {0}};
    const PlanAttempt made = make_plan(invalid, input_, output_, "no_such_name");
    EXPECT_EQ(made.status, HALPOOL_ERROR_INVALID_ARGUMENT);
    EXPECT_STREQ(made.error.message, "stride should not be zero");
}

TEST_F(Plan, ForcedToATargetOrKernelOfAnotherDeviceSaysWhichMemoryThatOneWorksOn) {
    int refused = 0;
    for (const KernelUnderTest &kernel : kernels_under_test()) {
        for (std::size_t d = 0; d < halpool_device_count(); ++d) {
            const halpool_device_info device = halpool_device_at(d);
            const std::string own = device_name(kernel.device);
            if (device.device == kernel.device || !device.available) continue;
            for (const bool by_kernel : {true, false}) {
                const PlanAttempt made =
                    make_plan(problem_, input_, output_, by_kernel ? kernel.name.c_str() : nullptr,
                              by_kernel ? nullptr : kernel.target.c_str(), device.device);
                SCOPED_TRACE(made.error.message);
                EXPECT_EQ(made.status, HALPOOL_ERROR_UNSUPPORTED);
                EXPECT_EQ(made.plan, nullptr);
                const std::string said = made.error.message;
                EXPECT_NE(said.find(by_kernel ? kernel.name : kernel.target), std::string::npos);
                EXPECT_NE(said.find("works on " + own + " memory"), std::string::npos);
                EXPECT_NE(said.find(std::string("the tensors' is ") + device.name), std::string::npos);
                ++refused;
            }
        }
    }
    if (refused == 0) GTEST_SKIP() << "this program links no kernels for a device beside the CPU";
}

TEST_F(Plan, TheEnvironmentForcesTheKernelAndTheTarget) {
    for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU)) {
        const bool forced_ok = attempt(kernel.name.c_str()).status == HALPOOL_OK;
        {
            const Environment environment("HALPOOL_KERNEL", kernel.name.c_str());
            const PlanAttempt made = attempt();
            ASSERT_EQ(made.status, forced_ok ? HALPOOL_OK : HALPOOL_ERROR_UNSUPPORTED) << made.error.message;
            EXPECT_EQ(halpool_plan_kernel(made.plan.get()), made.plan ? kernel.name : "");
        }
        const Environment environment("HALPOOL_TARGET", kernel.target.c_str());
        const PlanAttempt made = attempt();
        ASSERT_EQ(made.status, kernel.available ? HALPOOL_OK : HALPOOL_ERROR_UNSUPPORTED) << made.error.message;
        EXPECT_EQ(halpool_plan_target(made.plan.get()), made.plan ? kernel.target : "");
    }
}

TEST_F(Plan, TheEnvironmentForcesTheSimpleCallToo) {
    const Environment environment("HALPOOL_KERNEL", "no_such_name");
    const halpool_avg_pool2d_options options = problem_.c_options();
    const halpool_tensor_desc in = input_.desc(), out = output_.desc();
    const std::vector<float> input(input_.count());
    CanaryOutput output(output_);
    halpool_error error;
    EXPECT_EQ(halpool_avg_pool2d(&options, &in, input.data(), &out, output.data(), &error),
              HALPOOL_ERROR_UNSUPPORTED);
    EXPECT_NE(std::string(error.message).find("no_such_name"), std::string::npos);
    EXPECT_TRUE(output.untouched());
}

TEST_F(Plan, TheArgumentComesBeforeTheEnvironment) {
    const Environment environment("HALPOOL_KERNEL", "no_such_name");
    const std::string reference = kernels_under_test().back().name;
    const PlanAttempt made = attempt(reference.c_str());
    ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
    EXPECT_EQ(halpool_plan_kernel(made.plan.get()), reference);
}

TEST_F(Plan, AnEmptyEnvironmentForcesNothing) {
    const std::string automatic = halpool_plan_kernel(attempt().plan.get());
    const Environment kernel("HALPOOL_KERNEL", ""), target("HALPOOL_TARGET", "");
    const PlanAttempt made = attempt();
    ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
    EXPECT_EQ(halpool_plan_kernel(made.plan.get()), automatic);
}

// ---- Kernels that write past the caches --------------------------------------------------------------------

class StreamingPlan : public Plan {
protected:
    static constexpr std::int64_t kBytes = (16 * 64 * 64 + 16 * 32 * 32) * sizeof(float);
    const Problem large_{{1, 16, 64, 64}, {2}};
    const StridedLayout in_ = planar({1, 16, 64, 64}), out_ = planar({1, 16, 32, 32});

    static bool streams(const std::string &kernel) { return kernel.find("-streaming") != std::string::npos; }
    PlanAttempt plan(const char *bytes, const char *kernel = nullptr) const {
        const Environment environment("HALPOOL_STREAMING_BYTES", bytes);
        return make_plan(large_, in_, out_, kernel);
    }
    // The kernel that is chosen for a call of any size; empty: this host has none.
    std::string streaming_kernel() const {
        const PlanAttempt made = plan("0");
        EXPECT_EQ(made.status, HALPOOL_OK) << made.error.message;
        const std::string kernel = made.plan ? halpool_plan_kernel(made.plan.get()) : "";
        return streams(kernel) ? kernel : "";
    }
};

TEST_F(StreamingPlan, AreForCallsThatMoveAsManyBytesAsTheEnvironmentSays) {
    if (streaming_kernel().empty()) GTEST_SKIP() << "this host has no kernel that writes past the caches";
    EXPECT_TRUE(streams(halpool_plan_kernel(plan(std::to_string(kBytes).c_str()).plan.get())));
    const PlanAttempt smaller = plan(std::to_string(kBytes + 1).c_str());
    EXPECT_FALSE(streams(halpool_plan_kernel(smaller.plan.get())));
    EXPECT_NE(std::string(halpool_plan_describe(smaller.plan.get())).find(std::to_string(kBytes)), std::string::npos)
        << "the reason names the size";
}

TEST_F(StreamingPlan, AreNotForSmallCallsUnlessAskedFor) {
    EXPECT_FALSE(streams(halpool_plan_kernel(make_plan(large_, in_, out_).plan.get())));
    EXPECT_FALSE(streams(halpool_plan_kernel(plan("").plan.get())));
}

TEST_F(StreamingPlan, RefuseWhatIsNoNumberOfBytes) {
    for (const char *wrong : {"much", "-1", "1e6", "12 ", "9223372036854775808"}) {
        const PlanAttempt made = plan(wrong);
        EXPECT_EQ(made.status, HALPOOL_ERROR_INVALID_ARGUMENT) << wrong;
        EXPECT_NE(std::string(made.error.message).find("HALPOOL_STREAMING_BYTES"), std::string::npos) << made.error.message;
    }
}

TEST_F(StreamingPlan, TakeAnOutputAtAnyAddressAndGiveTheSameBits) {
    const std::string kernel = streaming_kernel();
    if (kernel.empty()) GTEST_SKIP() << "this host has no kernel that writes past the caches";
    std::vector<float> input(in_.count());
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(i * 7919 % 2003) / 64 - 15;
    const std::size_t count = out_.count();
    const PlanAttempt chosen = plan("0"), forced = plan("0", kernel.c_str());
    halpool_execution two = HALPOOL_EXECUTION_INIT;
    two.threads = 2;
    halpool_error error;
    AlignedFloats aligned(count), memory(count + 32, -1.0f);
    ASSERT_EQ(halpool_plan_execute(forced.plan.get(), input.data(), aligned.data(), nullptr, &error), HALPOOL_OK) << error.message;
    for (const std::size_t offset : {1, 4, 8, 15}) {
        for (halpool_execution *execution : {static_cast<halpool_execution *>(nullptr), &two}) {
            std::fill(memory.begin(), memory.end(), -1.0f);
            ASSERT_EQ(halpool_plan_execute(chosen.plan.get(), input.data(), &memory[offset], execution, &error), HALPOOL_OK)
                << error.message;
            EXPECT_EQ(std::memcmp(&memory[offset], aligned.data(), count * sizeof(float)), 0) << offset;
            EXPECT_EQ(memory[offset - 1], -1.0f);
            EXPECT_EQ(memory[offset + count], -1.0f);
        }
        EXPECT_EQ(halpool_plan_execute(forced.plan.get(), input.data(), &memory[offset], nullptr, &error),
                  HALPOOL_ERROR_INVALID_ARGUMENT);
        EXPECT_NE(std::string(error.message).find("not aligned to"), std::string::npos) << error.message;
        EXPECT_NE(std::string(error.message).find(kernel), std::string::npos) << error.message;
        EXPECT_EQ(halpool_plan_execute_part(forced.plan.get(), input.data(), &memory[offset], 0, 2, &error),
                  HALPOOL_ERROR_INVALID_ARGUMENT);
    }
}

TEST_F(StreamingPlan, OfGradientsTakeAnOutputAtAnyAddressAndGiveTheSameBits) {
    int executed = 0;
    for (const KernelUnderTest &kernel : kernels_under_test("f32", "avg_pool2d_backward")) {
        if (!streams(kernel.name) || !kernel.available) continue;
        SCOPED_TRACE(kernel.name);
        const Environment always("HALPOOL_STREAMING_BYTES", "0");
        for (const Problem &problem : {Problem{{2, 16, 12, 48}, {2}}, Problem{{2, 16, 12, 48}, {3}, {2}, {1}, false, false}}) {
            const bool last = kernel.layout == "nhwc";
            const auto layout = [&](const Ints &shape) { return last ? channels_last(shape) : planar(shape); };
            const StridedLayout gradient = layout(output_shape(problem)), output = layout(problem.input_shape);
            const auto made = [&](const char *name) {
                return make_plan(problem, gradient, output, name, kernel.target.c_str(), HALPOOL_DEVICE_CPU, HALPOOL_FLOAT32, Pass::backward);
            };
            const PlanAttempt forced = made(kernel.name.c_str()), chosen = made(nullptr);
            if (forced.status == HALPOOL_ERROR_UNSUPPORTED) continue;  // of another window
            ASSERT_EQ(forced.status, HALPOOL_OK) << forced.error.message;
            ASSERT_EQ(halpool_plan_kernel(chosen.plan.get()), kernel.name);
            std::vector<float> values(gradient.count());
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7919 % 2003) / 64 - 15;
            const std::size_t count = output.count();
            halpool_error error;
            AlignedFloats aligned(count), memory(count + 32, -1.0f);
            ASSERT_EQ(halpool_plan_execute(forced.plan.get(), values.data(), aligned.data(), nullptr, &error), HALPOOL_OK) << error.message;
            for (const std::size_t offset : {1, 8}) {
                std::fill(memory.begin(), memory.end(), -1.0f);
                ASSERT_EQ(halpool_plan_execute(chosen.plan.get(), values.data(), &memory[offset], nullptr, &error), HALPOOL_OK) << error.message;
                EXPECT_EQ(std::memcmp(&memory[offset], aligned.data(), count * sizeof(float)), 0) << offset;
                EXPECT_EQ(memory[offset - 1], -1.0f);
                EXPECT_EQ(memory[offset + count], -1.0f);
                EXPECT_EQ(halpool_plan_execute(forced.plan.get(), values.data(), &memory[offset], nullptr, &error), HALPOOL_ERROR_INVALID_ARGUMENT);
            }
            ++executed;
        }
    }
    if (executed == 0) GTEST_SKIP() << "this host has no kernel of gradients that writes past the caches";
}

// ---- Problems -----------------------------------------------------------------------------------------------

TEST_F(Plan, AnEmptyBatchWorksOnEveryWayToExecuteEvenWithoutData) {
    const Problem empty{{0, 3, 8, 8}, {2}};
    for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU)) {
        const PlanAttempt made = make_plan(empty, planar({0, 3, 8, 8}), planar({0, 3, 4, 4}), kernel.name.c_str());
        if (made.status == HALPOOL_ERROR_UNSUPPORTED) continue;
        ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
        float in = 1, out = 42;
        halpool_execution threads = HALPOOL_EXECUTION_INIT;
        threads.threads = 3;
        EXPECT_EQ(halpool_plan_execute(made.plan.get(), &in, &out, nullptr, nullptr), HALPOOL_OK);
        EXPECT_EQ(halpool_plan_execute(made.plan.get(), &in, &out, &threads, nullptr), HALPOOL_OK);
        EXPECT_EQ(halpool_plan_execute(made.plan.get(), nullptr, nullptr, nullptr, nullptr), HALPOOL_OK);
        EXPECT_EQ(halpool_plan_execute_part(made.plan.get(), &in, &out, 1, 2, nullptr), HALPOOL_OK);
        EXPECT_EQ(out, 42);
    }
}

TEST_F(Plan, TheKnownAnswerOfTheDefinition) {
    const Problem problem{{1, 1, 4, 4}, {3}, {2}, {1}, true};
    const std::vector<float> want = {14.0f / 9, 10.0f / 3, 2, 19.0f / 3, 11, 6, 4.5f, 7.5f, 4};
    std::vector<float> input(16);
    std::iota(input.begin(), input.end(), 1.0f);
    for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU)) {
        const PlanAttempt made =
            make_plan(problem, planar({1, 1, 4, 4}), planar({1, 1, 3, 3}), kernel.name.c_str());
        if (made.status == HALPOOL_ERROR_UNSUPPORTED) continue;
        std::vector<float> got(9);
        ASSERT_EQ(halpool_plan_execute(made.plan.get(), input.data(), got.data(), nullptr, nullptr), HALPOOL_OK);
        for (std::size_t i = 0; i < want.size(); ++i)
            EXPECT_FLOAT_EQ(got[i], want[i]) << kernel << ", element " << i;
    }
}

TEST_F(Plan, ARankThreeTensorIsABatchOfOne) {
    const Problem three{{5, 9, 11}, {3}, {2}, {1}}, four{{1, 5, 9, 11}, {3}, {2}, {1}};
    std::vector<float> input(5 * 9 * 11), out3(5 * 5 * 6), out4(5 * 5 * 6);
    std::iota(input.begin(), input.end(), 0.0f);
    for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU))
        for (const bool last : {false, true}) {
            const auto layout = [&](const Ints &shape) { return last ? channels_last(shape) : planar(shape); };
            const PlanAttempt a =
                make_plan(three, layout({5, 9, 11}), layout({5, 5, 6}), kernel.name.c_str());
            const PlanAttempt b =
                make_plan(four, layout({1, 5, 9, 11}), layout({1, 5, 5, 6}), kernel.name.c_str());
            ASSERT_EQ(a.status, b.status) << kernel;
            if (a.status != HALPOOL_OK) continue;
            ASSERT_EQ(halpool_plan_execute(a.plan.get(), input.data(), out3.data(), nullptr, nullptr), HALPOOL_OK);
            ASSERT_EQ(halpool_plan_execute(b.plan.get(), input.data(), out4.data(), nullptr, nullptr), HALPOOL_OK);
            EXPECT_EQ(out3, out4) << kernel;
        }
}

TEST_F(Plan, APlanOutlivesWhatItWasMadeFrom) {
    PlanPtr plan;
    {
        auto problem = std::make_unique<Problem>(problem_);
        auto input = std::make_unique<StridedLayout>(input_), output = std::make_unique<StridedLayout>(output_);
        auto kernel = std::make_unique<std::string>(kernels_under_test().back().name);
        plan = make_plan(*problem, *input, *output, kernel->c_str()).plan;
        std::fill(input->shape.begin(), input->shape.end(), -1);
        std::fill(problem->kernel_size.begin(), problem->kernel_size.end(), -1);
        std::fill(kernel->begin(), kernel->end(), '?');
    }
    ASSERT_NE(plan, nullptr);
    EXPECT_EQ(halpool_plan_kernel(plan.get()), kernels_under_test().back().name);
    EXPECT_NE(std::string(halpool_plan_describe(plan.get())).find(kernels_under_test().back().name),
              std::string::npos);
    const std::vector<float> input(input_.count(), 2.0f);
    std::vector<float> output(output_.count());
    ASSERT_EQ(halpool_plan_execute(plan.get(), input.data(), output.data(), nullptr, nullptr), HALPOOL_OK);
    for (const float value : output) EXPECT_EQ(value, 2.0f);
}

}  // namespace
}  // namespace halpool_test
