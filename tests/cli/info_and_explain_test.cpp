#include "halpool_process.hpp"

#include <halpool/halpool.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>
#include <set>

namespace halpool_test {
namespace {

using Json = nlohmann::json;

Json json_of(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const ProcessResult result = run_halpool(arguments);
    EXPECT_TRUE(succeeded(result));
    return Json::parse(result.out);
}

std::set<std::string> keys(const Json &object) {
    std::set<std::string> names;
    for (const auto &[name, value] : object.items()) names.insert(name);
    return names;
}

TEST(Info, JsonListsWhatTheLibraryHas) {
    const Json info = json_of({"info"});
    EXPECT_EQ(keys(info), (std::set<std::string>{"version", "host_features", "devices", "targets", "kernels"}));
    EXPECT_EQ(info["version"], halpool_version());
    ASSERT_EQ(info["devices"].size(), halpool_device_count());
    std::map<std::int32_t, std::string> device_names;
    for (std::size_t i = 0; i < halpool_device_count(); ++i) {
        const halpool_device_info device = halpool_device_at(i);
        EXPECT_EQ(info["devices"][i], (Json{{"name", device.name},
                                            {"available", device.available != 0},
                                            {"reason", device.reason}}));
        EXPECT_NE(info["devices"][i]["reason"], "");
        device_names[device.device] = device.name;
    }
    ASSERT_EQ(info["targets"].size(), halpool_target_count());
    for (std::size_t i = 0; i < halpool_target_count(); ++i) {
        const halpool_target_info target = halpool_target_at(i);
        EXPECT_EQ(info["targets"][i], (Json{{"name", target.name},
                                            {"device", device_names.at(target.device)},
                                            {"available", target.available != 0},
                                            {"reason", target.reason}}));
        EXPECT_NE(info["targets"][i]["reason"], "");
    }
    ASSERT_EQ(info["kernels"].size(), halpool_kernel_count());
    for (std::size_t i = 0; i < halpool_kernel_count(); ++i) {
        const halpool_kernel_info kernel = halpool_kernel_at(i);
        EXPECT_EQ(info["kernels"][i], (Json{{"name", kernel.name},
                                            {"target", kernel.target},
                                            {"op", kernel.op},
                                            {"dtype", kernel.dtype},
                                            {"layout", kernel.layout},
                                            {"window", kernel.window}}));
    }
    std::string features;
    for (const std::string feature : info["host_features"]) features += (features.empty() ? "" : " ") + feature;
    EXPECT_EQ(features, halpool_host_features());
}

TEST(Info, TextNamesEveryDeviceTargetAndKernelAndSaysWhyOneIsUnavailable) {
    const ProcessResult result = run_halpool({"info"});
    ASSERT_TRUE(succeeded(result));
    const Json info = json_of({"info"});
    for (const char *what : {"devices", "targets"})
        for (const Json &each : info[what]) {
            const std::string availability = each["available"].get<bool>() ? "  available    " : "  unavailable  ";
            EXPECT_NE(result.out.find(availability + each["reason"].get<std::string>()), std::string::npos)
                << each;
        }
    for (const Json &device : info["devices"])
        EXPECT_NE(result.out.find("\n  " + device["name"].get<std::string>() + " "), std::string::npos) << device;
    for (const Json &target : info["targets"])
        EXPECT_NE(result.out.find(target["name"].get<std::string>()), std::string::npos) << target;
    for (const Json &kernel : info["kernels"])
        EXPECT_NE(result.out.find(kernel["name"].get<std::string>()), std::string::npos) << kernel;
}

const std::vector<std::string> call = {"explain", "--shape", "2,3,20,30", "--kernel-size", "3", "--stride", "2",
                                       "--padding", "1"};

std::vector<std::string> call_with(const std::vector<std::string> &more) {
    std::vector<std::string> arguments = call;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

TEST(Explain, JsonHasOneChosenCandidateAndAReasonForEach) {
    for (const char *layout : {"nchw", "nhwc"}) {
        const Json plan = json_of(call_with({"--layout", layout}));
        EXPECT_EQ(keys(plan), (std::set<std::string>{"op", "dtype", "output_dtype", "input_shape", "output_shape", "layout", "kernel",
                                                     "target", "device", "candidates"}));
        EXPECT_EQ(plan["device"], "cpu");
        EXPECT_EQ(plan["op"], "avg_pool2d");
        EXPECT_EQ(plan["input_shape"], (Json{2, 3, 20, 30}));
        EXPECT_EQ(plan["output_shape"], (Json{2, 3, 10, 15}));
        EXPECT_EQ(plan["layout"], layout);
        int chosen = 0;
        for (const Json &candidate : plan["candidates"]) {
            EXPECT_EQ(keys(candidate), (std::set<std::string>{"kernel", "target", "chosen", "reason"}));
            EXPECT_NE(candidate["reason"], "") << candidate;
            if (!candidate["chosen"].get<bool>()) continue;
            ++chosen;
            EXPECT_EQ(candidate["kernel"], plan["kernel"]);
            EXPECT_EQ(candidate["target"], plan["target"]);
        }
        EXPECT_EQ(chosen, 1);
    }
}

TEST(Explain, TextHasALineForEveryKernelWithItsVerdict) {
    const ProcessResult result = run_halpool(call);
    ASSERT_TRUE(succeeded(result));
    const Json plan = json_of(call);
    std::size_t kernels = 0;  // of the operator and the dtype
    for (std::size_t i = 0; i < halpool_kernel_count(); ++i)
        kernels += halpool_kernel_at(i).op == std::string("avg_pool2d") && halpool_kernel_at(i).dtype == std::string("f32") ? 1 : 0;
    EXPECT_EQ(plan["candidates"].size(), kernels);
    for (const Json &candidate : plan["candidates"]) {
        const std::string line =
            candidate["kernel"].get<std::string>() + ": " + candidate["reason"].get<std::string>();
        const char *const mark = candidate["chosen"].get<bool>() ? "  * " : "    ";
        EXPECT_NE(result.out.find("\n" + (mark + line) + "\n"), std::string::npos) << candidate;
    }
}

TEST(Explain, TakesTheArgumentsOfTheOperator) {
    const auto output_shape = [](const std::vector<std::string> &more) {
        std::vector<std::string> arguments{"explain", "--shape", "1,8,9"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return json_of(arguments)["output_shape"];
    };
    EXPECT_EQ(output_shape({"--kernel-size", "2"}), (Json{1, 4, 4}));
    EXPECT_EQ(output_shape({"--kernel-size", "2", "--stride", "None"}), (Json{1, 4, 4}));
    EXPECT_EQ(output_shape({"--kernel-size", "[2, 3]", "--stride", "(1,2)"}), (Json{1, 7, 4}));
    EXPECT_EQ(output_shape({"--kernel-size", "2", "--ceil-mode"}), (Json{1, 4, 5}));
    EXPECT_EQ(output_shape({"--kernel-size", "2", "--padding-end", "1"}), (Json{1, 4, 5}));
    EXPECT_EQ(output_shape({"--kernel-size", "2", "--any-padding", "--padding", "4"}), (Json{1, 8, 8}));
}

TEST(Explain, BadShapesAreRefused) {
    for (const char *shape : {"1,2,x,4", "1.5,1,4,4", "1,,4,4", "[1,1,4,4", "1,1,-4,4",
                              "99999999999999999999,1,1,1", "9999999999,9999999999,9999999999,9999999999"})
        EXPECT_TRUE(is_refused(run_halpool({"explain", "--shape", shape, "--kernel-size", "1"}))) << shape;
}

}  // namespace
}  // namespace halpool_test
