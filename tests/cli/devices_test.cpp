// --device: where avg_pool2d works and explain looks. The result is the CPU's, or the refusal says what is
// missing.
#include "halpool_process.hpp"
#include "kernels_under_test.hpp"
#include "npy_bytes.hpp"
#include "scratch_directory.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace halpool_test {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

struct DeviceCase {
    const char *name;
    std::int32_t device;
};
std::ostream &operator<<(std::ostream &out, const DeviceCase &device) { return out << device.name; }

const Arguments window = {"--kernel-size", "3", "--stride", "2", "--padding", "1"};
const Arguments explained = {"explain", "--shape", "2,4,20,30"};

Arguments joined(Arguments first, const Arguments &second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

class CommandLineDevice : public testing::TestWithParam<DeviceCase> {
protected:
    CommandLineDevice() {
        std::vector<float> values;
        for (int i = 0; i < 2 * 4 * 20 * 30; ++i) values.push_back(std::sin(static_cast<float>(i)));
        in_ = scratch_.write("in.npy", float_npy("(2, 4, 20, 30)", values));
        for (std::size_t i = 0; i < halpool_device_count(); ++i)
            if (halpool_device_at(i).device == GetParam().device) info_ = halpool_device_at(i);
    }
    ProcessResult pool(const std::string &out, const Arguments &more, const ProcessSettings &settings = {}) {
        return run_halpool(joined(joined({"avg_pool2d", in_, scratch_.path(out), "--json"}, window), more),
                           settings);
    }
    bool available() const { return info_.available != 0; }
    // What a refusal says: why the device cannot be used, or that the program links nothing for it.
    std::string missing() const { return info_.reason ? info_.reason : "HALPOOL_TARGETS"; }
    std::string name() const { return GetParam().name; }

    ScratchDirectory scratch_;
    std::string in_;
    halpool_device_info info_ = {HALPOOL_DEVICE_AUTO, nullptr, 0, nullptr};
};

TEST_P(CommandLineDevice, PoolsAsTheCpuDoesOrSaysWhatIsMissing) {
    for (const char *layout : {"nchw", "nhwc"}) {
        SCOPED_TRACE(layout);
        const ProcessResult result = pool("out.npy", {"--device", name(), "--layout", layout});
        if (!available()) {
            EXPECT_TRUE(is_refused(result, missing()));
            EXPECT_EQ(scratch_.names(), std::set<std::string>{"in.npy"});
            continue;
        }
        ASSERT_TRUE(succeeded(result));
        const Json report = Json::parse(result.out);
        EXPECT_EQ(report["device"], name());
        EXPECT_GT(report["seconds"], 0);
        ASSERT_TRUE(succeeded(pool("cpu.npy", {"--device", "cpu", "--layout", layout})));
        const FloatArray got = read_float_npy(scratch_.read("out.npy")),
                         want = read_float_npy(scratch_.read("cpu.npy"));
        EXPECT_EQ(got.shape, want.shape);
        ASSERT_EQ(got.values.size(), want.values.size());
        for (std::size_t i = 0; i < got.values.size(); ++i)
            ASSERT_NEAR(got.values[i], want.values[i], 1e-6) << "element " << i;
    }
}

TEST_P(CommandLineDevice, TakesAnEmptyBatch) {
    scratch_.write("in.npy", float_npy("(0, 4, 20, 30)", {}));
    const ProcessResult result = pool("out.npy", {"--device", name()});
    if (!available()) {
        EXPECT_TRUE(is_refused(result, missing()));
        return;
    }
    ASSERT_TRUE(succeeded(result));
    EXPECT_EQ(read_float_npy(scratch_.read("out.npy")).shape, (std::vector<std::int64_t>{0, 4, 10, 15}));
}

TEST_P(CommandLineDevice, ExplainLooksAtItsKernels) {
    const ProcessResult result = run_halpool(joined(joined(explained, window), {"--json", "--device", name()}));
    if (!available()) {
        EXPECT_TRUE(is_refused(result, missing()));
        return;
    }
    ASSERT_TRUE(succeeded(result));
    const Json plan = Json::parse(result.out);
    EXPECT_EQ(plan["device"], name());
    EXPECT_EQ(plan["candidates"].size(), kernels_under_test().size());
}

TEST_P(CommandLineDevice, ComesBeforeTheDeviceOfATargetAndRefusesThatTarget) {
    int refused = 0;
    for (std::size_t i = 0; i < halpool_target_count(); ++i) {
        const halpool_target_info target = halpool_target_at(i);
        if (target.device == GetParam().device) continue;
        EXPECT_TRUE(is_refused(pool("out.npy", {"--device", name(), "--target", target.name}),
                               available() ? std::string(target.name) : missing()));
        ProcessSettings settings;
        settings.environment["HALPOOL_TARGET"] = target.name;
        EXPECT_TRUE(is_refused(pool("out.npy", {"--device", name()}, settings),
                               available() ? std::string(target.name) : missing()));
        ++refused;
    }
    EXPECT_EQ(scratch_.names(), std::set<std::string>{"in.npy"});
    if (refused == 0) GTEST_SKIP() << "no target of another device is linked";
}

INSTANTIATE_TEST_SUITE_P(Cpu, CommandLineDevice, testing::Values(DeviceCase{"cpu", HALPOOL_DEVICE_CPU}));
INSTANTIATE_TEST_SUITE_P(Cuda, CommandLineDevice, testing::Values(DeviceCase{"cuda", HALPOOL_DEVICE_CUDA}));
INSTANTIATE_TEST_SUITE_P(Vulkan, CommandLineDevice, testing::Values(DeviceCase{"vulkan", HALPOOL_DEVICE_VULKAN}));

TEST(CommandLineDeviceAuto, StaysOnTheHost) {
    for (const Arguments &more : {Arguments{}, Arguments{"--device", "auto"}}) {
        const ProcessResult result = run_halpool(joined(joined(explained, window), joined({"--json"}, more)));
        ASSERT_TRUE(succeeded(result));
        EXPECT_EQ(Json::parse(result.out)["device"], "cpu");
    }
}

TEST(CommandLineDeviceAuto, OfAnUnknownNameIsRefused) {
    for (const char *device : {"gpu", "CUDA", "", "0", "cuda:0"})
        EXPECT_TRUE(is_refused(run_halpool(joined(joined(explained, window), {"--device", device})), "--device"))
            << device;
}

// A device that this program links nothing for, or that is not there.
TEST(CommandLineDeviceThatCannotBeUsed, IsRefusedWithTheReason) {
    for (const char *device : {"cuda", "vulkan"}) {
        std::string reason = "HALPOOL_TARGETS";
        for (std::size_t i = 0; i < halpool_device_count(); ++i)
            if (std::string(halpool_device_at(i).name) == device)
                reason = halpool_device_at(i).available ? "" : halpool_device_at(i).reason;
        if (reason.empty()) continue;
        EXPECT_TRUE(is_refused(run_halpool(joined(joined(explained, window), {"--device", device})), reason));
    }
}

}  // namespace
}  // namespace halpool_test
