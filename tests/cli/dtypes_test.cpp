// Arrays of every dtype, and the backward pass, on the command line.
#include "halpool_process.hpp"
#include "npy_bytes.hpp"
#include "scratch_directory.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <vector>

namespace halpool_test {
namespace {

class DTypes : public testing::Test {
protected:
    // What the program writes for an array of these elements; nothing where it fails.
    template <class T>
    std::vector<T> run(const std::vector<std::string> &begin, const std::string &descr, const std::string &shape, const std::vector<T> &values,
                       const std::vector<std::string> &options) {
        std::vector<std::string> arguments = begin;
        arguments.insert(arguments.end(), {scratch_.write("in.npy", npy_bytes(npy_header(descr, shape), bytes_of(values))), scratch_.path("out.npy"), "--json"});
        arguments.insert(arguments.end(), options.begin(), options.end());
        const ProcessResult result = run_halpool(arguments);
        EXPECT_TRUE(succeeded(result));
        if (result.exit_code != 0) return {};
        report_ = nlohmann::json::parse(result.out);
        const std::string file = scratch_.read("out.npy");
        const std::size_t begin_of_data = 10 + static_cast<unsigned char>(file[8]) + 256u * static_cast<unsigned char>(file[9]);
        EXPECT_NE(file.find("'" + descr + "'"), std::string::npos) << "the result has another type";
        std::vector<T> out((file.size() - begin_of_data) / sizeof(T));
        std::memcpy(out.data(), file.data() + begin_of_data, out.size() * sizeof(T));
        return out;
    }

    ScratchDirectory scratch_;
    nlohmann::json report_;
};

const std::string square = "(1, 1, 2, 2)";

TEST_F(DTypes, KeepTheirsFromFileToFile) {
    EXPECT_EQ(run<double>({"avg_pool2d"}, "<f8", square, {1, 2, 3, 5}, {"--kernel-size", "2"}), std::vector<double>{2.75});
    EXPECT_EQ(report_["dtype"], "float64");
    EXPECT_EQ(run<std::int64_t>({"avg_pool2d"}, "<i8", square, {-1, -2, -2, -2}, {"--kernel-size", "2"}), std::vector<std::int64_t>{-1});
    // 1, 2, 3 and 4 as float16; their mean is 2.5.
    EXPECT_EQ(run<std::uint16_t>({"avg_pool2d"}, "<f2", square, {0x3c00, 0x4000, 0x4200, 0x4400}, {"--kernel-size", "2"}), std::vector<std::uint16_t>{0x4100});
    EXPECT_EQ(report_["dtype"], "float16");
}

TEST_F(DTypes, Bfloat16IsWordsThatTheOptionNames) {
    const std::vector<std::uint16_t> words{0x3f80, 0x4000, 0x4040, 0x4080};  // 1, 2, 3, 4
    EXPECT_EQ(run<std::uint16_t>({"avg_pool2d"}, "<u2", square, words, {"--kernel-size", "2", "--dtype", "bfloat16"}), std::vector<std::uint16_t>{0x4020});
    EXPECT_EQ(report_["dtype"], "bfloat16");
    EXPECT_TRUE(is_refused(run_halpool({"avg_pool2d", scratch_.path("in.npy"), scratch_.path("new.npy"), "--kernel-size", "2"}), "--dtype bfloat16"));
}

TEST_F(DTypes, ThoseThatPyTorchRefusesAskForAnOption) {
    EXPECT_EQ(run<std::uint8_t>({"avg_pool2d"}, "|u1", square, {255, 255, 254, 254}, {"--kernel-size", "2", "--any-dtype"}), std::vector<std::uint8_t>{254});
    EXPECT_TRUE(is_refused(run_halpool({"avg_pool2d", scratch_.path("in.npy"), scratch_.path("new.npy"), "--kernel-size", "2"}), "not implemented for 'Byte'"));
    EXPECT_EQ(run<std::int32_t>({"avg_pool2d"}, "<i4", square, {2147483647, 2147483647, 2147483647, 2147483644}, {"--kernel-size", "2", "--any-dtype"}), std::vector<std::int32_t>{2147483646});
}

TEST_F(DTypes, AFileOfAnotherTypeThanTheOptionNamesIsRefused) {
    const std::string in = scratch_.write("in.npy", float_npy(square, {1, 2, 3, 4}));
    EXPECT_TRUE(is_refused(run_halpool({"avg_pool2d", in, scratch_.path("out.npy"), "--kernel-size", "2", "--dtype", "float64"}), "not float64"));
    EXPECT_EQ(scratch_.names(), std::set<std::string>{"in.npy"});
}

TEST_F(DTypes, TheBackwardPassGivesEachElementItsShare) {
    const std::vector<std::string> options{"--kernel-size", "3", "--stride", "2", "--padding", "1", "--input-shape", "1,1,3,3"};
    const std::vector<float> expected{1, 3, 2, 4, 10, 6, 3, 7, 4};  // ninths
    for (const char *layout : {"nchw", "nhwc"}) {
        std::vector<std::string> in_layout = options;
        in_layout.insert(in_layout.end(), {"--layout", layout});
        const std::vector<float> out = run<float>({"avg_pool2d_backward"}, "<f4", square, {1, 2, 3, 4}, in_layout);
        ASSERT_EQ(out.size(), expected.size());
        for (std::size_t i = 0; i < out.size(); ++i) EXPECT_FLOAT_EQ(out[i], expected[i] / 9) << layout << " element " << i;
        EXPECT_EQ(report_["op"], "avg_pool2d_backward");
        EXPECT_EQ(report_["output_shape"], (std::vector<int>{1, 1, 3, 3}));
    }
}

TEST_F(DTypes, TheBackwardPassRefusesAGradientOfAnotherShapeInPyTorchsWords) {
    const std::string in = scratch_.write("in.npy", float_npy("(1, 1, 3, 2)", {1, 2, 3, 4, 5, 6}));
    EXPECT_TRUE(is_refused(run_halpool({"avg_pool2d_backward", in, scratch_.path("out.npy"), "--kernel-size", "2", "--input-shape", "1,1,4,4"}),
                           "Expected a tensor of dimension 4 and tensor.size[2] == 2 but got: dimension 4 and tensor.size[2] = 3"));
    EXPECT_EQ(scratch_.names(), std::set<std::string>{"in.npy"});
}

TEST_F(DTypes, ExplainNamesTheKernelOfAnOperatorAndADtype) {
    const ProcessResult result = run_halpool({"explain", "--op", "avg_pool2d_backward", "--dtype", "bfloat16", "--shape", "1,8,8,8", "--kernel-size", "3",
                                              "--stride", "2", "--padding", "1", "--json"});
    ASSERT_TRUE(succeeded(result));
    const nlohmann::json report = nlohmann::json::parse(result.out);
    EXPECT_EQ(report["kernel"].get<std::string>().rfind("avg_pool2d_backward_bf16_", 0), 0u) << report["kernel"];
    EXPECT_EQ(report["dtype"], "bfloat16");
    for (const nlohmann::json &candidate : report["candidates"]) EXPECT_NE(candidate["kernel"].get<std::string>().find("bf16"), std::string::npos);
}

TEST_F(DTypes, ExplainNamesTheWordsOfTwoBytesThatWholeVectorsOfEvenChannelsAreReadAs) {
    for (const auto &[dtype, name] : {std::pair{"uint8", "u8"}, std::pair{"int8", "i8"}}) {
        const auto kernel_of = [dtype = dtype](int channels, const std::vector<std::string> &more = {}) {
            std::vector<std::string> arguments{"explain", "--dtype", dtype, "--any-dtype", "--shape", "1," + std::to_string(channels) + ",8,8",
                                               "--layout", "nhwc", "--kernel-size", "3", "--stride", "2", "--json"};
            arguments.insert(arguments.end(), more.begin(), more.end());
            const ProcessResult result = run_halpool(arguments);
            EXPECT_TRUE(succeeded(result));
            return nlohmann::json::parse(result.out)["kernel"].get<std::string>();
        };
        if (kernel_of(64).find("_x86-64-") == std::string::npos) GTEST_SKIP() << "the kernels of this host read bytes one by one";
        const std::string pairs = std::string("avg_pool2d_") + name + "_nhwc-pairs_3x3s2_", bytes = std::string("avg_pool2d_") + name + "_nhwc_3x3s2_";
        EXPECT_EQ(kernel_of(64).rfind(pairs, 0), 0u) << kernel_of(64);
        EXPECT_EQ(kernel_of(63).rfind(bytes, 0), 0u) << kernel_of(63);
        EXPECT_EQ(kernel_of(8).rfind(bytes, 0), 0u) << kernel_of(8);
        // Bytes hold no mean of fewer than all taps.
        EXPECT_EQ(kernel_of(64, {"--divisor-override", "8"}).rfind(bytes, 0), 0u) << kernel_of(64, {"--divisor-override", "8"});
        EXPECT_EQ(kernel_of(64, {"--divisor-override", "9"}).rfind(pairs, 0), 0u) << kernel_of(64, {"--divisor-override", "9"});
    }
}

TEST_F(DTypes, ThePoolOfQuantizedBytesIsWrittenAsBytesOrAsFloats) {
    const std::string in = scratch_.write("in.npy", npy_bytes(npy_header("|u1", square), bytes_of(std::vector<std::uint8_t>{10, 12, 14, 17})));
    const auto result_of = [&](const std::vector<std::string> &options) {
        std::vector<std::string> arguments{"avg_pool2d", in, scratch_.path("out.npy"), "--kernel-size", "2", "--input-scale", "0.5", "--input-zero-point", "10"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        EXPECT_TRUE(succeeded(run_halpool(arguments)));
        const std::string file = scratch_.read("out.npy");
        return file.substr(10 + static_cast<unsigned char>(file[8]) + 256u * static_cast<unsigned char>(file[9]));
    };
    EXPECT_EQ(result_of({}), std::string(1, 13));
    EXPECT_EQ(result_of({"--output-scale", "0.25", "--output-zero-point", "3"}), std::string(1, 9));
    const float mean = 1.625f;
    EXPECT_EQ(result_of({"--output-dtype", "float32"}), std::string(reinterpret_cast<const char *>(&mean), sizeof mean));
    EXPECT_TRUE(is_refused(run_halpool({"avg_pool2d", in, scratch_.path("new.npy"), "--kernel-size", "2", "--input-scale", "0.5", "--input-zero-point", "300"}),
                           "zero_point is 300"));
}

TEST_F(DTypes, OptionsBeyondPyTorchReachTheLibrary) {
    EXPECT_EQ(run<float>({"avg_pool2d"}, "<f4", "(1, 1, 1, 4)", {1, 2, 3, 4}, {"--kernel-size", "1,3", "--stride", "1,2", "--auto-pad", "same-lower", "--divisor-rule", "valid-taps"}),
              (std::vector<float>{1.5f, 3}));
    EXPECT_EQ(run<float>({"avg_pool2d"}, "<f4", "(1, 1, 1, 4)", {1, 2, 3, 4}, {"--kernel-size", "1,2", "--stride", "1", "--dilation", "1,3"}), (std::vector<float>{2.5f}));
}

}  // namespace
}  // namespace halpool_test
