// Every avg_pool2d call of tests/golden/error_cases.jsonl, typed on the command line.
#include "halpool_process.hpp"
#include "npy_bytes.hpp"
#include "scratch_directory.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace halpool_test {
namespace {

struct NpyType {
    const char *descr;
    std::size_t bytes;
};

const std::map<std::string, NpyType> npy_types = {
    {"float32", {"<f4", 4}}, {"int32", {"<i4", 4}}, {"uint8", {"|u1", 1}}, {"bool", {"|b1", 1}},
    {"complex64", {"<c8", 8}}};

// An argument as a user types it: 2, 2.5, None, or "2,2".
std::string typed(const nlohmann::json &value) {
    if (value.is_null()) return "None";
    std::string text = value.dump();
    if (value.is_array()) text = text.substr(1, text.size() - 2);
    return text;
}

std::string zeros_npy(const nlohmann::json &error_case) {
    const NpyType &type = npy_types.at(error_case["dtype"].get<std::string>());
    std::string shape = "(";
    std::size_t bytes = type.bytes;
    for (const std::int64_t extent : error_case["input_shape"].get<std::vector<std::int64_t>>()) {
        shape += std::to_string(extent) + ",";
        bytes *= static_cast<std::size_t>(extent);
    }
    return npy_bytes(npy_header(type.descr, shape + ")"), std::string(bytes, '\0'));
}

TEST(PyTorchErrors, AreTheProgramsErrorsWordForWord) {
    std::ifstream lines(HALPOOL_GOLDEN_DIR "/error_cases.jsonl");
    int cases = 0;
    for (std::string line; std::getline(lines, line);) {
        const nlohmann::json error_case = nlohmann::json::parse(line);
        if (error_case["op"] != "avg_pool2d") continue;
        SCOPED_TRACE(line);
        ++cases;
        const ScratchDirectory scratch;
        std::vector<std::string> arguments{"avg_pool2d", scratch.write("in.npy", zeros_npy(error_case)),
                                           scratch.path("out.npy")};
        for (const auto &[name, value] : error_case["args"].items()) {
            std::string option = "--" + name;
            std::replace(option.begin(), option.end(), '_', '-');
            arguments.insert(arguments.end(), {option, typed(value)});
        }
        const ProcessResult result = run_halpool(arguments);
        EXPECT_EQ(result.exit_code, 2) << result;
        EXPECT_EQ(result.err, "halpool: error: " + error_case["message"].get<std::string>() + "\n");
        EXPECT_EQ(result.out, "");
        EXPECT_EQ(scratch.names(), std::set<std::string>{"in.npy"});
    }
    EXPECT_EQ(cases, 41);
}

std::string kernel_size_error(const std::string &typed) {
    const ProcessResult result = run_halpool({"explain", "--shape", "1,1,4,4", "--kernel-size", typed});
    EXPECT_EQ(result.exit_code, 2) << result;
    return result.err;
}

TEST(PyTorchErrors, NameTheTypeThatWasTyped) {
    const std::string begin = "halpool: error: avg_pool2d(): argument 'kernel_size' ";
    EXPECT_EQ(kernel_size_error("three"), begin + "must be tuple of ints, not str\n");
    EXPECT_EQ(kernel_size_error("True"), begin + "must be tuple of ints, not bool\n");
    EXPECT_EQ(kernel_size_error("1e3"), begin + "must be tuple of ints, not float\n");
    EXPECT_EQ(kernel_size_error("[2.5, 2]"), begin + "must be tuple of ints, not list\n");
    EXPECT_EQ(kernel_size_error("2.5,2"), begin + "must be tuple of ints, not tuple\n");
    EXPECT_EQ(kernel_size_error("(2, 2.5)"), begin + "failed to unpack the object at pos 2 with error "
                                                     "\"type must be tuple of ints,but got float\"\n");
}

TEST(PyTorchErrors, IntegersOver64BitsAreRefused) {
    for (const char *typed : {"9223372036854775808", "-9223372036854775809", "2,99999999999999999999999999"})
        EXPECT_NE(kernel_size_error(typed).find("overflows 64 bits"), std::string::npos) << typed;
    for (const char *typed : {"2147483648", "9223372036854775807", "2,-9223372036854775808"})
        EXPECT_EQ(kernel_size_error(typed), "halpool: error: integer out of range\n") << typed;
}

TEST(PyTorchErrors, MalformedListsAreRefused) {
    for (const char *typed : {"[2", "(2]", "[", "2,,2", ",2", "[,]", "[[2]]", "-", "+", "0x2", "2 2", "2;2"})
        EXPECT_TRUE(is_refused(run_halpool({"explain", "--shape", "1,1,4,4", "--kernel-size", typed}))) << typed;
}

}  // namespace
}  // namespace halpool_test
