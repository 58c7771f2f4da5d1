// .npy files that lie, end early or hold what halpool does not know.
#include "halpool_process.hpp"
#include "npy_bytes.hpp"
#include "scratch_directory.hpp"

#include <gtest/gtest.h>

namespace halpool_test {
namespace {

const std::vector<float> sixteen = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
const std::string sixteen_bytes = bytes_of(sixteen);
const std::string valid = float_npy("(1, 1, 4, 4)", sixteen);

ProcessResult pool(const ScratchDirectory &scratch, const std::string &file) {
    const std::string in = scratch.write("in.npy", file);
    return run_halpool({"avg_pool2d", in, scratch.path("out.npy"), "--kernel-size", "2"});
}

struct Malformed {
    const char *name;
    std::string file;
    const char *message;
};

std::string with_shape(const std::string &shape) { return npy_bytes(npy_header("<f4", shape), sixteen_bytes); }
std::string with_header(const std::string &header) { return npy_bytes(padded_header(header), sixteen_bytes); }
std::string with_descr(const std::string &descr) {
    return npy_bytes(npy_header(descr, "(1, 1, 2, 2)"), sixteen_bytes);
}

const std::vector<Malformed> &malformed_files() {
    static const std::vector<Malformed> files = {
        {"Empty", "", "magic"},
        {"OtherMagic", "\x89PNG\r\n" + valid.substr(6), "magic"},
        {"Version4", npy_bytes(npy_header("<f4", "(1, 1, 4, 4)"), sixteen_bytes, 4), "version 4.0"},
        {"Version0", npy_bytes(npy_header("<f4", "(1, 1, 4, 4)"), sixteen_bytes, 0), "version 0.0"},
        {"HeaderOf4GiB", std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12) + valid.substr(10), "header"},
        {"HeaderOf64KiB", std::string("\x93NUMPY\x01\x00\xff\xff", 10) + valid.substr(10), "header"},
        {"EmptyHeader", npy_bytes("", sixteen_bytes), "malformed"},
        {"HeaderIsNoDict", with_header("[1, 2]"), "malformed"},
        {"HeaderIsBinary", npy_bytes(std::string(54, '\0'), sixteen_bytes), "malformed"},
        {"DictNotClosed", with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4,),"), "malformed"},
        {"StringNotClosed", with_header("{'descr': '<f4"), "malformed"},
        {"NoColon", with_header("{'descr' '<f4', 'fortran_order': False, 'shape': (4,), }"), "malformed"},
        {"NoComma", with_header("{'descr': '<f4' 'fortran_order': False, 'shape': (4,), }"), "malformed"},
        {"NoDescr", with_header("{'fortran_order': False, 'shape': (1, 1, 4, 4), }"), "lacks"},
        {"NoFortranOrder", with_header("{'descr': '<f4', 'shape': (1, 1, 4, 4), }"), "lacks"},
        {"NoShape", with_header("{'descr': '<f4', 'fortran_order': False, }"), "lacks"},
        {"KeyTwice", with_header("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (4,), }"),
         "'descr'"},
        {"UnknownKey", with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'x': 1}"), "'x'"},
        {"TextAfterTheDict", with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 4, 4), } x"),
         "after its dict"},
        {"FortranOrderIsNoBool", with_header("{'descr': '<f4', 'fortran_order': 1, 'shape': (1, 1, 4, 4), }"),
         "'fortran_order'"},
        {"ShapeIsAList", with_shape("[1, 1, 4, 4]"), "malformed"},
        {"ShapeIsAnInteger", with_shape("16"), "malformed"},
        {"ShapeIsAnIntegerInBrackets", with_shape("(16)"), "not a tuple"},
        {"ShapeOfFloats", with_shape("(1, 1, 4.0, 4)"), "malformed"},
        {"ShapeOfNames", with_shape("(1, 1, four, 4)"), "no integer"},
        {"NegativeExtent", with_shape("(1, 1, -4, -4)"), "negative"},
        {"ExtentOver64Bits", with_shape("(1, 1, 99999999999999999999, 4)"), "overflows 64 bits"},
        {"SizeOver64Bits", with_shape("(4294967296, 4294967296, 4, 4)"), "overflows 64 bits"},
        {"BytesOver64Bits", with_shape("(1, 1, 4611686018427387904, 4)"), "overflows 64 bits"},
        {"BytesWrapToTheFilesOwn", with_shape("(1, 1, 4611686018427387904, 16)"), "overflows 64 bits"},
        {"LessDataThanAnnounced", with_shape("(1, 1, 4, 5)"), "announces 80 bytes of data, but only 64"},
        {"MuchLessDataThanAnnounced", with_shape("(1, 1, 1000000000, 1000000000)"), "but only 64"},
        {"MoreDataThanAnnounced", with_shape("(1, 1, 4, 3)"), "16 bytes follow"},
        {"OneByteTooMany", valid + "x", "1 bytes follow"},
        {"TwoArrays", valid + valid, "bytes follow"},
        {"Objects", with_descr("|O"), "'|O'"},
        {"Strings", with_descr("<U4"), "'<U4'"},
        {"Bytes", with_descr("|S16"), "'|S16'"},
        {"Dates", with_descr("<M8[ns]"), "'<M8[ns]'"},
        {"Void", with_descr("|V4"), "'|V4'"},
        {"LongDouble", with_descr("<f16"), "'<f16'"},
        {"EmptyDescr", with_descr(""), "''"},
        {"OnlyAByteOrder", with_descr("<"), "'<'"},
        {"Records", with_header("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (16,), }"), "records"},
        {"Unsigned16", with_descr("<u2"), "'<u2'"},
    };
    return files;
}

class MalformedNpy : public testing::TestWithParam<Malformed> {};
std::ostream &operator<<(std::ostream &out, const Malformed &malformed) { return out << malformed.name; }

TEST_P(MalformedNpy, IsRefusedWithItsReason) {
    const ScratchDirectory scratch;
    EXPECT_TRUE(is_refused(pool(scratch, GetParam().file), GetParam().message));
    EXPECT_EQ(scratch.names(), std::set<std::string>{"in.npy"});
}

INSTANTIATE_TEST_SUITE_P(File, MalformedNpy, testing::ValuesIn(malformed_files()),
                         [](const testing::TestParamInfo<Malformed> &info) { return info.param.name; });

TEST(TruncatedNpy, IsRefusedAtEveryLength) {
    const ScratchDirectory scratch;
    ASSERT_TRUE(succeeded(pool(scratch, valid)));
    std::filesystem::remove(scratch.path("out.npy"));
    for (std::size_t length = 0; length < valid.size(); ++length)
        EXPECT_TRUE(is_refused(pool(scratch, valid.substr(0, length)), "in.npy")) << length;
    EXPECT_EQ(scratch.names(), std::set<std::string>{"in.npy"});
}

TEST(CorruptNpy, NeverCrashesTheProgram) {
    const ScratchDirectory scratch;
    for (std::size_t at = 0; at < valid.size() - sixteen_bytes.size(); ++at) {
        for (const unsigned char flip : {0x01, 0x80}) {
            std::string file = valid;
            file[at] = static_cast<char>(static_cast<unsigned char>(file[at]) ^ flip);
            const ProcessResult result = pool(scratch, file);
            EXPECT_TRUE(result.exit_code == 0 || is_refused(result)) << "byte " << at << ": " << result;
        }
    }
}

TEST(UnreadableInput, IsRefusedWithItsReason) {
    const ScratchDirectory scratch;
    const auto pool_from = [&](const std::string &path) {
        return run_halpool({"avg_pool2d", path, scratch.path("out.npy"), "--kernel-size", "2"});
    };
    EXPECT_TRUE(is_refused(pool_from(scratch.path("missing.npy")), "No such file or directory"));
    std::filesystem::create_directory(scratch.path("directory.npy"));
    EXPECT_TRUE(is_refused(pool_from(scratch.path("directory.npy")), "Is a directory"));
    std::filesystem::create_symlink("/dev/zero", scratch.path("endless.npy"));
    EXPECT_TRUE(is_refused(pool_from(scratch.path("endless.npy")), "not a regular file"));
    EXPECT_TRUE(is_refused(pool_from(scratch.write("array.txt", valid)), "does not end in .npy"));
    EXPECT_TRUE(is_refused(pool_from(scratch.write("array", valid)), "does not end in .npy"));
    EXPECT_TRUE(is_refused(pool_from(""), "does not end in .npy"));
    EXPECT_FALSE(std::filesystem::exists(scratch.path("out.npy")));
}

}  // namespace
}  // namespace halpool_test
