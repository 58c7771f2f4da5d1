// The benchmark's problems (benchmarks/workloads.json), each of its own dtype, in both layouts, by the kernel that each CPU
// target takes for them: sizes that the other tests' problems do not reach. Of what is too much to compute again, a sample is checked.
#include "guarded_execution.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cctype>
#include <fstream>
#include <random>
#include <set>

namespace halpool_test {
namespace {

struct Workload {
    std::string name;
    Problem problem;
    std::string dtype;
};
std::ostream &operator<<(std::ostream &out, const Workload &workload) { return out << workload.name; }

std::vector<Workload> workloads() {
    std::ifstream file(HALPOOL_WORKLOADS);
    const nlohmann::json document = nlohmann::json::parse(file);
    const auto ints = [](const nlohmann::json &value) {
        return value.is_array() ? value.get<Ints>() : Ints{value.get<std::int64_t>()};
    };
    std::vector<Workload> all;
    for (const nlohmann::json &entry : document.at("workloads")) {
        Workload workload{entry.at("name"), {ints(entry.at("input")), ints(entry.at("kernel_size"))},
                          entry.value("dtype", document.at("dtype").get<std::string>())};
        Problem &problem = workload.problem;
        if (entry.contains("stride")) problem.stride = ints(entry["stride"]);
        if (entry.contains("padding")) problem.padding = ints(entry["padding"]);
        problem.count_include_pad = entry.value("count_include_pad", true);
        problem.allow_any_dtype = true;
        all.push_back(std::move(workload));
    }
    return all;
}

std::set<std::string> cpu_targets_with_kernels(const std::string &dtype) {
    std::set<std::string> targets;
    for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU, dtype))
        if (kernel.available && !kernel.is_reference()) targets.insert(kernel.target);
    return targets;
}

struct Expected {
    std::size_t element;  // of the output, in C order
    Exact exact;
};

// Every element of the output, or as many as the budget of additions allows: at random, every other coordinate at a
// border, where windows are cut.
template <class T>
std::vector<Expected> expected_output(const Problem &problem, const std::vector<T> &values) {
    constexpr std::size_t kBudget = 30'000'000;
    const Axes a = axes(problem);
    const auto plane = static_cast<std::size_t>(a.y.in * a.x.in), planes = values.size() / plane;
    const auto rows = static_cast<std::size_t>(a.y.out(false)), columns = static_cast<std::size_t>(a.x.out(false));
    const std::size_t count = planes * rows * columns;
    const std::size_t affordable = kBudget / static_cast<std::size_t>(a.y.kernel * a.x.kernel);
    const std::vector<Axis::Taps> taps_y = a.y.all_taps(false), taps_x = a.x.all_taps(false);
    std::vector<Expected> expected;
    const auto add = [&](std::size_t element) {
        const std::size_t in_plane = element % (rows * columns);
        expected.push_back({element, exact_window(problem, a, values.data() + element / (rows * columns) * plane,
                                                  taps_y[in_plane / columns], taps_x[in_plane % columns])});
    };
    if (count <= affordable) {
        for (std::size_t element = 0; element < count; ++element) add(element);
        return expected;
    }
    std::mt19937 random(1);
    const auto below = [&](std::size_t bound) { return random() % bound; };
    const auto coordinate = [&](std::size_t extent) {
        switch (below(4)) {
            case 0: return below(std::min<std::size_t>(extent, 8));
            case 1: return extent - 1 - below(std::min<std::size_t>(extent, 8));
            default: return below(extent);
        }
    };
    for (std::size_t i = 0; i < affordable; ++i) {
        const std::size_t y = coordinate(rows), x = coordinate(columns);
        add((coordinate(planes) * rows + y) * columns + x);
    }
    return expected;
}

// 255x255 windows, tap by tap.
bool takes_minutes(const Problem &problem, const halpool_plan *plan) {
    const bool tap_by_tap = std::string(halpool_plan_kernel(plan)).find("_generic_") != std::string::npos;
    const Axes a = axes(problem);
    return tap_by_tap && static_cast<double>(planar(output_shape(problem)).count()) *
                                 static_cast<double>(a.y.kernel * a.x.kernel) > 2e10;
}

// Floats within [-1, 1), integers of the whole range.
template <class T>
T value_of(std::mt19937 &random) {
    const auto bits = static_cast<std::uint32_t>(random());
    const float value = static_cast<float>(bits >> 8) * 0x1p-23f - 1;
    if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>)
        return T::nearest(value);
    else if constexpr (Element<T>::kFloat)
        return static_cast<T>(value);
    else
        return static_cast<T>(bits);
}

template <class T>
void check_in_both_layouts(const Problem &problem) {
    const std::set<std::string> targets = cpu_targets_with_kernels(Element<T>::kName);
    if (targets.empty()) GTEST_SKIP() << "this CPU has none of the targets";

    const Ints pooled = output_shape(problem);
    std::vector<T> values(planar(problem.input_shape).count());
    std::mt19937 random(2);
    for (T &value : values) value = value_of<T>(random);
    const std::vector<Expected> expected = expected_output(problem, values);

    bool executed = false;
    for (const bool last : {false, true}) {
        const StridedLayout input = last ? channels_last(problem.input_shape) : planar(problem.input_shape);
        GuardedExecution execution;
        CanaryOutputOf<T> output(last ? channels_last(pooled) : planar(pooled));
        const auto fill = [&](T *first) {
            for (std::size_t i = 0; i < values.size(); ++i) first[input.offset(i)] = values[i];
        };
        for (const std::string &target : targets) {
            const PlanAttempt made = make_plan(problem, input, output.layout(), nullptr, target.c_str(),
                                               HALPOOL_DEVICE_AUTO, Element<T>::kDtype);
            ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
            SCOPED_TRACE(::testing::Message() << problem << ": " << halpool_plan_kernel(made.plan.get()));
            ASSERT_EQ(halpool_plan_target(made.plan.get()), target);
            if (takes_minutes(problem, made.plan.get())) continue;
            executed = true;
            halpool_error error;
            ASSERT_EQ(execution.run(made.plan.get(), input, Flush::with_page_end, fill, output, &error), HALPOOL_OK)
                << error.message;
            EXPECT_EQ(output.damage(), "");
            if (sizeof(T) >= sizeof(float)) {  // smaller ones have the canary's bits by chance
                for (std::size_t i = 0; i < output.layout().count(); ++i)
                    ASSERT_TRUE(output.written(i)) << "element " << i;
            }
            for (const Expected &e : expected)
                ASSERT_TRUE(keeps_contract(output.value(e.element), e.exact))
                    << "element " << e.element << ": got " << Element<T>::number(output.value(e.element)) << ", exact "
                    << e.exact.value;
        }
    }
    if (!executed) GTEST_SKIP() << "no kernel but those that would take minutes, tap by tap";
}

class Workloads : public ::testing::TestWithParam<Workload> {};

TEST_P(Workloads, AreRightInBothLayoutsByTheKernelThatEachTargetTakes) {
    with_element(GetParam().dtype, [](auto element) { check_in_both_layouts<decltype(element)>(GetParam().problem); });
}

INSTANTIATE_TEST_SUITE_P(Cpu, Workloads, ::testing::ValuesIn(workloads()),
                         [](const auto &instance) {
                             std::string name = instance.param.name;  // W5i-f16: gtest takes letters, digits and underscores alone
                             for (char &c : name)
                                 if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                             return name;
                         });

}  // namespace
}  // namespace halpool_test
