// Every call that PyTorch's avg_pool2d refuses (tests/golden/error_cases.jsonl), through each entry of the C ABI.
#include "canary_output.hpp"
#include "kernels_under_test.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <map>
#include <set>

namespace halpool_test {
namespace {

struct ErrorCase {
    std::string name, dtype, exception, message;
    Problem problem;
};

std::ostream &operator<<(std::ostream &out, const ErrorCase &c) { return out << c.name; }

// A float or None where an integer is due: the C ABI has no way to say that. The CLI's tests have these.
const std::set<std::string> kTypeErrors = {"error_30", "error_31"};

Ints integers(const nlohmann::json &args, const char *key) {
    if (!args.contains(key) || args[key].is_null()) return {};
    return args[key].is_array() ? args[key].get<Ints>() : Ints{args[key].get<std::int64_t>()};
}

std::vector<ErrorCase> error_cases() {
    std::ifstream file(HALPOOL_GOLDEN_DIR "/error_cases.jsonl");
    std::vector<ErrorCase> cases;
    for (std::string line; std::getline(file, line);) {
        const nlohmann::json row = nlohmann::json::parse(line);
        const std::string name = row["name"];
        if (row["op"] != "avg_pool2d" || kTypeErrors.count(name)) continue;
        const nlohmann::json &args = row["args"];
        ErrorCase c{name, row["dtype"], row["exception"], row["message"], {}};
        c.problem.input_shape = row["input_shape"].get<Ints>();
        c.problem.kernel_size = integers(args, "kernel_size");
        c.problem.stride = integers(args, "stride");
        c.problem.padding = integers(args, "padding");
        if (args.contains("divisor_override")) c.problem.divisor_override = args["divisor_override"];
        for (const auto &[key, value] : args.items())
            if (!std::set<std::string>{"kernel_size", "stride", "padding", "divisor_override"}.count(key))
                throw std::runtime_error(name + ": the test does not know the argument " + key);
        cases.push_back(std::move(c));
    }
    return cases;
}

halpool_status expected_status(const ErrorCase &c) {
    static const std::map<std::string, halpool_status> statuses = {
        {"RuntimeError", HALPOOL_ERROR_INVALID_ARGUMENT},
        {"IndexError", HALPOOL_ERROR_OUT_OF_RANGE},
        {"NotImplementedError", HALPOOL_ERROR_NOT_IMPLEMENTED}};
    return statuses.at(c.exception);
}

halpool_dtype dtype(const std::string &torch_name) {
    static const std::map<std::string, halpool_dtype> dtypes = {{"float32", HALPOOL_FLOAT32},
                                                                {"int32", HALPOOL_INT32},
                                                                {"uint8", HALPOOL_UINT8},
                                                                {"bool", HALPOOL_BOOL},
                                                                {"complex64", HALPOOL_COMPLEX64}};
    return dtypes.at(torch_name);
}

class PyTorchErrors : public ::testing::TestWithParam<ErrorCase> {
protected:
    // The input's strides are left out, as a caller of a contiguous tensor may.
    halpool_tensor_desc input_desc() const {
        const Ints &shape = GetParam().problem.input_shape;
        return {dtype(GetParam().dtype), static_cast<std::int32_t>(shape.size()), shape.data(), nullptr};
    }
    void expect(halpool_status status, const halpool_error &error) const {
        EXPECT_EQ(status, expected_status(GetParam()));
        EXPECT_EQ(error.status, status);
        EXPECT_EQ(error.message, GetParam().message);
    }
    const Ints output_shape_ = {1, 1, 2, 2};
    halpool_tensor_desc output_desc() const { return {HALPOOL_FLOAT32, 4, output_shape_.data(), nullptr}; }
};

TEST_P(PyTorchErrors, AreTheShapeFunctions) {
    const halpool_avg_pool2d_options options = GetParam().problem.c_options();
    const halpool_tensor_desc input = input_desc();
    Ints shape(4, -7);
    halpool_error error;
    expect(halpool_avg_pool2d_output_shape(&options, &input, shape.data(), &error), error);
    EXPECT_EQ(shape, Ints(4, -7)) << "a failing call wrote the shape";
}

TEST_P(PyTorchErrors, AreThePlans) {
    const halpool_avg_pool2d_options options = GetParam().problem.c_options();
    const halpool_tensor_desc input = input_desc(), output = output_desc();
    int not_a_plan = 0;
    auto *plan = reinterpret_cast<halpool_plan *>(&not_a_plan);
    halpool_error error;
    expect(halpool_plan_create_avg_pool2d(&options, &input, &output, nullptr, &plan, &error), error);
    EXPECT_EQ(plan, nullptr);
}

TEST_P(PyTorchErrors, AreTheSimpleCallsAndLeaveTheOutputAlone) {
    const halpool_avg_pool2d_options options = GetParam().problem.c_options();
    const halpool_tensor_desc input = input_desc(), output = output_desc();
    const std::vector<double> data(4096, 1.0);
    CanaryOutput result(planar(output_shape_));
    halpool_error error;
    expect(halpool_avg_pool2d(&options, &input, data.data(), &output, result.data(), &error), error);
    EXPECT_TRUE(result.untouched());
    EXPECT_EQ(halpool_avg_pool2d(&options, &input, data.data(), &output, result.data(), nullptr),
              expected_status(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(GoldenErrors, PyTorchErrors, ::testing::ValuesIn(error_cases()),
                         [](const auto &instance) { return instance.param.name; });

// Those of the backward pass, by both of its entries.
TEST(PyTorchErrors, OfTheBackwardPassLeaveTheGradientAlone) {
    std::ifstream file(HALPOOL_GOLDEN_DIR "/error_cases.jsonl");
    int cases = 0;
    for (std::string line; std::getline(file, line);) {
        const nlohmann::json row = nlohmann::json::parse(line);
        if (row["op"] != "avg_pool2d_backward") continue;
        SCOPED_TRACE(line);
        ++cases;
        Problem problem{row["input_shape"].get<Ints>(), integers(row["args"], "kernel_size")};
        if (row["args"].contains("divisor_override")) problem.divisor_override = row["args"]["divisor_override"];
        const ErrorCase c{row["name"], row["dtype"], row["exception"], row["message"], problem};
        const halpool_avg_pool2d_options options = problem.c_options();
        const StridedLayout grad_output = planar(row["args"]["grad_output_shape"].get<Ints>());
        CanaryOutput grad_input(planar(problem.input_shape));
        const halpool_tensor_desc in = grad_output.desc(dtype(c.dtype)), out = grad_input.layout().desc(dtype(c.dtype));
        const std::vector<float> data(64, 1.0f);
        halpool_error error;
        EXPECT_EQ(halpool_avg_pool2d_backward(&options, &in, data.data(), &out, grad_input.data(), &error), expected_status(c));
        EXPECT_EQ(error.message, c.message);
        halpool_plan *plan = nullptr;
        EXPECT_EQ(halpool_plan_create_avg_pool2d_backward(&options, &in, &out, nullptr, &plan, &error), expected_status(c));
        EXPECT_EQ(error.message, c.message);
        EXPECT_EQ(plan, nullptr);
        EXPECT_TRUE(grad_input.untouched());
    }
    EXPECT_EQ(cases, 3);
}

TEST(PyTorchErrorFile, HoldsTheCasesThisSuiteCounts) { EXPECT_EQ(error_cases().size(), 39u); }

}  // namespace
}  // namespace halpool_test
