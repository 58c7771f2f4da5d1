// What the library says of itself: version, features, targets, kernels.
#include "kernels_under_test.hpp"

#include <gtest/gtest.h>

#include <iterator>
#include <set>
#include <sstream>

namespace halpool_test {
namespace {

std::vector<halpool_target_info> targets() {
    std::vector<halpool_target_info> all;
    for (std::size_t i = 0; i < halpool_target_count(); ++i) all.push_back(halpool_target_at(i));
    return all;
}

TEST(Library, VersionIsTheHeaders) {
    std::ostringstream header;
    header << HALPOOL_VERSION_MAJOR << '.' << HALPOOL_VERSION_MINOR << '.' << HALPOOL_VERSION_PATCH;
    EXPECT_EQ(halpool_version(), header.str());
}

TEST(Library, TargetsHaveNamesAndReasonsAndEndWithThePortableOne) {
    std::set<std::string> names;
    for (const halpool_target_info &target : targets()) {
        EXPECT_TRUE(names.insert(target.name).second) << target.name << " is listed twice";
        EXPECT_STRNE(target.reason, "") << target.name;
    }
    ASSERT_FALSE(names.empty());
    EXPECT_TRUE(targets().back().available);
}

TEST(Library, EveryConfiguredTargetIsBuiltIn) {
    std::set<std::string> names;
    for (const halpool_target_info &target : targets()) names.insert(target.name);
    std::istringstream configured(HALPOOL_CONFIGURED_TARGETS);
    std::size_t count = 0;
    for (std::string target; std::getline(configured, target, ' '); ++count)
        EXPECT_EQ(names.count(target), 1u) << target;
    EXPECT_EQ(names.size(), count + 1) << "the configured targets and the portable one";
}

TEST(Library, EveryTargetHasEveryWindowClassInBothLayouts) {
    std::set<std::string> kernels, of_float32, dtypes;
    for (const KernelUnderTest &kernel : kernels_under_test("")) {
        kernels.insert(kernel.target + " " + kernel.dtype + " " + kernel.layout + " " + kernel.window);
        dtypes.insert(kernel.target + " " + kernel.dtype);
        if (kernel.dtype == "f32") of_float32.insert(kernel.target);
    }
    std::istringstream configured(HALPOOL_CONFIGURED_TARGETS);
    for (std::string target; std::getline(configured, target, ' ');)
        for (const char *layout : {"nchw", "nhwc"}) {
            if (of_float32.count(target) != 0) {
                for (const char *window : {"generic", "2x2s2", "3x3s1", "3x3s2", "global"})
                    EXPECT_EQ(kernels.count(target + " f32 " + layout + " " + window), 1u)
                        << target << " " << layout << " " << window;
                continue;
            }
            // The target of a type that a device may lack has kernels of that type alone.
            std::size_t generic = 0;
            for (const char *dtype : {"f64", "f16", "bf16", "i8", "u8", "i32", "i64"}) {
                const std::string start = target + " " + dtype;
                EXPECT_EQ(kernels.count(start + " " + layout + " generic"), dtypes.count(start)) << start << " " << layout;
                generic += kernels.count(start + " " + layout + " generic");
            }
            EXPECT_GT(generic, 0u) << target << " " << layout << " has no kernel";
        }
}

TEST(Library, EveryTargetOfTheCpuHasBothOperatorsOfEveryDtypeInBothLayouts) {
    std::set<std::string> kernels;
    for (const KernelUnderTest &kernel : kernels_under_test("", ""))
        kernels.insert(kernel.target + " " + kernel.op + " " + kernel.dtype + " " + kernel.layout + " " + kernel.window);
    for (const halpool_target_info &target : targets()) {
        if (target.device != HALPOOL_DEVICE_CPU) continue;
        const bool portable = target.name == std::string("portable");
        for (const char *op : {"avg_pool2d", "avg_pool2d_backward"})
            for (const char *dtype : {"f32", "f64", "f16", "bf16", "i8", "u8", "i32", "i64"})
                for (const char *layout : {"nchw", "nhwc"}) {
                    const std::string kernel = std::string(target.name) + " " + op + " " + dtype + (portable ? " any any" : std::string(" ") + layout + " generic");
                    EXPECT_EQ(kernels.count(kernel), 1u) << kernel;
                }
    }
}

TEST(Library, KernelNamesSayOperatorTypeLayoutWindowAndTarget) {
    std::set<std::string> names;
    for (std::size_t i = 0; i < halpool_kernel_count(); ++i) {
        const halpool_kernel_info kernel = halpool_kernel_at(i);
        EXPECT_TRUE(names.insert(kernel.name).second) << kernel.name << " is listed twice";
        EXPECT_TRUE(kernel.op == std::string("avg_pool2d") || kernel.op == std::string("avg_pool2d_backward")) << kernel.op;
        if (std::string(kernel.layout) == "any") continue;
        // The layout may be said more closely: nhwc-c3 takes three channels.
        const std::string name = kernel.name, end = std::string("_") + kernel.window + "_" + kernel.target;
        EXPECT_EQ(name.rfind(std::string(kernel.op) + "_" + kernel.dtype + "_" + kernel.layout, 0), 0u) << name;
        ASSERT_GT(name.size(), end.size());
        EXPECT_EQ(name.substr(name.size() - end.size()), end);
    }
    EXPECT_STREQ(halpool_kernel_at(halpool_kernel_count() - 1).layout, "any") << "the reference comes last";
}

TEST(Library, DevicesHaveNamesAndReasonsAndBeginWithTheCpu) {
    std::set<std::string> names;
    std::set<std::int32_t> devices;
    ASSERT_GE(halpool_device_count(), 1u);
    for (std::size_t i = 0; i < halpool_device_count(); ++i) {
        const halpool_device_info device = halpool_device_at(i);
        EXPECT_TRUE(names.insert(device.name).second) << device.name << " is listed twice";
        EXPECT_TRUE(devices.insert(device.device).second) << device.name << " is listed twice";
        EXPECT_STRNE(device.reason, "") << device.name;
    }
    EXPECT_EQ(halpool_device_at(0).device, HALPOOL_DEVICE_CPU);
    EXPECT_STREQ(halpool_device_at(0).name, "cpu");
    EXPECT_TRUE(halpool_device_at(0).available);
    for (const halpool_target_info &target : targets()) EXPECT_EQ(devices.count(target.device), 1u) << target.name;
}

TEST(Library, ATargetIsAvailableOnlyWhereItsDeviceIs) {
    for (const halpool_target_info &target : targets())
        for (std::size_t i = 0; i < halpool_device_count(); ++i) {
            const halpool_device_info device = halpool_device_at(i);
            if (device.device != target.device || device.available) continue;
            EXPECT_FALSE(target.available) << target.name;
            EXPECT_STREQ(target.reason, device.reason) << target.name;
        }
}

TEST(Library, AnIndexOutOfRangeGivesNullFields) {
    for (const std::size_t index : {halpool_device_count(), ~std::size_t{0}}) {
        EXPECT_EQ(halpool_device_at(index).device, HALPOOL_DEVICE_AUTO);
        EXPECT_EQ(halpool_device_at(index).name, nullptr);
        EXPECT_EQ(halpool_device_at(index).reason, nullptr);
        EXPECT_EQ(halpool_device_at(index).available, 0);
    }
    for (const std::size_t index : {halpool_target_count(), ~std::size_t{0}}) {
        EXPECT_EQ(halpool_target_at(index).name, nullptr);
        EXPECT_EQ(halpool_target_at(index).reason, nullptr);
        EXPECT_EQ(halpool_target_at(index).available, 0);
    }
    for (const std::size_t index : {halpool_kernel_count(), ~std::size_t{0}}) {
        EXPECT_EQ(halpool_kernel_at(index).name, nullptr);
        EXPECT_EQ(halpool_kernel_at(index).target, nullptr);
    }
}

TEST(Library, HostFeaturesAreWordsAndExplainTheTargets) {
    std::istringstream features(halpool_host_features());
    const std::set<std::string> words{std::istream_iterator<std::string>(features),
                                      std::istream_iterator<std::string>()};
    for (const halpool_target_info &target : targets()) {
        const std::string name = target.name, feature = name.substr(name.rfind('-') + 1);
        if (feature != "sse41" && feature != "avx2") continue;
        EXPECT_EQ(target.available != 0, words.count(feature) != 0) << name << ": " << target.reason;
    }
}

TEST(Library, StringsAreStatic) {
    EXPECT_EQ(halpool_version(), halpool_version());
    EXPECT_EQ(halpool_host_features(), halpool_host_features());
    EXPECT_EQ(halpool_target_at(0).reason, halpool_target_at(0).reason);
    for (std::size_t i = 0; i < halpool_device_count(); ++i)
        EXPECT_EQ(halpool_device_at(i).reason, halpool_device_at(i).reason);
    EXPECT_EQ(halpool_kernel_at(0).name, halpool_kernel_at(0).name);
}

}  // namespace
}  // namespace halpool_test
