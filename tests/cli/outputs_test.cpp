// What the program writes, and that a failure leaves everything as it was.
#include "halpool_process.hpp"
#include "npy_bytes.hpp"
#include "scratch_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace halpool_test {
namespace {

namespace fs = std::filesystem;

const std::string in_file = float_npy("(1, 1, 2, 2)", {10, 20, 30, 40});

class Outputs : public testing::Test {
protected:
    ProcessResult pool(const std::vector<std::string> &outputs, const ProcessSettings &settings = {}) {
        std::vector<std::string> arguments{"avg_pool2d", in_, "--kernel-size", "2"};
        arguments.insert(arguments.begin() + 2, outputs.begin(), outputs.end());
        return run_halpool(arguments, settings);
    }

    std::vector<float> values(const std::string &name) { return read_float_npy(scratch_.read(name)).values; }

    ScratchDirectory scratch_;
    std::string in_ = scratch_.write("in.npy", in_file);
};

TEST_F(Outputs, AreWrittenAndNothingElseIs) {
    ASSERT_TRUE(succeeded(pool({scratch_.path("out.npy")})));
    EXPECT_EQ(values("out.npy"), std::vector<float>{25});
    EXPECT_EQ(scratch_.names(), (std::set<std::string>{"in.npy", "out.npy"}));
}

TEST_F(Outputs, ManyGetTheSameResult) {
    ASSERT_TRUE(succeeded(pool({scratch_.path("a.npy"), scratch_.path("b.png"), scratch_.path("c.NPY")})));
    EXPECT_EQ(scratch_.read("a.npy"), scratch_.read("c.NPY"));
    EXPECT_EQ(scratch_.read("b.png").substr(1, 3), "PNG");
}

TEST_F(Outputs, MayReplaceTheInput) {
    ASSERT_TRUE(succeeded(pool({in_})));
    EXPECT_EQ(values("in.npy"), std::vector<float>{25});
}

TEST_F(Outputs, MayLieInTheWorkingDirectory) {
    ProcessSettings settings;
    settings.directory = scratch_.path();
    ASSERT_TRUE(succeeded(pool({"out.npy"}, settings)));
    EXPECT_EQ(values("out.npy"), std::vector<float>{25});
}

TEST_F(Outputs, KeepTheModeOfTheFileTheyReplace) {
    scratch_.write("out.npy", "old");
    ASSERT_EQ(::chmod(scratch_.path("out.npy").c_str(), 0640), 0);
    ASSERT_TRUE(succeeded(pool({scratch_.path("out.npy")})));
    struct stat status;
    ASSERT_EQ(::stat(scratch_.path("out.npy").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0640u);
}

TEST_F(Outputs, GetTheModeThatTheUserWants) {
    const mode_t old = ::umask(027);
    const ProcessResult result = pool({scratch_.path("out.npy")});
    ::umask(old);
    ASSERT_TRUE(succeeded(result));
    struct stat status;
    ASSERT_EQ(::stat(scratch_.path("out.npy").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0640u);
}

TEST_F(Outputs, ThroughASymbolicLinkReplaceWhatItNames) {
    scratch_.write("real.npy", "old");
    fs::create_symlink("real.npy", scratch_.path("link.npy"));
    ASSERT_TRUE(succeeded(pool({scratch_.path("link.npy")})));
    EXPECT_TRUE(fs::is_symlink(scratch_.path("link.npy")));
    EXPECT_EQ(values("real.npy"), std::vector<float>{25});
}

TEST_F(Outputs, InAMissingDirectoryAreRefused) {
    EXPECT_TRUE(is_refused(pool({scratch_.path("missing/out.npy")}), "No such file or directory"));
}

TEST_F(Outputs, BehindAFileAreRefused) {
    EXPECT_TRUE(is_refused(pool({in_ + "/out.npy"}), "Not a directory"));
}

TEST_F(Outputs, ThatAreDirectoriesAreRefused) {
    fs::create_directory(scratch_.path("out.npy"));
    EXPECT_TRUE(is_refused(pool({scratch_.path("out.npy")}), "Is a directory"));
    EXPECT_TRUE(fs::is_directory(scratch_.path("out.npy")));
}

TEST_F(Outputs, WithNamesTooLongAreRefused) {
    EXPECT_TRUE(is_refused(pool({scratch_.path(std::string(300, 'x') + ".npy")}), "File name too long"));
}

TEST_F(Outputs, WithUnknownEndingsAreRefusedBeforeAnyWork) {
    for (const char *name : {"out.txt", "out", ".npy", "out.npy.gz"})
        EXPECT_TRUE(is_refused(pool({scratch_.path(name)}), "does not end in .npy")) << name;
    EXPECT_TRUE(is_refused(pool({scratch_.path("out.npy"), ""}), "does not end in .npy"));
    EXPECT_EQ(scratch_.names(), std::set<std::string>{"in.npy"});
}

// A program that fails this as root would replace the machine's own device: root gets one to lose.
TEST_F(Outputs, OnAFullDeviceAreRefused) {
    const std::string device = scratch_.path("out.npy");
    if (::geteuid() != 0) {
        fs::create_symlink("/dev/full", device);
    } else if (::mknod(device.c_str(), S_IFCHR | 0666, makedev(1, 7)) != 0 || !std::ofstream(device)) {
        GTEST_SKIP() << "no device can be made in " << scratch_.path();
    }
    EXPECT_TRUE(is_refused(pool({device}), "No space left on device"));
    EXPECT_TRUE(fs::is_character_file(device));
}

TEST_F(Outputs, ToAPipeAreWrittenInPlace) {
    const std::string pipe = scratch_.path("out.npy");
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ASSERT_GE(reader, 0);
    const ProcessResult result = pool({pipe});
    char contents[4096];
    const ssize_t size = ::read(reader, contents, sizeof contents);
    ::close(reader);
    ASSERT_TRUE(succeeded(result));
    EXPECT_TRUE(fs::is_fifo(pipe));
    ASSERT_GT(size, 0);
    EXPECT_EQ(read_float_npy({contents, static_cast<std::size_t>(size)}).values, std::vector<float>{25});
}

TEST_F(Outputs, WithoutPermissionAreRefused) {
    ProcessSettings settings;
    settings.obey_permissions = true;
    if (pool({scratch_.path("allowed.npy")}, settings).exit_code != 0)
        GTEST_SKIP() << "root keeps all its powers here";
    scratch_.write("out.npy", "old");
    fs::permissions(scratch_.path("out.npy"), fs::perms::owner_read);
    EXPECT_TRUE(is_refused(pool({scratch_.path("out.npy")}, settings), "Permission denied"));
    EXPECT_EQ(scratch_.read("out.npy"), "old");

    fs::create_directory(scratch_.path("directory"));
    fs::permissions(scratch_.path("directory"), fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_TRUE(is_refused(pool({scratch_.path("directory/out.npy")}, settings), "Permission denied"));
    EXPECT_TRUE(fs::is_empty(scratch_.path("directory")));

    fs::permissions(in_, fs::perms::owner_write);
    EXPECT_TRUE(is_refused(pool({scratch_.path("other.npy")}, settings), "Permission denied"));
}

TEST_F(Outputs, ThatFailMidwayLeaveTheOldFileAndNoOther) {
    scratch_.write("out.npy", "old");
    ProcessSettings settings;
    settings.largest_file = 20;
    EXPECT_TRUE(is_refused(pool({scratch_.path("out.npy")}, settings), "File too large"));
    EXPECT_EQ(scratch_.read("out.npy"), "old");
    EXPECT_EQ(scratch_.names(), (std::set<std::string>{"in.npy", "out.npy"}));
}

TEST_F(Outputs, AllStayUntouchedWhenOneFails) {
    scratch_.write("a.npy", "old");
    EXPECT_TRUE(is_refused(pool({scratch_.path("a.npy"), scratch_.path("missing/b.npy")})));
    EXPECT_EQ(scratch_.read("a.npy"), "old");
    EXPECT_EQ(scratch_.names(), (std::set<std::string>{"a.npy", "in.npy"}));
}

TEST_F(Outputs, StayUntouchedWhenTheCallIsRefused) {
    scratch_.write("out.npy", "old");
    EXPECT_TRUE(is_refused(run_halpool({"avg_pool2d", in_, scratch_.path("out.npy"), "--kernel-size", "3"}),
                           "Output size is too small"));
    EXPECT_EQ(scratch_.read("out.npy"), "old");
}

TEST_F(Outputs, LargerThanTheMachinesMemoryAreRefused) {
    EXPECT_TRUE(is_refused(run_halpool({"avg_pool2d", in_, scratch_.path("out.npy"), "--kernel-size", "1",
                                        "--any-padding", "--padding", "10000000"}),
                           "memory"));
    EXPECT_EQ(scratch_.names(), std::set<std::string>{"in.npy"});
}

TEST_F(Outputs, ReportsThatCannotBePrintedAreAnError) {
    ProcessSettings settings;
    settings.standard_output = "/dev/full";
    EXPECT_TRUE(is_refused(run_halpool({"info"}, settings), "standard output"));
    EXPECT_TRUE(is_refused(run_halpool({"info", "--json"}, settings), "standard output"));
    EXPECT_TRUE(is_refused(pool({scratch_.path("out.npy")}, settings), "standard output"));
}

}  // namespace
}  // namespace halpool_test
