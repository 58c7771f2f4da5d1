// Every kernel by name: it runs and gives the reference kernel's result, or the program says why it cannot.
#include "halpool_process.hpp"
#include "npy_bytes.hpp"
#include "scratch_directory.hpp"

#include <halpool/halpool.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <map>

namespace halpool_test {
namespace {

using Arguments = std::vector<std::string>;

// A call that each window class takes, on [2, 5, 12, 17]; the other classes take any.
const std::map<std::string, Arguments> calls = {
    {"2x2s2", {"--kernel-size", "2"}},
    {"3x3s1", {"--kernel-size", "3", "--stride", "1", "--padding", "1"}},
    {"3x3s2", {"--kernel-size", "3", "--stride", "2", "--padding", "1", "--ceil-mode", "--no-count-include-pad"}},
    {"global", {"--kernel-size", "12,17"}},
};
const Arguments any_call = {"--kernel-size", "4,3", "--stride", "3,2", "--padding", "2,1", "--ceil-mode"};

class ForcedKernel : public testing::Test {
protected:
    ForcedKernel() {
        std::vector<float> values;
        for (int i = 0; i < 2 * 5 * 12 * 17; ++i) values.push_back(std::sin(static_cast<float>(i)));
        scratch_.write("in.npy", float_npy("(2, 5, 12, 17)", values));
    }

    ProcessResult pool(const Arguments &call, const std::string &layout, const Arguments &more,
                       const std::map<std::string, std::string> &environment = {}) {
        Arguments arguments{"avg_pool2d", scratch_.path("in.npy"), scratch_.path("out.npy"), "--json"};
        arguments.insert(arguments.end(), call.begin(), call.end());
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

    ScratchDirectory scratch_;
};

std::map<std::string, std::string> unavailable_targets() {
    std::map<std::string, std::string> reasons;
    for (std::size_t i = 0; i < halpool_target_count(); ++i)
        if (!halpool_target_at(i).available) reasons[halpool_target_at(i).name] = halpool_target_at(i).reason;
    return reasons;
}

TEST_F(ForcedKernel, RunsOrSaysWhyNot) {
    const auto unavailable = unavailable_targets();
    for (std::size_t i = 0; i < halpool_kernel_count(); ++i) {
        const halpool_kernel_info kernel = halpool_kernel_at(i);
        SCOPED_TRACE(kernel.name);
        const auto found = calls.find(kernel.window);
        const Arguments &call = found == calls.end() ? any_call : found->second;

        std::filesystem::remove(scratch_.path("out.npy"));
        const ProcessResult result = pool(call, kernel.layout, {"--kernel", kernel.name});
        if (const auto why = unavailable.find(kernel.target); why != unavailable.end()) {
            EXPECT_TRUE(is_refused(result, why->second));
            EXPECT_FALSE(std::filesystem::exists(scratch_.path("out.npy")));
            continue;
        }
        ASSERT_TRUE(succeeded(result));
        const nlohmann::json report = nlohmann::json::parse(result.out);
        EXPECT_EQ(report["kernel"], kernel.name);
        EXPECT_EQ(report["target"], kernel.target);
        EXPECT_NE(report["reason"], "");
        const FloatArray out = read_float_npy(scratch_.read("out.npy"));

        ASSERT_TRUE(succeeded(pool(call, "any", {"--kernel", reference()})));
        const FloatArray expected = read_float_npy(scratch_.read("out.npy"));
        EXPECT_EQ(out.shape, expected.shape);
        ASSERT_EQ(out.values.size(), expected.values.size());
        for (std::size_t e = 0; e < out.values.size(); ++e)
            EXPECT_NEAR(out.values[e], expected.values[e], 1e-6) << "element " << e;
    }
}

TEST_F(ForcedKernel, ThatDoesNotTakeTheCallIsRefusedWithTheReason) {
    for (std::size_t i = 0; i < halpool_kernel_count(); ++i) {
        const halpool_kernel_info kernel = halpool_kernel_at(i);
        if (std::string(kernel.layout) == "any") continue;
        const std::string other = std::string(kernel.layout) == "nchw" ? "nhwc" : "nchw";
        EXPECT_TRUE(is_refused(pool({"--kernel-size", "5"}, other, {"--kernel", kernel.name}), kernel.name));
    }
}

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

TEST_F(ForcedKernel, OfEveryTargetRunsOrSaysWhyNot) {
    for (std::size_t i = 0; i < halpool_target_count(); ++i) {
        const halpool_target_info target = halpool_target_at(i);
        const ProcessResult result = pool(any_call, "nchw", {"--target", target.name});
        if (!target.available) {
            EXPECT_TRUE(is_refused(result, target.reason)) << target.name;
            continue;
        }
        ASSERT_TRUE(succeeded(result)) << target.name;
        EXPECT_EQ(nlohmann::json::parse(result.out)["target"], target.name);
    }
}

}  // namespace
}  // namespace halpool_test
