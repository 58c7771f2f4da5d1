// The cases of tests/golden, by operator and dtype, and what agrees with them.
#ifndef HALPOOL_TESTS_GOLDEN_CASES_HPP
#define HALPOOL_TESTS_GOLDEN_CASES_HPP

#include "canary_output.hpp"
#include "golden/read_cases.hpp"
#include "strided_layout.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace halpool_test {

struct GoldenCase {
    std::string name;
    Problem problem;
    golden::Array input, output;  // of the backward pass, the gradients of the output and of the input
    double rtol, atol;
    std::int64_t known_columns;  // of the output: PyTorch computed these
};

inline std::vector<GoldenCase> load_golden_cases(const std::string &dtype, const std::string &op = "avg_pool2d") {
    std::vector<GoldenCase> chosen;
    for (const golden::Case &c : golden::load(HALPOOL_GOLDEN_DIR "/avg_pool2d_cases")) {
        if (c.str("op") != op || c.str("dtype") != dtype) continue;
        GoldenCase g;
        g.name = c.str("name");
        g.problem.input_shape = c.ints("input_shape");
        g.problem.kernel_size = c.ints("kernel_size");
        if (c.has("stride")) g.problem.stride = c.ints("stride");
        if (c.has("padding")) g.problem.padding = c.ints("padding");
        g.problem.ceil_mode = c.str("ceil_mode") == "1";
        g.problem.count_include_pad = c.str("count_include_pad") == "1";
        if (c.has("divisor_override")) g.problem.divisor_override = c.ints("divisor_override").at(0);
        g.input = c.arrays.at(op == "avg_pool2d" ? "input" : "grad_output");
        g.output = c.arrays.at(op == "avg_pool2d" ? "output" : "grad_input");
        g.rtol = c.num("rtol");
        g.atol = c.num("atol");
        g.known_columns = g.output.shape.back();
        chosen.push_back(std::move(g));
    }
    return chosen;
}

template <class T>
golden::Array array_of(const Ints &shape, const std::vector<T> &values) {
    golden::Array array;
    array.dtype = Element<T>::kLongName;
    array.shape = shape;
    array.strides = planar(shape).strides;
    const auto *const bytes = reinterpret_cast<const unsigned char *>(values.data());
    array.owner = std::make_shared<const std::vector<unsigned char>>(bytes, bytes + values.size() * sizeof(T));
    array.data = array.owner->data();
    return array;
}

// The same values in fewer bits, or nothing where they do not fit.
template <class T>
std::optional<golden::Array> narrowed(const golden::Array &from) {
    const StridedLayout layout{from.shape, from.strides};
    std::vector<T> values(layout.count());
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::int64_t value = from.as<std::int64_t>()[layout.offset(i)];
        if (value < std::int64_t{std::numeric_limits<T>::min()} || value > std::int64_t{std::numeric_limits<T>::max()}) return std::nullopt;
        values[i] = static_cast<T>(value);
    }
    return array_of(from.shape, values);
}

template <class T>
std::vector<GoldenCase> narrowed_cases(const std::string &op) {
    std::vector<GoldenCase> chosen;
    for (GoldenCase &c : load_golden_cases("int64", op)) {
        const std::optional<golden::Array> input = narrowed<T>(c.input), output = narrowed<T>(c.output);
        if (!input || !output) continue;
        c.input = *input;
        c.output = *output;
        c.problem.allow_any_dtype = true;
        chosen.push_back(std::move(c));
    }
    return chosen;
}

// PyTorch has no int8, uint8 and int32: these get the cases of int64 that fit.
template <class T>
std::vector<GoldenCase> golden_cases_of(const std::string &op) {
    if constexpr (Element<T>::kFloat || sizeof(T) == 8) return load_golden_cases(Element<T>::kLongName, op);
    else return narrowed_cases<T>(op);
}

// The rule of tests/golden/README.md.
template <class T>
bool agrees(const T &got_element, const T &want_element, const GoldenCase &c) {
    if constexpr (!Element<T>::kFloat) return got_element == want_element;
    const double got = Element<T>::number(got_element), want = Element<T>::number(want_element);
    if (std::isnan(got) || std::isnan(want)) return std::isnan(got) && std::isnan(want);
    if (got == want) return true;
    if (!std::isfinite(got) || !std::isfinite(want)) return false;
    return std::fabs(got - want) <= c.atol + c.rtol * std::fabs(want);
}

// The same of a result of another type than PyTorch's, which is the input's: floats of fewer bits are rounded once more, and integers,
// which PyTorch truncates, are the real means, or, quantized, the nearest to them.
template <class Out, class T>
bool agrees_as(const Out &got_element, const T &want_element, const GoldenCase &c, bool quantized) {
    if constexpr (std::is_same<Out, T>::value) {
        if (!quantized) return agrees(got_element, want_element, c);
    }
    const double got = Element<Out>::number(got_element), want = Element<T>::number(want_element);
    if constexpr (Element<T>::kFloat) {
        if (std::isnan(got) || std::isnan(want)) return std::isnan(got) && std::isnan(want);
        const double half_ulp = std::ldexp(1.0, -Element<Out>::kDigits), most = std::ldexp(1.0 - half_ulp, Element<Out>::kMostExponent);
        if (std::isinf(got)) return std::signbit(got) == std::signbit(want) && std::fabs(want) >= most * (1 - c.rtol);
        const double least = std::ldexp(1.0, Element<Out>::kLeastExponent - 1 - Element<Out>::kDigits);
        return std::isfinite(want) && std::fabs(got - want) <= c.atol + (c.rtol + half_ulp) * std::fabs(want) + least;
    } else {
        constexpr double kRoom = 1e-4;
        const double magnitude = std::fabs(got), whole = std::fabs(want);
        return magnitude >= whole - kRoom && magnitude <= whole + 1 + kRoom && (whole == 0 || std::signbit(got) == std::signbit(want));
    }
}

struct MemoryFormat {
    const char *name;
    StridedLayout input, output;
};

inline std::vector<MemoryFormat> memory_formats(const GoldenCase &c) {
    return {{"planar", planar(c.input.shape), planar(c.output.shape)},
            {"channels-last", channels_last(c.input.shape), channels_last(c.output.shape)},
            {"the case's own view", {c.input.shape, c.input.strides}, planar(c.output.shape)}};
}

template <class T>
void copy_input(const GoldenCase &c, const StridedLayout &layout, T *to) {
    const StridedLayout stored{c.input.shape, c.input.strides};
    const T *const from = c.input.as<T>();
    for (std::size_t i = 0; i < layout.count(); ++i) to[layout.offset(i)] = from[stored.offset(i)];
}

// Adds a failure at the first element that differs.
template <class T, class Out = T>
void expect_golden_output(const GoldenCase &c, const CanaryOutputOf<Out> &got, bool quantized = false) {
    EXPECT_EQ(got.damage(), "");
    const StridedLayout stored{c.output.shape, c.output.strides};
    const T *const want = c.output.as<T>();
    for (std::size_t i = 0; i < stored.count(); ++i) {
        if (static_cast<std::int64_t>(i) % stored.shape.back() >= c.known_columns) continue;
        const T expected = want[stored.offset(i)];
        if (agrees_as(got.value(i), expected, c, quantized)) continue;
        ADD_FAILURE() << "element " << i << ": got " << Element<Out>::number(got.value(i)) << ", PyTorch has " << Element<T>::number(expected);
        return;
    }
}

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_GOLDEN_CASES_HPP
