// What a backward pass is, whatever computes it: the adjoint of the forward pass, and the derivative of its result.
#include "element.hpp"
#include "guarded_memory.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"
#include "random_problem.hpp"

#include <gtest/gtest.h>

namespace halpool_test {
namespace {

// In memory of this layout.
template <class T>
std::vector<T> placed(const StridedLayout &layout, const std::vector<T> &values) {
    std::vector<T> memory(layout.span());
    for (std::size_t i = 0; i < values.size(); ++i) memory[static_cast<std::size_t>(layout.offset(i) - layout.lowest())] = values[i];
    return memory;
}

// By the chosen kernel, from values and to values in C order.
template <class T>
std::vector<T> computed(const Problem &problem, Pass pass, const std::vector<T> &values, bool last) {
    const Ints &from_shape = pass == Pass::forward ? problem.input_shape : output_shape(problem);
    const Ints &to_shape = pass == Pass::forward ? output_shape(problem) : problem.input_shape;
    const StridedLayout from = last ? channels_last(from_shape) : planar(from_shape), to = last ? channels_last(to_shape) : planar(to_shape);
    const PlanAttempt attempt = make_plan(problem, from, to, nullptr, nullptr, HALPOOL_DEVICE_CPU, Element<T>::kDtype, pass);
    EXPECT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
    if (attempt.status != HALPOOL_OK) return {};
    const std::vector<T> input = placed(from, values);
    std::vector<T> output(to.count());
    halpool_error error;
    EXPECT_EQ(halpool_plan_execute(attempt.plan.get(), input.data(), output.data(), nullptr, &error), HALPOOL_OK) << error.message;
    std::vector<T> result(to.count());
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = output[static_cast<std::size_t>(to.offset(i))];
    return result;
}

template <class T>
std::vector<T> small_integers(Random &random, std::size_t count) {
    std::vector<T> values(count);
    for (T &value : values) value = static_cast<T>(random.between(-9, 9));
    return values;
}

template <class T>
double product(const std::vector<T> &a, const std::vector<T> &b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
}

// <y', pool(x)> = <backward(y'), x>, in integers, which all of these types hold: where nothing is divided, exactly.
template <class T>
void expect_adjoint(std::int64_t cases) {
    for (std::int64_t number = 0; number < cases; ++number) {
        Problem problem = random_case(20261127, number).problem;
        problem.divisor_override = number % 2 == 0 ? 1 : -1;
        problem.divisor_rule = HALPOOL_DIVISOR_DEFAULT;
        Random random(static_cast<std::uint64_t>(number));
        const StridedLayout x_layout = planar(problem.input_shape), y_layout = planar(output_shape(problem));
        const std::vector<T> x = small_integers<T>(random, x_layout.count()), y = small_integers<T>(random, y_layout.count());
        for (const bool last : {false, true}) {
            SCOPED_TRACE(::testing::Message() << Element<T>::kName << " case " << number << ": " << problem << (last ? ", channels-last" : ", planar"));
            const std::vector<T> pooled = computed(problem, Pass::forward, x, last), gradient = computed(problem, Pass::backward, y, last);
            ASSERT_EQ(product(y, pooled), product(gradient, x));
        }
    }
}

TEST(Gradients, AreTheExactAdjointOfTheForwardPass) {
    expect_adjoint<double>(400);
    expect_adjoint<float>(400);
    expect_adjoint<std::int64_t>(200);
}

// The result is linear in its input: a difference quotient of any step is the derivative, but for rounding.
TEST(Gradients, AreTheDifferenceQuotientsForEveryOption) {
    std::vector<Problem> problems;
    for (const Ints &kernel : {Ints{2}, Ints{3}, Ints{3, 2}, Ints{5, 4}, Ints{7, 6}})
        for (const Ints &stride : {Ints{}, Ints{1}, Ints{2}, Ints{1, 3}})
            for (const Ints &padding : {Ints{0}, Ints{1}})
                for (const bool ceil : {false, true})
                    for (const int rule : {0, 1, 2}) {
                        Problem problem{{2, 2, 7, 6}, kernel, stride, padding, ceil, rule == 0};
                        if (rule == 2) problem.divisor_override = -5;
                        problems.push_back(problem);
                        problem.padding_end = {0, 1};
                        problems.push_back(problem);
                        problem.padding = problem.padding_end = {};
                        problem.auto_pad = padding[0] == 0 ? HALPOOL_AUTO_PAD_SAME_UPPER : HALPOOL_AUTO_PAD_SAME_LOWER;
                        problem.dilation = {1, 3};
                        if (rule != 2) problem.divisor_rule = rule == 0 ? HALPOOL_DIVISOR_WINDOW_FULL : HALPOOL_DIVISOR_WINDOW_CLIPPED;
                        problems.push_back(problem);
                    }
    problems.push_back({{1, 1, 6, 5}, {2}, {1}, {3}, false, false, std::nullopt, {}, true});  // windows wholly in padding
    for (const Problem &problem : problems) {
        Random random(7);
        const std::size_t inputs = planar(problem.input_shape).count(), outputs = planar(output_shape(problem)).count();
        std::vector<double> x(inputs), weights(outputs);
        for (double &value : x) value = random.unit() * 2 - 1;
        for (double &value : weights) value = random.unit() * 2 - 1;
        for (const bool last : {false, true}) {
            SCOPED_TRACE(::testing::Message() << problem << (last ? ", channels-last" : ", planar"));
            const std::vector<double> gradient = computed(problem, Pass::backward, weights, last);
            constexpr double kStep = 0.5;
            for (std::size_t i = 0; i < inputs; ++i) {
                const auto loss_at = [&](double value) {
                    std::vector<double> moved = x;
                    moved[i] = value;
                    return product(weights, computed(problem, Pass::forward, moved, last));
                };
                ASSERT_NEAR((loss_at(x[i] + kStep) - loss_at(x[i] - kStep)) / (2 * kStep), gradient[i], 1e-12) << "element " << i;
            }
        }
    }
}

}  // namespace
}  // namespace halpool_test
