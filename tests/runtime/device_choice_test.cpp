// Which device a plan gets: named, or by the place of the data.
#include "guarded_execution.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <limits>

namespace halpool_test {
namespace {

class DeviceChoice : public ::testing::Test {
protected:
    void SetUp() override {
        unsetenv("HALPOOL_KERNEL");
        unsetenv("HALPOOL_TARGET");
    }

    const Problem problem_{{1, 16, 8, 8}, {2}};
    const StridedLayout input_ = planar({1, 16, 8, 8}), output_ = planar({1, 16, 4, 4});

    PlanAttempt attempt(const halpool_plan_options &plan_options, const StridedLayout *input = nullptr) const {
        const halpool_avg_pool2d_options options = problem_.c_options();
        const halpool_tensor_desc in = (input ? *input : input_).desc(), out = output_.desc();
        PlanAttempt made;
        halpool_plan *plan = nullptr;
        made.status = halpool_plan_create_avg_pool2d(&options, &in, &out, &plan_options, &plan, &made.error);
        made.plan.reset(plan);
        return made;
    }
    static halpool_plan_options on(std::int32_t device) {
        halpool_plan_options options = HALPOOL_PLAN_OPTIONS_INIT;
        options.device = device;
        return options;
    }
    void expect_device(const halpool_plan_options &options, std::int32_t device) const {
        const PlanAttempt made = attempt(options);
        ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
        EXPECT_EQ(halpool_plan_device(made.plan.get()), device);
    }
    static std::vector<halpool_device_info> devices() {
        std::vector<halpool_device_info> all;
        for (std::size_t i = 0; i < halpool_device_count(); ++i) all.push_back(halpool_device_at(i));
        return all;
    }
    // A view that only the CPU's reference kernel takes.
    static StridedLayout view() {
        StridedLayout layout = planar({1, 16, 8, 8});
        for (std::int64_t &stride : layout.strides) stride *= 2;
        return layout;
    }
};

TEST_F(DeviceChoice, IsTheCpuWithNothingSaid) {
    expect_device(HALPOOL_PLAN_OPTIONS_INIT, HALPOOL_DEVICE_CPU);
    EXPECT_EQ(halpool_plan_device(make_plan(problem_, input_, output_).plan.get()), HALPOOL_DEVICE_CPU);
    const halpool_avg_pool2d_options options = problem_.c_options();
    const halpool_tensor_desc in = input_.desc(), out = output_.desc();
    halpool_plan *plan = nullptr;
    ASSERT_EQ(halpool_plan_create_avg_pool2d(&options, &in, &out, nullptr, &plan, nullptr), HALPOOL_OK);
    EXPECT_EQ(halpool_plan_device(plan), HALPOOL_DEVICE_CPU);
    halpool_plan_destroy(plan);
}

TEST_F(DeviceChoice, IsTheCpuForHostData) {
    const std::vector<float> host(input_.count());
    static float in_static_memory[4];
    float on_the_stack[4];
    for (const void *data : {static_cast<const void *>(host.data()), static_cast<const void *>(in_static_memory),
                             static_cast<const void *>(on_the_stack)}) {
        halpool_plan_options options = on(HALPOOL_DEVICE_AUTO);
        options.data = data;
        expect_device(options, HALPOOL_DEVICE_CPU);
    }
}

TEST_F(DeviceChoice, NeverReadsTheData) {
    halpool_plan_options options = on(HALPOOL_DEVICE_AUTO);
    for (const std::uintptr_t address :
         {std::uintptr_t{1}, std::uintptr_t{4096}, ~std::uintptr_t{0}, ~std::uintptr_t{0} / 2}) {
        options.data = reinterpret_cast<const void *>(address);
        expect_device(options, HALPOOL_DEVICE_CPU);
    }
}

TEST_F(DeviceChoice, IsTheNamedDeviceOrTheReasonWhyNot) {
    for (const std::int32_t device : {HALPOOL_DEVICE_CPU, HALPOOL_DEVICE_CUDA, HALPOOL_DEVICE_VULKAN}) {
        const char *reason =
            "HALPOOL_TARGETS";  // names what to build, where the program links nothing for the device
        bool available = false;
        for (const halpool_device_info &info : devices())
            if (info.device == device) reason = info.reason, available = info.available != 0;
        const PlanAttempt made = attempt(on(device));
        if (available) {
            ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
            EXPECT_EQ(halpool_plan_device(made.plan.get()), device);
        } else {
            EXPECT_EQ(made.status, HALPOOL_ERROR_UNSUPPORTED);
            EXPECT_EQ(made.plan, nullptr);
            EXPECT_NE(std::string(made.error.message).find(reason), std::string::npos) << made.error.message;
        }
    }
}

TEST_F(DeviceChoice, OfTheCpuByNameLooksAtNothingElse) {
    halpool_plan_options options = on(HALPOOL_DEVICE_CPU);
    options.result_on_device = 1;
    options.data = this;
    expect_device(options, HALPOOL_DEVICE_CPU);
}

TEST_F(DeviceChoice, OfAnUnknownNumberIsRefused) {
    for (const std::int32_t device : {-1, 4, 99, std::numeric_limits<std::int32_t>::min(),
                                      std::numeric_limits<std::int32_t>::max()}) {
        const PlanAttempt made = attempt(on(device));
        EXPECT_EQ(made.status, HALPOOL_ERROR_INVALID_ARGUMENT);
        EXPECT_EQ(made.plan, nullptr);
        EXPECT_NE(std::string(made.error.message).find(std::to_string(device)), std::string::npos)
            << made.error.message;
    }
}

TEST_F(DeviceChoice, OfAnUnknownNumberIsRefusedAfterAnInvalidProblem) {
    const Problem invalid{{1, 16, 8, 8}, {2}, {0}};
    const PlanAttempt made = make_plan(invalid, input_, output_, nullptr, nullptr, 99);
    EXPECT_EQ(made.status, HALPOOL_ERROR_INVALID_ARGUMENT);
    EXPECT_STREQ(made.error.message, "stride should not be zero");
}

// A field that the caller's header does not have yet is not read.
TEST_F(DeviceChoice, ReadsNoFieldThatTheCallersHeaderDidNotHave) {
    halpool_plan_options options = on(99);
    options.result_on_device = 1;
    options.data = this;
    options.struct_size = offsetof(halpool_plan_options, device);
    expect_device(options, HALPOOL_DEVICE_CPU);
    options.device = HALPOOL_DEVICE_AUTO;
    options.struct_size = offsetof(halpool_plan_options, result_on_device);
    expect_device(options, HALPOOL_DEVICE_CPU);
}

TEST_F(DeviceChoice, IsTheFirstAvailableDeviceWhereTheResultIsWantedOnOne) {
    std::int32_t first = HALPOOL_DEVICE_CPU;
    for (const halpool_device_info &info : devices())
        if (info.device != HALPOOL_DEVICE_CPU && info.available && first == HALPOOL_DEVICE_CPU)
            first = info.device;
    const float on_host = 0;
    for (const void *data : {static_cast<const void *>(nullptr), static_cast<const void *>(&on_host)}) {
        halpool_plan_options options = on(HALPOOL_DEVICE_AUTO);
        options.result_on_device = 1;
        options.data = data;
        expect_device(options, first);
    }
}

TEST_F(DeviceChoice, IsTheCpuWhereNoDeviceHasAKernelForTheProblem) {
    halpool_plan_options options = on(HALPOOL_DEVICE_AUTO);
    options.result_on_device = 1;
    const StridedLayout strided = view();
    const PlanAttempt made = attempt(options, &strided);
    ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
    EXPECT_EQ(halpool_plan_device(made.plan.get()), HALPOOL_DEVICE_CPU);
}

TEST(DeviceOfNoPlan, IsAuto) { EXPECT_EQ(halpool_plan_device(nullptr), HALPOOL_DEVICE_AUTO); }

// ---- On each device that the program links --------------------------------------------------------------------

class OnThisDevice : public DeviceChoice, public ::testing::WithParamInterface<std::int32_t> {
protected:
    void SetUp() override {
        DeviceChoice::SetUp();
        for (const halpool_device_info &info : devices()) {
            if (info.device != GetParam()) continue;
            if (!info.available) GTEST_SKIP() << info.name << ": " << info.reason;
            return;
        }
        GTEST_SKIP() << "this program links nothing for the device";
    }
};

TEST_P(OnThisDevice, APlanRunsAKernelOfTheDevice) {
    const PlanAttempt made = attempt(on(GetParam()));
    ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
    for (const KernelUnderTest &kernel : kernels_under_test())
        if (kernel.name == halpool_plan_kernel(made.plan.get())) {
            EXPECT_EQ(kernel.device, GetParam());
            EXPECT_EQ(kernel.target, halpool_plan_target(made.plan.get()));
        }
    for (std::size_t i = 0; i < halpool_plan_candidate_count(made.plan.get()); ++i) {
        const halpool_candidate candidate = halpool_plan_candidate_at(made.plan.get(), i);
        for (const KernelUnderTest &kernel : kernels_under_test()) {
            if (kernel.name != candidate.kernel || kernel.device == GetParam()) continue;
            EXPECT_NE(std::string(candidate.reason).find("memory"), std::string::npos) << candidate.reason;
        }
    }
}

TEST_P(OnThisDevice, TheDatasPlaceDecides) {
    halpool_memory *made = nullptr;
    halpool_error error;
    ASSERT_EQ(halpool_memory_create(GetParam(), 4096, &made, &error), HALPOOL_OK) << error.message;
    const MemoryPtr memory(made);
    auto *const pointer = static_cast<char *>(halpool_memory_pointer(made));
    if (pointer == nullptr) GTEST_SKIP() << "the device's memory has no pointers";
    for (const std::size_t offset : {0, 4, 4095}) {
        halpool_plan_options options = on(HALPOOL_DEVICE_AUTO);
        options.data = pointer + offset;
        expect_device(options, GetParam());
    }
}

TEST_P(OnThisDevice, AProblemThatNoKernelTakesIsRefusedWithTheReasons) {
    if (GetParam() == HALPOOL_DEVICE_CPU) GTEST_SKIP() << "the reference kernel takes every problem";
    const StridedLayout strided = view();
    const PlanAttempt made = attempt(on(GetParam()), &strided);
    EXPECT_EQ(made.status, HALPOOL_ERROR_UNSUPPORTED);
    EXPECT_EQ(made.plan, nullptr);
    const std::string said = made.error.message;
    EXPECT_NE(said.find(device_name(GetParam())), std::string::npos) << said;
    EXPECT_NE(said.find("memory"), std::string::npos) << said;
}

TEST_P(OnThisDevice, TheSimpleCallWorksWhereItsMemoryHasPointers) {
    halpool_memory *in = nullptr, *out = nullptr;
    halpool_error error;
    ASSERT_EQ(halpool_memory_create(GetParam(), input_.count() * 4, &in, &error), HALPOOL_OK) << error.message;
    ASSERT_EQ(halpool_memory_create(GetParam(), output_.count() * 4, &out, &error), HALPOOL_OK) << error.message;
    const MemoryPtr free_in(in), free_out(out);
    if (halpool_memory_pointer(in) == nullptr) GTEST_SKIP() << "the device's memory has no pointers";
    const std::vector<float> values(input_.count(), 2.5f);
    std::vector<float> got(output_.count());
    ASSERT_EQ(halpool_memory_upload(in, 0, values.data(), values.size() * 4, &error), HALPOOL_OK) << error.message;
    const halpool_avg_pool2d_options options = problem_.c_options();
    const halpool_tensor_desc in_desc = input_.desc(), out_desc = output_.desc();
    ASSERT_EQ(halpool_avg_pool2d(&options, &in_desc, halpool_memory_pointer(in), &out_desc,
                                 halpool_memory_pointer(out), &error),
              HALPOOL_OK)
        << error.message;
    ASSERT_EQ(halpool_memory_download(out, 0, got.data(), got.size() * 4, &error), HALPOOL_OK) << error.message;
    EXPECT_EQ(got, std::vector<float>(output_.count(), 2.5f));
}

INSTANTIATE_TEST_SUITE_P(Cpu, OnThisDevice, ::testing::Values(HALPOOL_DEVICE_CPU));
INSTANTIATE_TEST_SUITE_P(Cuda, OnThisDevice, ::testing::Values(HALPOOL_DEVICE_CUDA));
INSTANTIATE_TEST_SUITE_P(Vulkan, OnThisDevice, ::testing::Values(HALPOOL_DEVICE_VULKAN));

}  // namespace
}  // namespace halpool_test
