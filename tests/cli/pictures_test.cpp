#include "halpool_process.hpp"
#include "npy_bytes.hpp"
#include "sample_pictures.hpp"
#include "scratch_directory.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

namespace halpool_test {
namespace {

using Extents = std::vector<std::int64_t>;

class Pictures : public testing::Test {
protected:
    // A window of one pixel: the program then only converts.
    ProcessResult convert(const std::string &in, const std::string &out) {
        return run_halpool({"avg_pool2d", scratch_.path(in), scratch_.path(out), "--kernel-size", "1", "--json"});
    }

    FloatArray values_of(const std::string &name, const std::string &file) {
        scratch_.write(name, file);
        const ProcessResult result = convert(name, "values.npy");
        EXPECT_TRUE(succeeded(result));
        if (result.exit_code != 0) return {};
        layout_ = nlohmann::json::parse(result.out)["layout"];
        return read_float_npy(scratch_.read("values.npy"));
    }

    ScratchDirectory scratch_;
    std::string layout_;
};

TEST_F(Pictures, GrayPngIsOneChannel) {
    const FloatArray array = values_of("in.png", file_of(gray_png));
    EXPECT_EQ(array.shape, (Extents{1, 1, 2, 3}));
    EXPECT_EQ(array.values, (std::vector<float>{0, 10, 20, 30, 40, 255}));
    EXPECT_EQ(layout_, "nchw");
}

TEST_F(Pictures, RgbPngIsThreeChannels) {
    const FloatArray array = values_of("in.png", file_of(rgb_png));
    EXPECT_EQ(array.shape, (Extents{1, 3, 2, 2}));
    EXPECT_EQ(array.values, (std::vector<float>{1, 4, 7, 250, 2, 5, 8, 251, 3, 6, 9, 252}));
    EXPECT_EQ(layout_, "nhwc");
}

TEST_F(Pictures, RgbaPngIsFourChannels) {
    const FloatArray array = values_of("in.PNG", file_of(rgba_png));
    EXPECT_EQ(array.shape, (Extents{1, 4, 1, 2}));
    EXPECT_EQ(array.values, (std::vector<float>{1, 5, 2, 6, 3, 7, 0, 128}));
}

TEST_F(Pictures, PalettesBecomeTheirColours) {
    const FloatArray array = values_of("in.png", file_of(palette_png));
    EXPECT_EQ(array.shape, (Extents{1, 3, 1, 3}));
    EXPECT_EQ(array.values, (std::vector<float>{10, 70, 40, 20, 80, 50, 30, 90, 60}));
}

TEST_F(Pictures, JpegPhotographHasItsKnownPixels) {
    std::ifstream photograph(HALPOOL_PHOTOGRAPH, std::ios::binary);
    const FloatArray array = values_of("in.jpg", {std::istreambuf_iterator<char>(photograph), {}});
    ASSERT_EQ(array.shape, (Extents{1, 3, 600, 512}));
    struct Pixel {
        std::size_t y, x;
        float rgb[3];
    };
    // As Pillow decodes them; decoders may differ by one or two.
    const Pixel pixels[] = {{0, 0, {21, 24, 77}}, {100, 250, {30, 21, 26}}, {300, 200, {103, 23, 14}},
                            {450, 40, {11, 9, 12}}, {599, 511, {14, 13, 19}}};
    for (const Pixel &pixel : pixels) {
        for (std::size_t channel = 0; channel < 3; ++channel)
            EXPECT_NEAR(array.values[(channel * 600 + pixel.y) * 512 + pixel.x], pixel.rgb[channel], 2)
                << "row " << pixel.y << ", column " << pixel.x;
    }
}

TEST_F(Pictures, PngKeepsEveryValue) {
    for (const std::int64_t channels : {1, 3, 4}) {
        std::vector<float> values;
        for (std::int64_t i = 0; i < channels * 16 * 16; ++i) values.push_back(static_cast<float>(i * 7 % 256));
        const std::string shape = "(1, " + std::to_string(channels) + ", 16, 16)";
        scratch_.write("in.npy", float_npy(shape, values));
        ASSERT_TRUE(succeeded(convert("in.npy", "picture.png")));
        EXPECT_EQ(values_of("again.png", scratch_.read("picture.png")).values, values) << channels;
    }
}

TEST_F(Pictures, JpegKeepsSmoothValuesNearly) {
    for (const std::int64_t channels : {1, 3}) {
        std::vector<float> values;
        for (std::int64_t channel = 0; channel < channels; ++channel)
            for (std::int64_t y = 0; y < 32; ++y)
                for (std::int64_t x = 0; x < 32; ++x)
                    values.push_back(static_cast<float>(40 * channel + 3 * x + 2 * y));
        const std::string shape = "(" + std::to_string(channels) + ", 32, 32)";
        scratch_.write("in.npy", float_npy(shape, values));
        for (const char *name : {"picture.jpg", "picture.jpeg"}) {
            ASSERT_TRUE(succeeded(convert("in.npy", name)));
            const FloatArray again = values_of(name, scratch_.read(name));
            EXPECT_EQ(again.shape, (Extents{1, channels, 32, 32}));
            ASSERT_EQ(again.values.size(), values.size());
            for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(again.values[i], values[i], 4) << i;
        }
    }
}

TEST_F(Pictures, ValuesAreRoundedAndClamped) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    scratch_.write("in.npy", float_npy("(1, 2, 5)", {-1, 0.4f, 0.6f, 254.4f, 254.6f,  //
                                                     256, 1e30f, infinity, -infinity, nan}));
    ASSERT_TRUE(succeeded(convert("in.npy", "out.png")));
    EXPECT_EQ(values_of("again.png", scratch_.read("out.png")).values,
              (std::vector<float>{0, 0, 1, 254, 255, 255, 255, 255, 0, 0}));
}

TEST_F(Pictures, LayoutsGiveTheSamePicture) {
    scratch_.write("in.png", file_of(rgb_png));
    for (const char *layout : {"nchw", "nhwc"})
        ASSERT_TRUE(succeeded(run_halpool({"avg_pool2d", scratch_.path("in.png"),
                                           scratch_.path(layout + std::string(".png")), "--kernel-size", "2",
                                           "--layout", layout})));
    EXPECT_EQ(scratch_.read("nchw.png"), scratch_.read("nhwc.png"));
    EXPECT_EQ(values_of("again.png", scratch_.read("nchw.png")).values, (std::vector<float>{66, 66, 68}));
}

TEST_F(Pictures, ArraysThatAreNoPictureAreRefusedBeforeAnyWork) {
    const auto refusal = [&](const std::string &shape, std::size_t elements, const std::string &out) {
        scratch_.write("in.npy", float_npy(shape, std::vector<float>(elements)));
        return convert("in.npy", out);
    };
    EXPECT_TRUE(is_refused(refusal("(2, 3, 2, 2)", 24, "out.png"), "a batch of 2"));
    EXPECT_TRUE(is_refused(refusal("(0, 3, 2, 2)", 0, "out.png"), "a batch of 0"));
    EXPECT_TRUE(is_refused(refusal("(1, 2, 2, 2)", 8, "out.png"), "has 2"));
    EXPECT_TRUE(is_refused(refusal("(5, 2, 2)", 20, "out.jpg"), "has 5"));
    EXPECT_TRUE(is_refused(refusal("(4, 2, 2)", 16, "out.jpg"), "no alpha"));
    EXPECT_EQ(scratch_.names(), std::set<std::string>{"in.npy"});
}

TEST_F(Pictures, WiderThanJpegAllowsAreRefused) {
    scratch_.write("in.npy", float_npy("(1, 1, 70000)", std::vector<float>(70000)));
    EXPECT_TRUE(is_refused(convert("in.npy", "out.jpg"), "out.jpg"));
    EXPECT_EQ(scratch_.names(), std::set<std::string>{"in.npy"});
}

TEST_F(Pictures, OfKindsThatAreNotReadAreRefused) {
    scratch_.write("in.png", file_of(sixteen_bit_png));
    EXPECT_TRUE(is_refused(convert("in.png", "out.npy"), "8 bits"));
    scratch_.write("in.png", file_of(huge_png));
    EXPECT_TRUE(is_refused(convert("in.png", "out.npy"), "too large"));
    scratch_.write("in.jpg", file_of(cmyk_jpeg));
    EXPECT_TRUE(is_refused(convert("in.jpg", "out.npy"), "CMYK"));
    scratch_.write("in.jpg", file_of(rgb_png));
    EXPECT_TRUE(is_refused(convert("in.jpg", "out.npy"), "in.jpg"));
    scratch_.write("in.png", float_npy("(1, 1, 1)", {1}));
    EXPECT_TRUE(is_refused(convert("in.png", "out.npy"), "in.png"));
    for (const char *name : {"in.png", "in.jpg"}) {
        scratch_.write(name, "");
        EXPECT_TRUE(is_refused(convert(name, "out.npy"), name));
    }
}

TEST_F(Pictures, TruncatedAtAnyLengthAreRefused) {
    const std::string png = file_of(rgb_png);
    // All that may be missing is the end marker's checksum and what it protects: nothing.
    for (std::size_t length = 0; length + 12 < png.size(); ++length) {
        scratch_.write("in.png", png.substr(0, length));
        EXPECT_TRUE(is_refused(convert("in.png", "out.npy"), "in.png")) << length;
    }
    scratch_.write("in.npy", float_npy("(3, 16, 16)", std::vector<float>(3 * 16 * 16, 99)));
    ASSERT_TRUE(succeeded(convert("in.npy", "whole.jpg")));
    const std::string jpeg = scratch_.read("whole.jpg");
    for (std::size_t length = 0; length + 2 < jpeg.size(); length += 3) {
        scratch_.write("in.jpg", jpeg.substr(0, length));
        EXPECT_TRUE(is_refused(convert("in.jpg", "out.npy"), "in.jpg")) << length;
    }
}

TEST_F(Pictures, CorruptAnywhereNeverCrashTheProgram) {
    scratch_.write("in.npy", float_npy("(3, 16, 16)", std::vector<float>(3 * 16 * 16, 99)));
    ASSERT_TRUE(succeeded(convert("in.npy", "whole.jpg")));
    const std::pair<const char *, std::string> pictures[] = {{"in.png", file_of(palette_png)},
                                                             {"in.jpg", scratch_.read("whole.jpg")}};
    for (const auto &[name, whole] : pictures) {
        for (std::size_t at = 0; at < whole.size(); at += whole.size() > 200 ? 7 : 1) {
            std::string corrupt = whole;
            corrupt[at] = static_cast<char>(~corrupt[at]);
            scratch_.write(name, corrupt);
            const ProcessResult result = convert(name, "out.npy");
            EXPECT_TRUE(result.exit_code == 0 || is_refused(result)) << name << ", byte " << at << ": " << result;
        }
    }
}

}  // namespace
}  // namespace halpool_test
