// The benchmark's problems (benchmarks/workloads.json) in both layouts, by the kernel that each CPU target takes for
// them: sizes that the other tests' problems do not reach. Of what is too much to compute again, a sample is checked.
#include "guarded_execution.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <random>
#include <set>

namespace halpool_test {
namespace {

struct Workload {
    std::string name;
    Problem problem;
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
        Workload workload{entry.at("name"), {ints(entry.at("input")), ints(entry.at("kernel_size"))}};
        Problem &problem = workload.problem;
        if (entry.contains("stride")) problem.stride = ints(entry["stride"]);
        if (entry.contains("padding")) problem.padding = ints(entry["padding"]);
        problem.count_include_pad = entry.value("count_include_pad", true);
        all.push_back(std::move(workload));
    }
    return all;
}

std::set<std::string> cpu_targets_with_kernels() {
    std::set<std::string> targets;
    for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU))
        if (kernel.available && !kernel.is_reference()) targets.insert(kernel.target);
    return targets;
}

struct Expected {
    std::size_t element;  // of the output, in C order
    Exact exact;
};

// Every element of the output, or as many as the budget of additions allows: at random, every other coordinate at a
// border, where windows are cut.
std::vector<Expected> expected_output(const Problem &problem, const std::vector<float> &values) {
    constexpr std::size_t kBudget = 30'000'000;
    const Axes a = axes(problem);
    const auto plane = static_cast<std::size_t>(a.y.in * a.x.in), planes = values.size() / plane;
    const auto rows = static_cast<std::size_t>(a.y.out(false)), columns = static_cast<std::size_t>(a.x.out(false));
    const std::size_t count = planes * rows * columns;
    const std::size_t affordable = kBudget / static_cast<std::size_t>(a.y.kernel * a.x.kernel);
    std::vector<Expected> expected;
    const auto add = [&](std::size_t element) {
        const std::size_t in_plane = element % (rows * columns);
        expected.push_back({element, exact_window(problem, a, values.data() + element / (rows * columns) * plane,
                                                  static_cast<std::int64_t>(in_plane / columns),
                                                  static_cast<std::int64_t>(in_plane % columns))});
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

class Workloads : public ::testing::TestWithParam<Workload> {};

TEST_P(Workloads, AreRightInBothLayoutsByTheKernelThatEachTargetTakes) {
    const Problem &problem = GetParam().problem;
    const std::set<std::string> targets = cpu_targets_with_kernels();
    if (targets.empty()) GTEST_SKIP() << "this CPU has none of the targets";

    const Ints pooled = output_shape(problem);
    std::vector<float> values(planar(problem.input_shape).count());
    std::mt19937 random(2);
    for (float &value : values) value = static_cast<float>(random() >> 8) * 0x1p-23f - 1;
    const std::vector<Expected> expected = expected_output(problem, values);

    bool executed = false;
    for (const bool last : {false, true}) {
        const StridedLayout input = last ? channels_last(problem.input_shape) : planar(problem.input_shape);
        GuardedExecution execution;
        CanaryOutput output(last ? channels_last(pooled) : planar(pooled));
        const auto fill = [&](float *first) {
            for (std::size_t i = 0; i < values.size(); ++i) first[input.offset(i)] = values[i];
        };
        for (const std::string &target : targets) {
            const PlanAttempt made = make_plan(problem, input, output.layout(), nullptr, target.c_str());
            ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
            SCOPED_TRACE(::testing::Message() << problem << ": " << halpool_plan_kernel(made.plan.get()));
            ASSERT_EQ(halpool_plan_target(made.plan.get()), target);
            if (takes_minutes(problem, made.plan.get())) continue;
            executed = true;
            halpool_error error;
            ASSERT_EQ(execution.run(made.plan.get(), input, Flush::with_page_end, fill, output, &error), HALPOOL_OK)
                << error.message;
            EXPECT_EQ(output.damage(), "");
            for (std::size_t i = 0; i < output.layout().count(); ++i)
                ASSERT_TRUE(output.written(i)) << "element " << i;
            for (const Expected &e : expected)
                ASSERT_TRUE(keeps_contract(output.value(e.element), e.exact))
                    << "element " << e.element << ": got " << output.value(e.element) << ", exact " << e.exact.value;
        }
    }
    if (!executed) GTEST_SKIP() << "no kernel but those that would take minutes, tap by tap";
}

INSTANTIATE_TEST_SUITE_P(Cpu, Workloads, ::testing::ValuesIn(workloads()),
                         [](const auto &instance) { return instance.param.name; });

}  // namespace
}  // namespace halpool_test
