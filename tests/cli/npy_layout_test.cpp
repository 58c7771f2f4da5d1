// Every .npy file that NumPy writes means the same array, whatever its order, byte order or header.
#include "halpool_process.hpp"
#include "npy_bytes.hpp"
#include "scratch_directory.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <numeric>

namespace halpool_test {
namespace {

// [2, 3, 5, 7] of values that say where they stand.
constexpr std::int64_t n = 2, c = 3, h = 5, w = 7;
float value_at(std::int64_t in, std::int64_t ic, std::int64_t iy, std::int64_t ix) {
    return static_cast<float>(1000 * in + 100 * ic + 10 * iy + ix);
}

std::vector<float> c_order() {
    std::vector<float> values;
    for (std::int64_t in = 0; in < n; ++in)
        for (std::int64_t ic = 0; ic < c; ++ic)
            for (std::int64_t iy = 0; iy < h; ++iy)
                for (std::int64_t ix = 0; ix < w; ++ix) values.push_back(value_at(in, ic, iy, ix));
    return values;
}

std::vector<float> fortran_order() {
    std::vector<float> values;
    for (std::int64_t ix = 0; ix < w; ++ix)
        for (std::int64_t iy = 0; iy < h; ++iy)
            for (std::int64_t ic = 0; ic < c; ++ic)
                for (std::int64_t in = 0; in < n; ++in) values.push_back(value_at(in, ic, iy, ix));
    return values;
}

const std::string shape = "(2, 3, 5, 7)";
const std::string c_file = float_npy(shape, c_order());
const std::string fortran_file = npy_bytes(npy_header("<f4", shape, true), bytes_of(fortran_order()));

class NpyLayout : public testing::Test {
protected:
    FloatArray pool(const std::string &file, const std::vector<std::string> &more = {}) {
        std::vector<std::string> arguments{"avg_pool2d", scratch_.write("in.npy", file), scratch_.path("out.npy"),
                                           "--kernel-size", "3,2", "--stride", "2", "--padding", "1,0",
                                           "--ceil-mode", "--json"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        const ProcessResult result = run_halpool(arguments);
        EXPECT_TRUE(succeeded(result));
        if (result.exit_code != 0) return {};
        layout_ = nlohmann::json::parse(result.out)["layout"];
        return read_float_npy(scratch_.read("out.npy"));
    }

    void expect_same(const FloatArray &array) {
        const FloatArray expected = pool(c_file);
        EXPECT_EQ(array.shape, expected.shape);
        ASSERT_EQ(array.values.size(), expected.values.size());
        for (std::size_t i = 0; i < expected.values.size(); ++i)
            EXPECT_FLOAT_EQ(array.values[i], expected.values[i]) << "element " << i;
    }

    ScratchDirectory scratch_;
    std::string layout_;
};

TEST_F(NpyLayout, COrderGivesTheMeansOfItsWindows) {
    const FloatArray out = pool(c_file);
    EXPECT_EQ(layout_, "nchw");
    ASSERT_EQ(out.shape, (std::vector<std::int64_t>{2, 3, 3, 4}));
    const auto at = [&](std::int64_t in, std::int64_t ic, std::int64_t oy, std::int64_t ox) {
        return out.values[static_cast<std::size_t>(((in * c + ic) * 3 + oy) * 4 + ox)];
    };
    // Inside: rows 1 to 3, columns 2 and 3. At the top: rows -1 to 1, the first padding. At the right: ceil_mode's
    // cut window, the one column 6.
    EXPECT_FLOAT_EQ(at(1, 2, 1, 1), 1000 + 200 + 20 + 2.5f);
    EXPECT_FLOAT_EQ(at(1, 2, 0, 1), (2 * (1000 + 200 + 2.5f) + 10) / 3);
    EXPECT_FLOAT_EQ(at(1, 2, 1, 3), 1000 + 200 + 20 + 6);
}

TEST_F(NpyLayout, FortranOrderIsPooledByItsStrides) {
    const FloatArray out = pool(fortran_file);
    EXPECT_EQ(layout_, "strided");
    expect_same(out);
}

TEST_F(NpyLayout, FortranOrderCanBeRepacked) {
    const FloatArray planar = pool(fortran_file, {"--layout", "nchw"});
    EXPECT_EQ(layout_, "nchw");
    expect_same(planar);
    const FloatArray channels_last = pool(fortran_file, {"--layout", "nhwc"});
    EXPECT_EQ(layout_, "nhwc");
    expect_same(channels_last);
}

TEST_F(NpyLayout, ChannelsLastMemoryGivesTheSameArray) {
    const FloatArray out = pool(c_file, {"--layout", "nhwc"});
    EXPECT_EQ(layout_, "nhwc");
    expect_same(out);
}

TEST_F(NpyLayout, ThreadsGiveTheSameArray) {
    for (const char *threads : {"2", "7"}) expect_same(pool(c_file, {"--threads", threads}));
}

TEST_F(NpyLayout, BigEndianElementsAreSwapped) {
    std::string data = bytes_of(c_order());
    for (std::size_t i = 0; i < data.size(); i += 4) std::reverse(data.begin() + i, data.begin() + i + 4);
    expect_same(pool(npy_bytes(npy_header(">f4", shape), data)));
}

TEST_F(NpyLayout, EveryHeaderVersionIsRead) {
    const std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }";
    for (const int version : {1, 2, 3})
        expect_same(pool(npy_bytes(padded_header(text, version), bytes_of(c_order()), version)));
}

TEST_F(NpyLayout, HeadersMayBeSpacedQuotedAndOrderedInAnyWay) {
    for (const char *text : {"{'shape': (2, 3, 5, 7), 'fortran_order': False, 'descr': '<f4'}",
                             "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(2,3,5,7,)}",
                             " {'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 2 , 3 , 5 , 7 ) , } \n",
                             "{'descr': '=f4', 'fortran_order': False, 'shape': (2L, 3L, 5L, 7L), }"})
        expect_same(pool(npy_bytes(padded_header(text), bytes_of(c_order()))));
}

TEST_F(NpyLayout, DataMayBeginAtAnyByte) {
    std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + "}";
    for (int i = 0; i < 4; ++i) {
        text += ' ';
        expect_same(pool(npy_bytes(text, bytes_of(c_order()))));
    }
}

TEST_F(NpyLayout, Rank3IsOneImage) {
    const FloatArray batch = pool(float_npy("(1, 6, 5, 7)", c_order()));
    const FloatArray image = pool(float_npy("(6, 5, 7)", c_order()));
    EXPECT_EQ(image.shape, (std::vector<std::int64_t>{6, 3, 4}));
    EXPECT_EQ(image.values, batch.values);
}

TEST_F(NpyLayout, AnEmptyBatchStaysEmpty) {
    const FloatArray out = pool(float_npy("(0, 3, 5, 7)", {}));
    EXPECT_EQ(out.shape, (std::vector<std::int64_t>{0, 3, 3, 4}));
    EXPECT_TRUE(out.values.empty());
}

TEST_F(NpyLayout, TheKnownAnswerComesOut) {
    std::vector<float> sixteen(16);
    std::iota(sixteen.begin(), sixteen.end(), 1.0f);
    const std::string in = scratch_.write("in.npy", float_npy("(1, 1, 4, 4)", sixteen));
    for (const char *layout : {"nchw", "nhwc"}) {
        ASSERT_TRUE(
            succeeded(run_halpool({"avg_pool2d", in, scratch_.path("out.npy"), "--kernel-size", "3", "--stride",
                                   "2", "--padding", "1", "--ceil-mode", "--layout", layout})));
        const FloatArray out = read_float_npy(scratch_.read("out.npy"));
        EXPECT_EQ(out.shape, (std::vector<std::int64_t>{1, 1, 3, 3}));
        const std::vector<float> expected{14 / 9.0f, 30 / 9.0f, 2, 57 / 9.0f, 11, 6, 4.5f, 7.5f, 4};
        ASSERT_EQ(out.values.size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i)
            EXPECT_FLOAT_EQ(out.values[i], expected[i]) << layout << ", element " << i;
    }
}

}  // namespace
}  // namespace halpool_test
