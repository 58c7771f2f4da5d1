// The kernels of the library that is linked, each to be forced in turn, and which of them this machine can run.
#ifndef HALPOOL_TESTS_KERNELS_UNDER_TEST_HPP
#define HALPOOL_TESTS_KERNELS_UNDER_TEST_HPP

#include "strided_layout.hpp"

#include <cctype>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace halpool_test {

struct KernelUnderTest {
    std::string name, target, op, dtype, layout, window;
    std::string demand;  // what the name says of the layout beyond its order: "-c3", "-a16"; or nothing
    std::int32_t device = HALPOOL_DEVICE_AUTO;
    bool available = false;
    std::string target_reason = "its target is not listed";

    bool is_reference() const { return layout == "any"; }
};

// dtype, op: "" for all.
inline std::vector<KernelUnderTest> kernels_under_test(const std::string &dtype = "f32", const std::string &op = "avg_pool2d") {
    std::vector<KernelUnderTest> kernels;
    for (std::size_t k = 0; k < halpool_kernel_count(); ++k) {
        const halpool_kernel_info info = halpool_kernel_at(k);
        if ((!dtype.empty() && dtype != info.dtype) || (!op.empty() && op != info.op)) continue;
        KernelUnderTest kernel;
        kernel.name = info.name;
        kernel.target = info.target;
        kernel.op = info.op;
        kernel.dtype = info.dtype;
        kernel.layout = info.layout;
        kernel.window = info.window;
        const std::string begin = std::string(info.op) + "_" + info.dtype + "_" + info.layout;
        if (kernel.name.rfind(begin, 0) == 0)
            kernel.demand = kernel.name.substr(begin.size(), kernel.name.find('_', begin.size()) - begin.size());
        for (std::size_t t = 0; t < halpool_target_count(); ++t) {
            const halpool_target_info target = halpool_target_at(t);
            if (kernel.target != target.name) continue;
            kernel.device = target.device;
            kernel.available = target.available != 0;
            kernel.target_reason = target.reason;
        }
        kernels.push_back(kernel);
    }
    return kernels;
}

inline const char *device_name(std::int32_t device) {
    for (std::size_t i = 0; i < halpool_device_count(); ++i)
        if (halpool_device_at(i).device == device) return halpool_device_at(i).name;
    return "a device that is not linked";
}

inline std::vector<KernelUnderTest> kernels_of_device(std::int32_t device, const std::string &dtype = "f32", const std::string &op = "avg_pool2d") {
    std::vector<KernelUnderTest> chosen;
    for (const KernelUnderTest &kernel : kernels_under_test(dtype, op))
        if (kernel.device == device) chosen.push_back(kernel);
    return chosen;
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

enum class Pass { forward, backward };  // of which input and output are the gradients of the output and of the input

inline PlanAttempt make_plan(const Problem &problem, const StridedLayout &input, const StridedLayout &output,
                             const char *kernel = nullptr, const char *target = nullptr,
                             std::int32_t device = HALPOOL_DEVICE_AUTO, halpool_dtype dtype = HALPOOL_FLOAT32,
                             Pass pass = Pass::forward, std::optional<halpool_dtype> output_dtype = std::nullopt) {
    const halpool_avg_pool2d_options options = problem.c_options();
    const halpool_tensor_desc in = input.desc(dtype), out = output.desc(output_dtype.value_or(dtype));
    halpool_plan_options plan_options = HALPOOL_PLAN_OPTIONS_INIT;
    plan_options.kernel = kernel;
    plan_options.target = target;
    plan_options.device = device;
    PlanAttempt attempt;
    halpool_plan *plan = nullptr;
    const auto create = pass == Pass::forward ? halpool_plan_create_avg_pool2d : halpool_plan_create_avg_pool2d_backward;
    attempt.status = create(&options, &in, &out, &plan_options, &plan, &attempt.error);
    attempt.plan.reset(plan);
    return attempt;
}

// With this kernel forced, on its own device.
inline PlanAttempt make_plan(const Problem &problem, const StridedLayout &input, const StridedLayout &output,
                             const KernelUnderTest &kernel, halpool_dtype dtype = HALPOOL_FLOAT32,
                             Pass pass = Pass::forward, std::optional<halpool_dtype> output_dtype = std::nullopt) {
    return make_plan(problem, input, output, kernel.name.c_str(), nullptr, kernel.device, dtype, pass, output_dtype);
}

}  // namespace halpool_test

// One instance of the suite a device, whose names CTest's labels go by (tests/CMakeLists.txt). dtype: "" for all.
#define HALPOOL_TEST_KERNELS_OF(instance, suite, device, dtype)                                                      \
    INSTANTIATE_TEST_SUITE_P(instance, suite, ::testing::ValuesIn(kernels_of_device(device, dtype)),                 \
                             [](const auto &parameter) { return test_name(parameter.param); })
#define HALPOOL_TEST_EVERY_KERNEL(suite, dtype)                                                                      \
    HALPOOL_TEST_KERNELS_OF(Cpu, suite, HALPOOL_DEVICE_CPU, dtype);                                                  \
    HALPOOL_TEST_KERNELS_OF(Cuda, suite, HALPOOL_DEVICE_CUDA, dtype);                                                \
    HALPOOL_TEST_KERNELS_OF(Vulkan, suite, HALPOOL_DEVICE_VULKAN, dtype)

#endif  // HALPOOL_TESTS_KERNELS_UNDER_TEST_HPP
