#include "halpool_process.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace halpool_test {

namespace {

class Pipe {
public:
    Pipe() {
        if (::pipe2(ends_, O_CLOEXEC) != 0) throw std::runtime_error("no pipe can be made");
    }
    Pipe(const Pipe &) = delete;
    Pipe &operator=(const Pipe &) = delete;
    ~Pipe() {
        ::close(ends_[0]);
        close_writer();
    }
    int reader() const { return ends_[0]; }
    int writer() const { return ends_[1]; }
    void close_writer() {
        if (ends_[1] >= 0) ::close(ends_[1]);
        ends_[1] = -1;
    }

private:
    int ends_[2];
};

// Appends what there is to read; false at the end.
bool read_some(const Pipe &pipe, std::string &text) {
    char block[4096];
    const ssize_t n = ::read(pipe.reader(), block, sizeof block);
    if (n > 0) text.append(block, static_cast<std::size_t>(n));
    return n > 0;
}

void read_both(const Pipe &out, std::string &out_text, const Pipe &err, std::string &err_text) {
    pollfd streams[2] = {{out.reader(), POLLIN, 0}, {err.reader(), POLLIN, 0}};
    while (streams[0].fd >= 0 || streams[1].fd >= 0) {
        if (::poll(streams, 2, -1) < 0) throw std::runtime_error("poll failed");
        if (streams[0].revents && !read_some(out, out_text)) streams[0].fd = -1;
        if (streams[1].revents && !read_some(err, err_text)) streams[1].fd = -1;
    }
}

[[noreturn]] void become_halpool(const std::vector<std::string> &arguments, const ProcessSettings &settings,
                                 int out, int err) {
    ::unsetenv("HALPOOL_TARGET");
    ::unsetenv("HALPOOL_KERNEL");
    for (const auto &[name, value] : settings.environment) ::setenv(name.c_str(), value.c_str(), 1);
    if (!settings.directory.empty() && ::chdir(settings.directory.c_str()) != 0) std::_Exit(126);
    if (settings.largest_file >= 0) {
        const auto bytes = static_cast<rlim_t>(settings.largest_file);
        const rlimit limit{bytes, bytes};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) std::_Exit(126);
        std::signal(SIGXFSZ, SIG_IGN);  // the write then fails with EFBIG, as on a full disk with ENOSPC
    }
    if (settings.obey_permissions && ::geteuid() == 0) {
        for (const int power : {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH})
            if (::prctl(PR_CAPBSET_DROP, power, 0, 0, 0) != 0) std::_Exit(126);
    }
    if (!settings.standard_output.empty()) out = ::open(settings.standard_output.c_str(), O_WRONLY | O_CLOEXEC);
    if (::dup2(out, STDOUT_FILENO) < 0 || ::dup2(err, STDERR_FILENO) < 0) std::_Exit(126);
    std::vector<char *> argv{const_cast<char *>(HALPOOL_PROGRAM)};
    for (const std::string &argument : arguments) argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(HALPOOL_PROGRAM, argv.data());
    std::_Exit(127);
}

}  // namespace

std::ostream &operator<<(std::ostream &stream, const ProcessResult &result) {
    if (result.signal != 0) stream << "halpool was ended by signal " << result.signal;
    else stream << "halpool exited with " << result.exit_code;
    return stream << "\nstandard output: " << result.out << "\nstandard error:  " << result.err;
}

ProcessResult run_halpool(const std::vector<std::string> &arguments, const ProcessSettings &settings) {
    Pipe out, err;
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) become_halpool(arguments, settings, out.writer(), err.writer());
    ProcessResult result;
    out.close_writer();
    err.close_writer();
    read_both(out, result.out, err, result.err);
    int status = 0;
    if (::waitpid(child, &status, 0) != child) throw std::runtime_error("waitpid failed");
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    else result.signal = WTERMSIG(status);
    return result;
}

testing::AssertionResult is_refused(const ProcessResult &result, const std::string &fragment) {
    const bool one_line = std::count(result.err.begin(), result.err.end(), '\n') == 1 && result.err.back() == '\n';
    if (result.exit_code == 2 && result.out.empty() && one_line && result.err.rfind("halpool: error: ", 0) == 0 &&
        result.err.find(fragment) != std::string::npos)
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << "expected exit code 2 and one error line with '" << fragment
                                       << "', but " << result;
}

testing::AssertionResult succeeded(const ProcessResult &result) {
    if (result.exit_code == 0 && result.err.empty()) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "expected success, but " << result;
}

}  // namespace halpool_test
