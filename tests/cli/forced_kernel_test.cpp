// Every kernel by name: it runs and gives the reference kernel's result, or the program says why it cannot.
#include "halpool_process.hpp"
#include "kernels_under_test.hpp"
#include "npy_bytes.hpp"
#include "scratch_directory.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <map>
#include <set>

namespace halpool_test {
namespace {

using Arguments = std::vector<std::string>;

const Arguments any_call = {"c32.npy", "--kernel-size", "9", "--stride", "1", "--padding", "4", "--divisor-override", "7"};

// The input, then the options: every kernel takes one of these at least. The inputs have 3 and 32 channels, or a plane for
// which there are kernels.
const std::vector<Arguments> calls = {
    {"c3.npy", "--kernel-size", "2"},
    {"c3.npy", "--kernel-size", "3", "--stride", "1", "--padding", "1"},
    {"c3.npy", "--kernel-size", "3", "--stride", "2", "--padding", "1", "--ceil-mode", "--no-count-include-pad"},
    {"c3.npy", "--kernel-size", "24,64"},
    {"c3.npy", "--kernel-size", "4,3", "--stride", "3,2", "--padding", "2,1", "--ceil-mode"},
    {"c32.npy", "--kernel-size", "2"},
    {"c32.npy", "--kernel-size", "3", "--stride", "1", "--padding", "1"},
    {"c32.npy", "--kernel-size", "3", "--stride", "2", "--padding", "1"},
    {"c32.npy", "--kernel-size", "5", "--stride", "1", "--padding", "2"},
    {"c32.npy", "--kernel-size", "5", "--stride", "2", "--padding", "2"},
    {"c32.npy", "--kernel-size", "5", "--stride", "3", "--padding", "2"},
    {"c32.npy", "--kernel-size", "4", "--stride", "2", "--padding", "1"},
    {"c32.npy", "--kernel-size", "2", "--stride", "1"},
    any_call,
    {"plane7.npy", "--kernel-size", "3", "--stride", "1", "--padding", "1"},
    {"plane14.npy", "--kernel-size", "3", "--stride", "1", "--padding", "1"},
    {"c32.npy", "--kernel-size", "13,12", "--stride", "1", "--padding", "6"},
    {"c3.npy", "--kernel-size", "5,2"},
    {"c3.npy", "--kernel-size", "5,3"},
    {"c3.npy", "--kernel-size", "5,4"},
    {"c3.npy", "--kernel-size", "5,5"},
    {"c3.npy", "--kernel-size", "5,6"},
    {"c3.npy", "--kernel-size", "5,7"},
    {"c3.npy", "--kernel-size", "5,8"},
    {"c3.npy", "--kernel-size", "5,9"},
};

class ForcedKernel : public testing::Test {
protected:
    ForcedKernel() {
        const auto write = [&](const std::string &name, int channels, int height, int width) {
            std::vector<float> values;
            for (int i = 0; i < 2 * channels * height * width; ++i) values.push_back(std::sin(static_cast<float>(i)));
            const std::string shape = "(2, " + std::to_string(channels) + ", " + std::to_string(height) + ", " + std::to_string(width) + ")";
            scratch_.write(name, float_npy(shape, values));
        };
        for (const int channels : {3, 32}) write("c" + std::to_string(channels) + ".npy", channels, 24, 64);
        for (const int plane : {7, 14}) write("plane" + std::to_string(plane) + ".npy", 5, plane, plane);
    }

    ProcessResult pool(const Arguments &call, const std::string &layout, const Arguments &more,
                       const std::map<std::string, std::string> &environment = {}) {
        Arguments arguments{"avg_pool2d", scratch_.path(call.front()), scratch_.path("out.npy"), "--json"};
        arguments.insert(arguments.end(), call.begin() + 1, call.end());
        if (layout != "any") arguments.insert(arguments.end(), {"--layout", layout});
        arguments.insert(arguments.end(), more.begin(), more.end());
        ProcessSettings settings;
        settings.environment = environment;
        return run_halpool(arguments, settings);
    }

    std::string reference() {
        for (std::size_t i = 0; i < halpool_kernel_count(); ++i)
            if (std::string(halpool_kernel_at(i).window) == "any") return halpool_kernel_at(i).name;
        throw std::runtime_error("no kernel takes any window");
    }

    FloatArray reference_result(const Arguments &call) {
        if (!reference_results_.count(call)) {
            EXPECT_TRUE(succeeded(pool(call, "any", {"--kernel", reference()})));
            reference_results_[call] = read_float_npy(scratch_.read("out.npy"));
        }
        return reference_results_[call];
    }

    ScratchDirectory scratch_;
    std::map<Arguments, FloatArray> reference_results_;
};

void expect_near(const FloatArray &array, const FloatArray &expected) {
    EXPECT_EQ(array.shape, expected.shape);
    ASSERT_EQ(array.values.size(), expected.values.size());
    for (std::size_t i = 0; i < array.values.size(); ++i)
        EXPECT_NEAR(array.values[i], expected.values[i], 1e-5) << "element " << i;
}

class EveryKernel : public ForcedKernel, public testing::WithParamInterface<std::int32_t> {};

// No --device: the program takes the kernel's own.
TEST_P(EveryKernel, RunsOrSaysWhyNot) {
    for (const KernelUnderTest &kernel : kernels_of_device(GetParam())) {
        SCOPED_TRACE(kernel.name);
        bool ran = false;
        for (auto call = calls.begin(); call != calls.end() && !ran; ++call) {
            std::filesystem::remove(scratch_.path("out.npy"));
            const ProcessResult result = pool(*call, kernel.layout, {"--kernel", kernel.name});
            ran = result.exit_code == 0;
            if (!ran) {
                EXPECT_TRUE(is_refused(result, kernel.available ? "kernel " + kernel.name + " cannot run"
                                                                : kernel.target_reason));
                EXPECT_FALSE(std::filesystem::exists(scratch_.path("out.npy")));
                continue;
            }
            const nlohmann::json report = nlohmann::json::parse(result.out);
            EXPECT_EQ(report["kernel"], kernel.name);
            EXPECT_EQ(report["target"], kernel.target);
            EXPECT_EQ(report["device"], device_name(kernel.device));
            EXPECT_NE(report["reason"], "");
            const FloatArray array = read_float_npy(scratch_.read("out.npy"));
            expect_near(array, reference_result(*call));
        }
        EXPECT_EQ(ran, kernel.available);
    }
}

TEST_P(EveryKernel, ThatDoesNotTakeTheCallIsRefusedWithTheReason) {
    for (const KernelUnderTest &kernel : kernels_of_device(GetParam())) {
        if (kernel.is_reference()) continue;
        const std::string other = kernel.layout == "nchw" ? "nhwc" : "nchw";
        const ProcessResult result = pool({"c3.npy", "--kernel-size", "5"}, other, {"--kernel", kernel.name});
        EXPECT_TRUE(is_refused(result, kernel.available ? kernel.name : kernel.target_reason));
    }
}

TEST_P(EveryKernel, OfATargetOfTheDeviceRunsOrSaysWhyNot) {
    std::set<std::string> of_float32;
    for (const KernelUnderTest &kernel : kernels_of_device(GetParam())) of_float32.insert(kernel.target);
    for (std::size_t i = 0; i < halpool_target_count(); ++i) {
        const halpool_target_info target = halpool_target_at(i);
        if (target.device != GetParam()) continue;
        for (const bool option : {true, false}) {
            const ProcessResult result =
                option ? pool(any_call, "nchw", {"--target", target.name})
                       : pool(any_call, "nchw", {}, {{"HALPOOL_TARGET", target.name}});
            if (!target.available) {
                EXPECT_TRUE(is_refused(result, target.reason)) << target.name;
                continue;
            }
            if (of_float32.count(target.name) == 0) {
                EXPECT_TRUE(is_refused(result, "elements only")) << target.name;
                continue;
            }
            ASSERT_TRUE(succeeded(result)) << target.name;
            EXPECT_EQ(nlohmann::json::parse(result.out)["target"], target.name);
            EXPECT_EQ(nlohmann::json::parse(result.out)["device"], device_name(target.device));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Cpu, EveryKernel, testing::Values(HALPOOL_DEVICE_CPU));
INSTANTIATE_TEST_SUITE_P(Cuda, EveryKernel, testing::Values(HALPOOL_DEVICE_CUDA));
INSTANTIATE_TEST_SUITE_P(Vulkan, EveryKernel, testing::Values(HALPOOL_DEVICE_VULKAN));

TEST_F(ForcedKernel, ByEnvironmentIsObeyed) {
    const ProcessResult result = pool(any_call, "nchw", {}, {{"HALPOOL_KERNEL", reference()}});
    ASSERT_TRUE(succeeded(result));
    EXPECT_EQ(nlohmann::json::parse(result.out)["kernel"], reference());
    EXPECT_TRUE(is_refused(pool(any_call, "nchw", {}, {{"HALPOOL_KERNEL", "no_such_kernel"}}),
                           "no_such_kernel"));
    EXPECT_TRUE(is_refused(pool(any_call, "nchw", {}, {{"HALPOOL_TARGET", "no_such_target"}}),
                           "no_such_target"));
}

TEST_F(ForcedKernel, ByOptionComesBeforeTheEnvironment) {
    const ProcessResult result =
        pool(any_call, "nchw", {"--kernel", reference()}, {{"HALPOOL_KERNEL", "no_such_kernel"}});
    ASSERT_TRUE(succeeded(result));
    EXPECT_EQ(nlohmann::json::parse(result.out)["kernel"], reference());
}

TEST_F(ForcedKernel, OfAnUnknownNameIsRefused) {
    EXPECT_TRUE(is_refused(pool(any_call, "nchw", {"--kernel", "no_such_kernel"}), "no_such_kernel"));
    EXPECT_TRUE(is_refused(pool(any_call, "nchw", {"--target", "no_such_target"}), "no_such_target"));
    EXPECT_FALSE(std::filesystem::exists(scratch_.path("out.npy")));
}

}  // namespace
}  // namespace halpool_test
