#include "whole_file.hpp"

#include "memory_limit.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace halpool::cli {

namespace {

[[noreturn]] void fail(const char *action, const std::string &path, const char *cause) {
    throw std::runtime_error(std::string("cannot ") + action + " '" + path + "': " + cause);
}

class FileDescriptor {
public:
    explicit FileDescriptor(int value) noexcept : value_(value) {}
    FileDescriptor(const FileDescriptor &) = delete;
    FileDescriptor &operator=(const FileDescriptor &) = delete;
    ~FileDescriptor() {
        if (value_ >= 0) ::close(value_);
    }
    int get() const noexcept { return value_; }
    // Some file systems report a failed write only here.
    int close() noexcept { return ::close(std::exchange(value_, -1)); }

private:
    int value_;
};

void write_all(FileDescriptor &file, const std::vector<unsigned char> &contents, const std::string &path) {
    for (std::size_t done = 0; done < contents.size();) {
        const ssize_t n = ::write(file.get(), contents.data() + done, contents.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail("write", path, std::strerror(errno));
        done += static_cast<std::size_t>(n);
    }
    if (file.close() != 0) fail("write", path, std::strerror(errno));
}

// A new, empty file in the target's own directory: a rename from another file system would not be atomic.
int create_beside(const std::string &target, std::string &temporary) {
    const std::filesystem::path directory = std::filesystem::path(target).parent_path();
    for (int attempt = 0;; ++attempt) {
        const std::string name = ".halpool-" + std::to_string(::getpid()) + "-" + std::to_string(attempt);
        temporary = (directory / name).string();
        const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file >= 0 || errno != EEXIST) return file;
    }
}

}  // namespace

std::vector<unsigned char> read_file(const std::string &path) {
    struct stat status;
    if (::stat(path.c_str(), &status) != 0) fail("read", path, std::strerror(errno));
    if (S_ISDIR(status.st_mode)) fail("read", path, std::strerror(EISDIR));
    if (!S_ISREG(status.st_mode)) fail("read", path, "not a regular file");
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) fail("read", path, std::strerror(errno));
    require_memory(static_cast<std::uint64_t>(status.st_size), "reading '" + path + "'");
    std::vector<unsigned char> contents(static_cast<std::size_t>(status.st_size));
    for (std::size_t done = 0; done < contents.size();) {
        const ssize_t n = ::read(file.get(), contents.data() + done, contents.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail("read", path, std::strerror(errno));
        if (n == 0) fail("read", path, "the file became shorter while it was read");
        done += static_cast<std::size_t>(n);
    }
    return contents;
}

ReplacementFile::ReplacementFile(std::string path, const std::vector<unsigned char> &contents)
    : path_(std::move(path)), target_(path_) {
    struct stat status;
    const bool exists = ::stat(path_.c_str(), &status) == 0;
    if (!exists && errno != ENOENT) fail("write", path_, std::strerror(errno));
    if (exists && S_ISDIR(status.st_mode)) fail("write", path_, std::strerror(EISDIR));
    if (exists && !S_ISREG(status.st_mode)) {
        FileDescriptor file(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
        if (file.get() < 0) fail("write", path_, std::strerror(errno));
        write_all(file, contents, path_);
        return;
    }
    if (exists) {
        // A rename asks the directory for permission only, never the file that it replaces.
        if (::access(path_.c_str(), W_OK) != 0) fail("write", path_, std::strerror(errno));
        std::error_code error;
        target_ = std::filesystem::canonical(path_, error).string();  // keep a link, replace what it names
        if (error) fail("write", path_, error.message().c_str());
    }
    FileDescriptor file(create_beside(target_, temporary_));
    if (file.get() < 0) {
        temporary_.clear();
        fail("write", path_, std::strerror(errno));
    }
    try {
        if (exists) {
            // Only root may keep a foreign owner; for all others the new file is simply theirs.
            if (::fchown(file.get(), status.st_uid, status.st_gid) != 0) errno = 0;
            if (::fchmod(file.get(), status.st_mode & 07777) != 0) fail("write", path_, std::strerror(errno));
        }
        write_all(file, contents, path_);
    } catch (...) {
        ::unlink(temporary_.c_str());
        throw;
    }
}

ReplacementFile::ReplacementFile(ReplacementFile &&other) noexcept
    : path_(std::move(other.path_)), target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, std::string())) {}

ReplacementFile::~ReplacementFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void ReplacementFile::commit() {
    if (temporary_.empty()) return;
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("write", path_, std::strerror(errno));
    temporary_.clear();
}

}  // namespace halpool::cli
