// The selector obeys the CPU it runs on: run natively, and under qemu -cpu with CPUs that lack features.
#include "guarded_memory.hpp"
#include "kernels_under_test.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#if defined(__linux__) && !defined(__x86_64__)
#include <sys/auxv.h>
#endif

namespace halpool_test {
namespace {

// The compiler's own reading of CPUID and XGETBV, or the kernel's of the CPU; not the library's.
bool cpu_can_run(const std::string &target) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool sse41 = __builtin_cpu_supports("sse4.1");
    const bool avx2 = sse41 && __builtin_cpu_supports("avx") && __builtin_cpu_supports("avx2") &&
                      __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    if (target == "x86-64-sse41") return sse41;
    if (target == "x86-64-avx2") return avx2;
    if (target == "x86-64-avx512") return avx512;
#elif defined(__aarch64__)
    const unsigned long hwcap = getauxval(AT_HWCAP);
    if (target == "arm-64-neon") return (hwcap & HWCAP_ASIMD) != 0;
    if (target == "arm-64-neon-fp16") return (hwcap & HWCAP_ASIMD) != 0 && (hwcap & HWCAP_ASIMDHP) != 0;
#elif defined(__riscv)
    if (target == "riscv-64-rvv") {  // its kernels are for vectors of 128 bits
        if ((getauxval(AT_HWCAP) >> ('v' - 'a') & 1) == 0) return false;
        unsigned long bytes = 0;
        __asm__("csrr %0, 0xc22" : "=r"(bytes));  // vlenb
        return bytes == 16;
    }
#elif defined(__wasm__)
    if (target == "wasm-32-simd128") return true;  // an engine without SIMD refuses the whole module
#endif
    if (target == "portable") return true;
    ADD_FAILURE() << "this test does not know what target " << target << " needs of a CPU";
    return false;
}

std::vector<halpool_target_info> cpu_targets() {
    std::vector<halpool_target_info> all;
    for (std::size_t i = 0; i < halpool_target_count(); ++i)
        if (halpool_target_at(i).device == HALPOOL_DEVICE_CPU) all.push_back(halpool_target_at(i));
    return all;
}

std::set<std::string> usable_targets() {
    std::set<std::string> usable;
    for (const halpool_target_info &target : cpu_targets())
        if (target.available) usable.insert(target.name);
    return usable;
}

std::vector<Problem> everyday_problems() {
    return {{{1, 64, 56, 56}, {2}, {2}},
            {{1, 64, 28, 28}, {3}, {1}, {1}},
            {{1, 64, 28, 28}, {3}, {2}, {1}},
            {{1, 64, 7, 7}, {7}},
            {{2, 32, 20, 33}, {5, 4}, {3, 2}, {2, 1}}};
}

TEST(CpuLevel, EveryTargetIsAvailableExactlyWhereTheCpuHasItsFeatures) {
    ASSERT_FALSE(cpu_targets().empty());
    for (const halpool_target_info &target : cpu_targets()) {
        EXPECT_EQ(target.available != 0, cpu_can_run(target.name)) << target.name << ": " << target.reason;
        ASSERT_NE(target.reason, nullptr) << target.name;
        EXPECT_STRNE(target.reason, "") << target.name;
    }
}

// Under qemu the test says which targets the emulated CPU has, so that an emulator that ignores -cpu is found.
TEST(CpuLevel, TheEmulatedCpuIsTheOneThatWasAskedFor) {
    const char *const asked = std::getenv("HALPOOL_TEST_CPU_TARGETS");
    if (asked == nullptr) GTEST_SKIP() << "not emulated: HALPOOL_TEST_CPU_TARGETS is not set";
    const std::string list = " " + std::string(asked) + " ";
    for (const halpool_target_info &target : cpu_targets()) {
        const std::string name = target.name;
        if (name == "portable") continue;
        EXPECT_EQ(list.find(" " + name + " ") != std::string::npos, cpu_can_run(name)) << name;
    }
}

TEST(CpuLevel, TheChosenKernelRunsOnThisCpuAndIsNotTheFallback) {
    const std::set<std::string> usable = usable_targets();
    std::set<std::string> chosen;
    for (const Problem &problem : everyday_problems())
        for (const bool last : {false, true}) {
            const StridedLayout input = last ? channels_last(problem.input_shape) : planar(problem.input_shape);
            const Ints out_shape = [&] {
                const halpool_avg_pool2d_options options = problem.c_options();
                const halpool_tensor_desc in = input.desc();
                Ints shape(4);
                halpool_avg_pool2d_output_shape(&options, &in, shape.data(), nullptr);
                return shape;
            }();
            const StridedLayout output = last ? channels_last(out_shape) : planar(out_shape);
            SCOPED_TRACE(::testing::Message() << problem << (last ? " channels-last" : " planar"));
            const PlanAttempt attempt = make_plan(problem, input, output);
            ASSERT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
            const std::string target = halpool_plan_target(attempt.plan.get());
            EXPECT_TRUE(usable.count(target)) << target << "\n" << halpool_plan_describe(attempt.plan.get());
            chosen.insert(target);

            GuardedMemory memory;
            float *const in = memory.place(input, Flush::with_page_end);
            for (std::size_t i = 0; i < input.count(); ++i) in[input.offset(i)] = 3.0f;
            std::vector<float> out(output.span());
            ASSERT_EQ(halpool_plan_execute(attempt.plan.get(), in, out.data(), nullptr, nullptr), HALPOOL_OK);
            if (!problem.padding.empty()) continue;
            for (const float value : out) ASSERT_EQ(value, 3.0f);
        }
    // With any target of this CPU's usable, everyday problems do not fall back to the portable kernel.
    EXPECT_EQ(chosen.count("portable"), usable.size() == 1 ? 1u : 0u);
}

TEST(CpuLevel, ForcingAKernelTheCpuCannotRunIsRefusedWithTheReason) {
    std::size_t refused = 0;
    for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU)) {
        if (kernel.available) continue;
        for (const Problem &problem : everyday_problems()) {
            const StridedLayout input = planar(problem.input_shape);
            const halpool_avg_pool2d_options options = problem.c_options();
            const halpool_tensor_desc in = input.desc();
            Ints shape(4);
            ASSERT_EQ(halpool_avg_pool2d_output_shape(&options, &in, shape.data(), nullptr), HALPOOL_OK);
            const StridedLayout output = planar(shape);
            const PlanAttempt by_kernel = make_plan(problem, input, output, kernel.name.c_str());
            EXPECT_EQ(by_kernel.status, HALPOOL_ERROR_UNSUPPORTED) << kernel.name;
            EXPECT_STRNE(by_kernel.error.message, "");
            EXPECT_EQ(by_kernel.plan, nullptr);
            const PlanAttempt by_target = make_plan(problem, input, output, nullptr, kernel.target.c_str());
            EXPECT_EQ(by_target.status, HALPOOL_ERROR_UNSUPPORTED) << kernel.target;
            EXPECT_STRNE(by_target.error.message, "");
            ++refused;
        }
    }
    if (refused == 0) GTEST_SKIP() << "this CPU runs every target of the build";
}

TEST(CpuLevel, AnAvailableTargetCanBeForced) {
    for (const std::string &target : usable_targets()) {
        const Problem problem = everyday_problems().front();
        const StridedLayout input = planar(problem.input_shape), output = planar({1, 64, 28, 28});
        const PlanAttempt attempt = make_plan(problem, input, output, nullptr, target.c_str());
        ASSERT_EQ(attempt.status, HALPOOL_OK) << target << ": " << attempt.error.message;
        EXPECT_EQ(halpool_plan_target(attempt.plan.get()), target);
    }
}

}  // namespace
}  // namespace halpool_test
