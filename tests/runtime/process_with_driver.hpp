// A test's body in a process of its own, which finds a driver's library as any program does: whether there is a driver is
// found out once in a process.
#ifndef HALPOOL_TESTS_PROCESS_WITH_DRIVER_HPP
#define HALPOOL_TESTS_PROCESS_WITH_DRIVER_HPP

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

namespace halpool_test {

using Variables = std::map<std::string, std::string>;

// Runs `body` and gives the process's exit code. gtest is silent in the processes that it starts for EXPECT_EXIT.
template <class Body>
int exit_code_of(Body body) {
    ::testing::TestPartResultArray failures;
    {
        const ::testing::ScopedFakeTestPartResultReporter reporter(
            ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &failures);
        body();
    }
    for (int i = 0; i < failures.size(); ++i) std::cerr << failures.GetTestPartResult(i) << std::endl;
    return failures.size() == 0 ? 0 : 1;
}

// Runs `body` in a new process that looks for libraries in `directory` first ("": nowhere else than before), with these
// environment variables, and without those by which a user forces a choice.
template <class Body>
void in_process_with(const std::string &directory, const Variables &variables, Body body) {
    static const std::string before = std::getenv("LD_LIBRARY_PATH") ? std::getenv("LD_LIBRARY_PATH") : "";
    const std::string path = directory.empty() ? before : before.empty() ? directory : directory + ":" + before;
    setenv("LD_LIBRARY_PATH", path.c_str(), 1);
    for (const char *variable : {"HALPOOL_TARGET", "HALPOOL_KERNEL", "HALPOOL_VULKAN_DEVICE"}) unsetenv(variable);
    for (const auto &[name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
    GTEST_FLAG_SET(death_test_style, "threadsafe");  // executes this program anew
    EXPECT_EXIT(std::exit(exit_code_of(body)), ::testing::ExitedWithCode(0), "");
    for (const auto &[name, value] : variables) unsetenv(name.c_str());
}

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_PROCESS_WITH_DRIVER_HPP
