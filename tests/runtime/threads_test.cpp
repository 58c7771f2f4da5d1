// However the work is shared out, the output is the same to the bit: serial, the library's pool, the caller's own
// parallel loop, and parts.
#include "canary_output.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>

namespace halpool_test {
namespace {

struct SharedProblem {
    Problem problem;
    bool channels_last;
};

// Every window class; planes and rows fewer and more than the shares; images of several tiles. The last shape is worth 16
// shares, and has channels that are shared out; the others are worth one, except to execute_part.
std::vector<SharedProblem> shared_problems() {
    std::vector<SharedProblem> all;
    for (const std::int64_t plane : {7, 14})  // planes that have kernels of their own
        for (const std::int64_t channels : {5, 400}) all.push_back({{{1, channels, plane, plane}, {3}, {1}, {1}, false, false}, false});
    for (const bool last : {false, true})  // rows of whole cache lines, for kernels that write past the caches
        for (const Ints &shape : {Ints{1, 3, 37, 96}, Ints{2, 32, 13, 32}}) {
            all.push_back({{shape, {2}, {2}}, last});
            all.push_back({{shape, {3}, {1}, {1}}, last});
            all.push_back({{shape, {3}, {2}, {1}, false, false}, last});
            all.push_back({{shape, {5}, {1}, {2}}, last});
            all.push_back({{shape, {5}, {2}, {2}, true, false}, last});
        }
    for (const bool last : {false, true})
        for (const Ints &shape : {Ints{1, 3, 37, 29}, Ints{2, 20, 13, 34}, Ints{1, 1, 5, 70}, Ints{3, 1, 1, 9},
                                  Ints{1, 96, 40, 36}}) {
            const Ints window = {std::min<std::int64_t>(shape[2], 5), 4};
            all.push_back({{shape, {shape[2], shape[3]}}, last});
            all.push_back({{shape, window, {2, 1}, {window[0] / 2, 2}, true, false}, last});
            all.push_back({{shape, {12, 7}, {1}, {6, 3}, true, false}, last});
            if (shape[2] < 3) continue;
            all.push_back({{shape, {2}, {2}, {1}, true}, last});
            all.push_back({{shape, {2}, {1}}, last});
            all.push_back({{shape, {4}, {2}, {2}, true}, last});
            all.push_back({{shape, {5}, {3}, {2}, false, false}, last});
            // Side by side, four in a row or more.
            for (std::int64_t columns = 2; columns <= 9 && 4 * columns <= shape[3]; ++columns)
                all.push_back({{shape, {3, columns}}, last});
            all.push_back({{shape, {3}, {1}, {1}}, last});
            all.push_back({{shape, {3}, {1}}, last});
            all.push_back({{shape, {3}, {2}, {1}, true, false}, last});
        }
    return all;
}

std::vector<float> some_values(std::size_t count) {
    std::vector<float> values(count);
    std::uint32_t state = 12345;
    for (float &value : values) {
        state = state * 1664525u + 1013904223u;
        value = static_cast<float>(state >> 8) / 65536.0f - 100.0f;
    }
    return values;
}

int run_in_order(void *, std::int32_t tasks, halpool_task task, void *context) {
    for (std::int32_t i = 0; i < tasks; ++i) task(context, i);
    return 0;
}

int run_in_reverse(void *, std::int32_t tasks, halpool_task task, void *context) {
    for (std::int32_t i = tasks; i-- > 0;) task(context, i);
    return 0;
}

int run_on_other_threads(void *, std::int32_t tasks, halpool_task task, void *context) {
    std::vector<std::thread> threads;
    for (std::int32_t i = 0; i < tasks; ++i) threads.emplace_back([=] { task(context, i); });
    for (std::thread &thread : threads) thread.join();
    return 0;
}

halpool_execution on_pool(std::int32_t threads) {
    halpool_execution execution = HALPOOL_EXECUTION_INIT;
    execution.threads = threads;
    return execution;
}

halpool_execution on_callers_loop(std::int32_t threads, halpool_parallel_for loop, void *context = nullptr) {
    halpool_execution execution = on_pool(threads);
    execution.parallel_for = loop;
    execution.parallel_for_context = context;
    return execution;
}

class Sharing : public ::testing::TestWithParam<KernelUnderTest> {
protected:
    void SetUp() override {
        if (!GetParam().available) GTEST_SKIP() << GetParam().target << ": " << GetParam().target_reason;
    }

    // Calls body(plan, input, output, serial bits) for each problem that the kernel takes.
    template <class Body>
    void for_each_problem(Body body) {
        int executed = 0;
        for (const SharedProblem &shared : shared_problems()) {
            const auto layout = [&](const Ints &shape) {
                return shared.channels_last ? channels_last(shape) : planar(shape);
            };
            const StridedLayout input_layout = layout(shared.problem.input_shape);
            CanaryOutput output(layout(output_shape(shared.problem)));
            SCOPED_TRACE(::testing::Message() << shared.problem << (shared.channels_last ? " nhwc" : " nchw"));
            const PlanAttempt made =
                make_plan(shared.problem, input_layout, output.layout(), GetParam().name.c_str());
            if (made.status == HALPOOL_ERROR_UNSUPPORTED) continue;
            ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
            const std::vector<float> input = some_values(input_layout.span());
            ASSERT_EQ(halpool_plan_execute(made.plan.get(), input.data(), output.data(), nullptr, nullptr),
                      HALPOOL_OK);
            ASSERT_EQ(output.damage(), "");
            const std::vector<std::uint32_t> serial = output.all_bits();
            body(made.plan.get(), input.data(), output, serial);
            ++executed;
        }
        EXPECT_GT(executed, 0) << GetParam().name << " took no problem at all";
    }
};

TEST_P(Sharing, GivesTheSameBitsAtAnyNumberOfThreads) {
    for_each_problem([](const halpool_plan *plan, const float *input, CanaryOutput &output, const auto &serial) {
        for (const std::int32_t threads : {1, 2, 7, 1000}) {
            output.refill();
            const halpool_execution execution = on_pool(threads);
            halpool_error error;
            ASSERT_EQ(halpool_plan_execute(plan, input, output.data(), &execution, &error), HALPOOL_OK)
                << error.message;
            ASSERT_TRUE(output.all_bits() == serial) << threads << " threads";
            ASSERT_EQ(output.damage(), "");
        }
    });
}

TEST_P(Sharing, GivesTheSameBitsInTheCallersParallelLoop) {
    for_each_problem([](const halpool_plan *plan, const float *input, CanaryOutput &output, const auto &serial) {
        for (const halpool_parallel_for loop : {run_in_order, run_in_reverse, run_on_other_threads})
            for (const std::int32_t threads : {1, 2, 5, 16}) {
                output.refill();
                const halpool_execution execution = on_callers_loop(threads, loop);
                halpool_error error;
                ASSERT_EQ(halpool_plan_execute(plan, input, output.data(), &execution, &error), HALPOOL_OK)
                    << error.message;
                ASSERT_TRUE(output.all_bits() == serial) << threads << " shares";
                ASSERT_EQ(output.damage(), "");
            }
    });
}

TEST_P(Sharing, PartsCoverEveryElementExactlyOnceWithTheSameBits) {
    for_each_problem([](const halpool_plan *plan, const float *input, CanaryOutput &output, const auto &serial) {
        const std::int32_t step = serial.size() < 10000 ? 1 : 8;
        for (std::int32_t parts = 1; parts <= 17; parts += step) {
            std::vector<int> writers(serial.size(), 0);
            for (std::int32_t part = 0; part < parts; ++part) {
                output.refill();
                ASSERT_EQ(halpool_plan_execute_part(plan, input, output.data(), part, parts, nullptr), HALPOOL_OK);
                ASSERT_EQ(output.damage(), "");
                for (std::size_t i = 0; i < serial.size(); ++i) {
                    if (!output.written(i)) continue;
                    ++writers[i];
                    ASSERT_EQ(output.bits(i), serial[i])
                        << "part " << part << " of " << parts << ", element " << i;
                }
            }
            for (std::size_t i = 0; i < writers.size(); ++i)
                ASSERT_EQ(writers[i], 1) << "element " << i << " in " << parts << " parts";
        }
    });
}

TEST_P(Sharing, FarMorePartsThanRowsLeaveTheRestEmpty) {
    for_each_problem([](const halpool_plan *plan, const float *input, CanaryOutput &output, const auto &serial) {
        output.refill();
        constexpr std::int32_t kMost = 2147483647;
        // The first and the last of very many: no overflow, nothing outside.
        for (const std::int32_t part : {0, 1, kMost / 2, kMost - 1})
            ASSERT_EQ(halpool_plan_execute_part(plan, input, output.data(), part, kMost, nullptr), HALPOOL_OK);
        ASSERT_EQ(output.damage(), "");
        for (std::int32_t part = 0; part < 3000; ++part)
            ASSERT_EQ(halpool_plan_execute_part(plan, input, output.data(), part, 3000, nullptr), HALPOOL_OK);
        ASSERT_TRUE(output.all_bits() == serial);
    });
}

TEST_P(Sharing, EightThreadsShareOnePlan) {
    for_each_problem([](const halpool_plan *plan, const float *input, CanaryOutput &output, const auto &serial) {
        std::vector<CanaryOutput> outputs(8, CanaryOutput(output.layout()));
        std::atomic<int> failures{0};
        const std::size_t candidates = kernels_under_test().size();
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < outputs.size(); ++t)
            threads.emplace_back([&, t] {
                const halpool_execution execution = on_pool(t % 2 == 0 ? 1 : 3);
                for (int round = 0; round < 3; ++round)
                    if (halpool_plan_execute(plan, input, outputs[t].data(), &execution, nullptr) != HALPOOL_OK ||
                        halpool_plan_candidate_count(plan) != candidates)
                        ++failures;
            });
        for (std::thread &thread : threads) thread.join();
        EXPECT_EQ(failures, 0);
        for (const CanaryOutput &each : outputs) {
            ASSERT_TRUE(each.all_bits() == serial);
            ASSERT_EQ(each.damage(), "");
        }
    });
}

// Devices share the work out themselves.
HALPOOL_TEST_KERNELS_OF(Cpu, Sharing, HALPOOL_DEVICE_CPU, "f32");

// ---- How many shares, and how large ------------------------------------------------------------------------

// Counts the shares, and the elements that each writes into an output of zeros.
struct ShareSizes {
    const std::vector<float> &output;
    std::vector<std::ptrdiff_t> written;

    static int run(void *context, std::int32_t tasks, halpool_task task, void *task_context) {
        auto &sizes = *static_cast<ShareSizes *>(context);
        std::ptrdiff_t before = 0;
        for (std::int32_t i = 0; i < tasks; ++i) {
            task(task_context, i);
            const std::ptrdiff_t all = sizes.count();
            sizes.written.push_back(all - before);
            before = all;
        }
        return 0;
    }
    std::ptrdiff_t count() const {
        return std::count_if(output.begin(), output.end(), [](float value) { return value != 0; });
    }
};

std::vector<std::ptrdiff_t> share_sizes(const Problem &problem, bool last, std::int32_t threads) {
    const Ints shape = output_shape(problem);
    const StridedLayout in = last ? channels_last(problem.input_shape) : planar(problem.input_shape);
    const StridedLayout out = last ? channels_last(shape) : planar(shape);
    const PlanAttempt made = make_plan(problem, in, out);
    EXPECT_EQ(made.status, HALPOOL_OK) << made.error.message;
    const std::vector<float> input(in.span(), 1.0f);
    std::vector<float> output(out.span());
    ShareSizes sizes{output, {}};
    const halpool_execution execution = on_callers_loop(threads, ShareSizes::run, &sizes);
    EXPECT_EQ(halpool_plan_execute(made.plan.get(), input.data(), output.data(), &execution, nullptr), HALPOOL_OK);
    return sizes.written;
}

std::ptrdiff_t bytes(const Problem &problem) {
    const auto elements = [](const Ints &shape) { return shape[0] * shape[1] * shape[2] * shape[3]; };
    return static_cast<std::ptrdiff_t>((elements(problem.input_shape) + elements(output_shape(problem))) * 4);
}

// The workloads of benchmarks/workloads.json. A share's bytes go with the elements of the output that it writes.
TEST(SixtyFourShares, AreNearEqualWhereTheWorkIsWorthThem) {
    const Problem workloads[] = {{{1, 64, 56, 56}, {2}},
                                 {{8, 64, 112, 112}, {2}},
                                 {{1, 64, 56, 56}, {3}, {1}, {1}},
                                 {{8, 256, 28, 28}, {3}, {1}, {1}},
                                 {{8, 64, 112, 112}, {3}, {2}, {1}},
                                 {{8, 2048, 7, 7}, {7}},
                                 {{1, 16, 224, 224}, {15}, {1}, {7}},
                                 {{1, 16, 224, 224}, {31}, {1}, {15}},
                                 {{1, 3, 1080, 1920}, {2}},
                                 {{1, 3, 2160, 3840}, {8}},
                                 {{1, 1, 4096, 4096}, {31}, {1}, {15}},
                                 {{32, 192, 35, 35}, {3}, {1}, {1}}};
    constexpr std::int32_t kThreads = 64;
    constexpr std::ptrdiff_t kWorthAShare = 32 * 1024;
    int worth_all = 0;
    for (const Problem &problem : workloads)
        for (const bool last : {false, true}) {
            SCOPED_TRACE(::testing::Message() << problem << (last ? " nhwc" : " nchw"));
            const std::vector<std::ptrdiff_t> sizes = share_sizes(problem, last, kThreads);
            ASSERT_LE(sizes.size(), std::size_t{kThreads});
            if (bytes(problem) < kThreads * kWorthAShare) continue;
            ++worth_all;
            const auto total = std::accumulate(sizes.begin(), sizes.end(), std::ptrdiff_t{0});
            const double mean = static_cast<double>(total) / kThreads;
            // Large windows are not cut within a block of 8 rows.
            const Ints shape = output_shape(problem);
            const std::int64_t block = problem.kernel_size[0] > 8 ? 8 * shape[3] * (last ? shape[1] : 1) : 0;
            EXPECT_LE(static_cast<double>(*std::max_element(sizes.begin(), sizes.end())), std::max(1.25 * mean, static_cast<double>(block)));
        }
    EXPECT_GE(worth_all, 18);
}

TEST(Shares, AreNoMoreThanTheWorkIsWorth) {
    for (const bool last : {false, true}) {
        EXPECT_EQ(share_sizes({{1, 16, 8, 8}, {2}}, last, 64).size(), 1u);
        EXPECT_EQ(share_sizes({{1, 3, 35, 35}, {3}, {1}, {1}}, last, 64).size(), 1u);
        const std::size_t few = share_sizes({{1, 512, 7, 7}, {7}}, last, 64).size();  // 100 kB
        EXPECT_GE(few, 2u);
        EXPECT_LE(few, 4u);
    }
}

// ---- The library's pool --------------------------------------------------------------------------------------

// More callers at once than the pool has room for, with pauses in which its threads fall asleep.
TEST(Pool, GivesManyCallersAtOnceTheirOutputs) {
    const Problem problem{{1, 16, 40, 40}, {3}, {1}, {1}};
    const StridedLayout layout = planar(problem.input_shape);
    const PlanPtr plan = make_plan(problem, layout, layout).plan;
    const std::vector<float> input = some_values(layout.span());
    std::vector<float> serial(input.size());
    ASSERT_EQ(halpool_plan_execute(plan.get(), input.data(), serial.data(), nullptr, nullptr), HALPOOL_OK);

    std::atomic<int> failures{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 48; ++caller)
        callers.emplace_back([&, caller] {
            std::vector<float> output(serial.size());
            for (int round = 0; round < 20; ++round) {
                std::fill(output.begin(), output.end(), -1.0f);
                const halpool_execution execution = on_pool(2 + caller % 4);
                if (halpool_plan_execute(plan.get(), input.data(), output.data(), &execution, nullptr) != HALPOOL_OK ||
                    output != serial)
                    ++failures;
                if ((caller + round) % 5 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
            }
        });
    for (std::thread &caller : callers) caller.join();
    EXPECT_EQ(failures, 0);
}

// ---- The caller's parallel loop -----------------------------------------------------------------------------

class CallersLoop : public ::testing::Test {
protected:
    const Problem problem_{{2, 16, 40, 33}, {3}, {1}, {1}};  // worth ten shares
    const StridedLayout layout_ = planar(problem_.input_shape);
    const std::vector<float> input_ = some_values(layout_.span());
    CanaryOutput output_{layout_};
    const PlanPtr plan_ = make_plan(problem_, layout_, layout_).plan;

    std::vector<std::uint32_t> serial_bits() {
        CanaryOutput serial(layout_);
        EXPECT_EQ(halpool_plan_execute(plan_.get(), input_.data(), serial.data(), nullptr, nullptr), HALPOOL_OK);
        return serial.all_bits();
    }
};

TEST_F(CallersLoop, ThatReportsFailureMakesTheCallFail) {
    const auto fails = [](void *, std::int32_t tasks, halpool_task task, void *context) {
        for (std::int32_t i = 0; i < tasks; ++i) task(context, i);
        return 1;
    };
    const halpool_execution execution = on_callers_loop(4, fails);
    halpool_error error;
    EXPECT_EQ(halpool_plan_execute(plan_.get(), input_.data(), output_.data(), &execution, &error),
              HALPOOL_ERROR_INTERNAL);
    EXPECT_STRNE(error.message, "");
}

TEST_F(CallersLoop, ThatDropsATaskMakesTheCallFail) {
    const auto drops_last = [](void *, std::int32_t tasks, halpool_task task, void *context) {
        for (std::int32_t i = 0; i + 1 < tasks; ++i) task(context, i);
        return 0;
    };
    const halpool_execution execution = on_callers_loop(4, drops_last);
    halpool_error error;
    EXPECT_EQ(halpool_plan_execute(plan_.get(), input_.data(), output_.data(), &execution, &error),
              HALPOOL_ERROR_INTERNAL);
    EXPECT_STRNE(error.message, "");
}

TEST_F(CallersLoop, IsGivenItsContextAndAtMostTheSharesAskedFor) {
    struct Seen {
        std::int32_t tasks = -1;
    } seen;
    const auto records = [](void *context, std::int32_t tasks, halpool_task task, void *task_context) {
        static_cast<Seen *>(context)->tasks = tasks;
        return run_in_order(nullptr, tasks, task, task_context);
    };
    for (const std::int32_t threads : {1, 2, 6}) {
        const halpool_execution execution = on_callers_loop(threads, records, &seen);
        ASSERT_EQ(halpool_plan_execute(plan_.get(), input_.data(), output_.data(), &execution, nullptr),
                  HALPOOL_OK);
        EXPECT_GE(seen.tasks, 1);
        EXPECT_LE(seen.tasks, threads);
    }
}

TEST_F(CallersLoop, MayUseTheLibrarysPoolInside) {
    struct Inner {
        const halpool_plan *plan;
        const float *input;
        std::vector<CanaryOutput> outputs;
        std::atomic<int> failures{0};
    } inner{plan_.get(), input_.data(), std::vector<CanaryOutput>(6, CanaryOutput(layout_)), {}};
    const auto nests = [](void *context, std::int32_t tasks, halpool_task task, void *task_context) {
        auto &all = *static_cast<Inner *>(context);
        std::vector<std::thread> threads;
        for (std::int32_t i = 0; i < tasks; ++i)
            threads.emplace_back([=, &all] {
                const halpool_execution execution = on_pool(3);
                CanaryOutput &output = all.outputs[static_cast<std::size_t>(i)];
                if (halpool_plan_execute(all.plan, all.input, output.data(), &execution, nullptr) != HALPOOL_OK)
                    ++all.failures;
                task(task_context, i);
            });
        for (std::thread &thread : threads) thread.join();
        return 0;
    };
    const halpool_execution execution = on_callers_loop(6, nests, &inner);
    ASSERT_EQ(halpool_plan_execute(plan_.get(), input_.data(), output_.data(), &execution, nullptr), HALPOOL_OK);
    EXPECT_EQ(inner.failures, 0);
    const std::vector<std::uint32_t> serial = serial_bits();
    EXPECT_TRUE(output_.all_bits() == serial);
    for (const CanaryOutput &each : inner.outputs) EXPECT_TRUE(each.all_bits() == serial);
}

}  // namespace
}  // namespace halpool_test
