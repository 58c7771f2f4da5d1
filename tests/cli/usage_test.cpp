#include "halpool_process.hpp"
#include "npy_bytes.hpp"
#include "scratch_directory.hpp"

#include <halpool/halpool.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace halpool_test {
namespace {

TEST(Usage, MistakesAreRefused) {
    const std::vector<std::vector<std::string>> mistakes = {
        {},
        {"no_such_command"},
        {"--no-such-option"},
        {"info", "surplus"},
        {"info", "explain"},
        {"avg_pool2d"},
        {"avg_pool2d", "in.npy"},
        {"avg_pool2d", "in.npy", "--kernel-size", "2"},
        {"avg_pool2d", "in.npy", "out.npy"},
        {"avg_pool2d", "in.npy", "out.npy", "--kernel-size"},
        {"avg_pool2d", "in.npy", "out.npy", "--kernel-size", "2", "--no-such-option"},
        {"avg_pool2d", "in.npy", "out.npy", "--kernel-size", "2", "--kernel-size", "3"},
        {"avg_pool2d", "in.npy", "out.npy", "--kernel-size", "2", "--layout", "chwn"},
        {"avg_pool2d", "in.npy", "out.npy", "--kernel-size", "2", "--threads", "0"},
        {"avg_pool2d", "in.npy", "out.npy", "--kernel-size", "2", "--threads", "-1"},
        {"avg_pool2d", "in.npy", "out.npy", "--kernel-size", "2", "--threads", "99999999999"},
        {"avg_pool2d", "in.npy", "out.npy", "--kernel-size", "2", "--threads", "two"},
        {"avg_pool2d", "in.npy", "out.npy", "--kernel-size", "2", "--divisor-override", "1.5"},
        {"avg_pool2d", "in.npy", "out.npy", "--kernel-size", "2", "--divisor-override", ""},
        {"avg_pool2d", "in.npy", "out.npy", "--kernel-size", "2", "--divisor-override", "9223372036854775808"},
        {"explain", "--kernel-size", "2"},
        {"explain", "--shape", "1,1,4,4"},
    };
    for (const std::vector<std::string> &arguments : mistakes) {
        std::string line;
        for (const std::string &argument : arguments) line += argument + " ";
        EXPECT_TRUE(is_refused(run_halpool(arguments))) << line;
    }
}

TEST(Usage, HelpAndVersionGoToTheStandardOutput) {
    for (const char *command : {"avg_pool2d", "explain", "info"}) {
        const ProcessResult result = run_halpool({command, "--help"});
        EXPECT_TRUE(succeeded(result));
        EXPECT_NE(result.out.find(std::string("halpool ") + command), std::string::npos) << result;
    }
    const ProcessResult help = run_halpool({"--help"});
    EXPECT_TRUE(succeeded(help));
    EXPECT_NE(help.out.find("avg_pool2d"), std::string::npos);
    EXPECT_EQ(run_halpool({"--version"}).out, std::string("halpool ") + halpool_version() + "\n");
}

TEST(Report, HasShapesKernelReasonAndSpeed) {
    const ScratchDirectory scratch;
    const std::vector<std::string> call{"avg_pool2d",
                                        scratch.write("in.npy", float_npy("(1, 2, 4, 6)", std::vector<float>(48))),
                                        scratch.path("out.npy"), "--kernel-size", "2", "--threads", "2"};
    std::vector<std::string> json_call = call;
    json_call.push_back("--json");
    const ProcessResult json_result = run_halpool(json_call);
    ASSERT_TRUE(succeeded(json_result));
    const nlohmann::json report = nlohmann::json::parse(json_result.out);
    EXPECT_EQ(report["input_shape"], (nlohmann::json{1, 2, 4, 6}));
    EXPECT_EQ(report["output_shape"], (nlohmann::json{1, 2, 2, 3}));
    EXPECT_EQ(report["layout"], "nchw");
    EXPECT_EQ(report["threads"], 2);
    EXPECT_GT(report["seconds"], 0);
    // 48 elements are read and 12 written, 4 bytes each.
    const double seconds = report["seconds"], rate = report["gigabytes_per_second"];
    EXPECT_NEAR(rate * seconds, 240e-9, 1e-12);

    const ProcessResult text = run_halpool(call);
    ASSERT_TRUE(succeeded(text));
    for (const std::string &part : {std::string("[1, 2, 4, 6]"), std::string("[1, 2, 2, 3]"),
                                   report["kernel"].get<std::string>(), report["target"].get<std::string>(),
                                   report["reason"].get<std::string>(), std::string(" GB/s")})
        EXPECT_NE(text.out.find(part), std::string::npos) << part;
}

}  // namespace
}  // namespace halpool_test
