// The kernels of the library that is linked, each to be forced in turn, and which of them this machine can run.
#ifndef HALPOOL_TESTS_KERNELS_UNDER_TEST_HPP
#define HALPOOL_TESTS_KERNELS_UNDER_TEST_HPP

#include "strided_layout.hpp"

#include <cctype>
#include <memory>
#include <string>
#include <vector>

namespace halpool_test {

struct KernelUnderTest {
    std::string name, target, layout, window;
    bool available = false;
    std::string target_reason;
};

inline std::vector<KernelUnderTest> kernels_under_test() {
    std::vector<KernelUnderTest> kernels;
    for (std::size_t k = 0; k < halpool_kernel_count(); ++k) {
        const halpool_kernel_info info = halpool_kernel_at(k);
        KernelUnderTest kernel{info.name,   info.target, info.layout,
                               info.window, false,       "its target is not listed"};
        for (std::size_t t = 0; t < halpool_target_count(); ++t) {
            const halpool_target_info target = halpool_target_at(t);
            if (kernel.target != target.name) continue;
            kernel.available = target.available != 0;
            kernel.target_reason = target.reason;
        }
        kernels.push_back(kernel);
    }
    return kernels;
}

// For gtest's parameter names, which take letters, digits and underscores alone.
inline std::string test_name(const KernelUnderTest &kernel) {
    std::string name = kernel.name;
    for (char &c : name)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    return name;
}
inline std::ostream &operator<<(std::ostream &out, const KernelUnderTest &kernel) { return out << kernel.name; }

struct DestroyPlan {
    void operator()(halpool_plan *plan) const noexcept { halpool_plan_destroy(plan); }
};
using PlanPtr = std::unique_ptr<halpool_plan, DestroyPlan>;

struct PlanAttempt {
    halpool_status status = HALPOOL_OK;
    PlanPtr plan;
    halpool_error error = {};
};

inline PlanAttempt make_plan(const Problem &problem, const StridedLayout &input, const StridedLayout &output,
                             const char *kernel = nullptr, const char *target = nullptr) {
    const halpool_avg_pool2d_options options = problem.c_options();
    const halpool_tensor_desc in = input.desc(), out = output.desc();
    halpool_plan_options plan_options = HALPOOL_PLAN_OPTIONS_INIT;
    plan_options.kernel = kernel;
    plan_options.target = target;
    PlanAttempt attempt;
    halpool_plan *plan = nullptr;
    attempt.status = halpool_plan_create_avg_pool2d(&options, &in, &out, &plan_options, &plan, &attempt.error);
    attempt.plan.reset(plan);
    return attempt;
}

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_KERNELS_UNDER_TEST_HPP
