// Runs the program and keeps what it printed.
#ifndef HALPOOL_TESTS_CLI_HALPOOL_PROCESS_HPP
#define HALPOOL_TESTS_CLI_HALPOOL_PROCESS_HPP

#include <gtest/gtest.h>

#include <map>
#include <ostream>
#include <string>
#include <vector>

namespace halpool_test {

struct ProcessResult {
    int exit_code = -1;  // -1: a signal ended it
    int signal = 0;
    std::string out, err;
};

std::ostream &operator<<(std::ostream &stream, const ProcessResult &result);

struct ProcessSettings {
    std::map<std::string, std::string> environment = {};  // beside the test's own, less HALPOOL_TARGET and _KERNEL
    std::string directory = {};                           // to run in; empty: the test's own
    long largest_file = -1;                               // bytes after which a write fails; -1: no limit
    std::string standard_output = {};                     // a file for it; empty: into ProcessResult
    bool obey_permissions = false;                        // even as root, who may else read and write everything
};

ProcessResult run_halpool(const std::vector<std::string> &arguments, const ProcessSettings &settings = {});

// Exit code 2, nothing on the standard output, and one line "halpool: error: ..." that holds `fragment`.
testing::AssertionResult is_refused(const ProcessResult &result, const std::string &fragment = "");

testing::AssertionResult succeeded(const ProcessResult &result);

}  // namespace halpool_test

#endif
