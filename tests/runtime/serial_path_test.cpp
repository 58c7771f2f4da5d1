// On one thread, and in parts, execution takes no lock and touches no other thread: this program counts the calls that
// would, its own definitions taking the place of the C library's. They can refuse threads, too.
#include "aligned_floats.hpp"
#include "every_window_class.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace {

std::atomic<long> calls{0};
bool no_threads = false;

template <class Function>
Function *count_and_find(const char *name) {
    ++calls;
    return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
int pthread_mutex_lock(pthread_mutex_t *mutex) noexcept {
    return count_and_find<int(pthread_mutex_t *)>("pthread_mutex_lock")(mutex);
}
int pthread_mutex_trylock(pthread_mutex_t *mutex) noexcept {
    return count_and_find<int(pthread_mutex_t *)>("pthread_mutex_trylock")(mutex);
}
int pthread_rwlock_rdlock(pthread_rwlock_t *lock) noexcept {
    return count_and_find<int(pthread_rwlock_t *)>("pthread_rwlock_rdlock")(lock);
}
int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    return count_and_find<int(pthread_cond_t *, pthread_mutex_t *)>("pthread_cond_wait")(condition, mutex);
}
int pthread_cond_signal(pthread_cond_t *condition) noexcept {
    return count_and_find<int(pthread_cond_t *)>("pthread_cond_signal")(condition);
}
int pthread_cond_broadcast(pthread_cond_t *condition) noexcept {
    return count_and_find<int(pthread_cond_t *)>("pthread_cond_broadcast")(condition);
}
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) noexcept {
    if (no_threads) return EAGAIN;
    return count_and_find<int(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *)>("pthread_create")(
        thread, attributes, start, argument);
}
int sched_yield() noexcept { return count_and_find<int()>("sched_yield")(); }
}

namespace halpool_test {
namespace {

template <class Body>
long calls_of(const Body &body) {
    const long before = calls;
    body();
    return calls - before;
}

TEST(Locks, AreCounted) {
    std::mutex mutex;
    std::condition_variable condition;
    EXPECT_GE(calls_of([&] { const std::lock_guard<std::mutex> lock(mutex); }), 1);
    EXPECT_GE(calls_of([&] { condition.notify_all(); }), 1);
    EXPECT_GE(calls_of([] { std::this_thread::yield(); }), 1);
    EXPECT_GE(calls_of([] { std::thread([] {}).join(); }), 1);
}

class Execution : public ::testing::TestWithParam<KernelUnderTest> {};

TEST_P(Execution, OnOneThreadTakesNoLockAndNoOtherThread) {
    const KernelUnderTest &kernel = GetParam();
    if (!kernel.available) GTEST_SKIP() << kernel.target << ": " << kernel.target_reason;
    std::vector<Problem> problems;
    for (const std::int64_t channels : {3, 16})
        for (const Problem &problem : problems_of_every_window_class(channels)) problems.push_back(problem);
    int executed = 0;
    for (const bool last : {false, true})
        for (const Problem &problem : problems) {
            const StridedLayout in = last ? channels_last(problem.input_shape) : planar(problem.input_shape);
            const StridedLayout out = last ? channels_last(output_shape(problem)) : planar(output_shape(problem));
            const PlanAttempt made = make_plan(problem, in, out, kernel.name.c_str());
            if (made.status == HALPOOL_ERROR_UNSUPPORTED) continue;
            ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
            const std::vector<float> input(in.span(), 1.0f);
            AlignedFloats output(out.span());
            halpool_status status = HALPOOL_OK;
            EXPECT_EQ(calls_of([&] {
                          status = halpool_plan_execute(made.plan.get(), input.data(), output.data(), nullptr, nullptr);
                      }),
                      0)
                << problem;
            ASSERT_EQ(status, HALPOOL_OK);
            EXPECT_EQ(calls_of([&] {
                          for (std::int32_t part = 0; part < 3 && status == HALPOOL_OK; ++part)
                              status = halpool_plan_execute_part(made.plan.get(), input.data(), output.data(), part, 3,
                                                                 nullptr);
                      }),
                      0)
                << "in parts: " << problem;
            ASSERT_EQ(status, HALPOOL_OK);
            ++executed;
        }
    EXPECT_GT(executed, 0) << kernel.name << " took no problem at all";
}

struct Case {
    Problem problem;
    StridedLayout in = planar(problem.input_shape), out = planar(output_shape(problem));
    PlanPtr plan = make_plan(problem, in, out).plan;
    std::vector<float> input = std::vector<float>(in.span(), 1.0f), output = std::vector<float>(out.span());

    halpool_status execute(std::int32_t threads) {
        halpool_execution execution = HALPOOL_EXECUTION_INIT;
        execution.threads = threads;
        return halpool_plan_execute(plan.get(), input.data(), output.data(), &execution, nullptr);
    }
};

TEST(TinyWork, TakesNoLockAndNoOtherThreadAtAnyNumberOfThreads) {
    Case tiny{{{1, 16, 8, 8}, {2}}};
    halpool_status status = HALPOOL_OK;
    EXPECT_EQ(calls_of([&] { status = tiny.execute(64); }), 0);
    EXPECT_EQ(status, HALPOOL_OK);
}

TEST(Pool, WithoutThreadsLeavesTheWorkToTheCaller) {
    Case large{{{1, 64, 56, 56}, {2}}};
    no_threads = true;
    for (int round = 0; round < 3; ++round) {
        std::fill(large.output.begin(), large.output.end(), 0.0f);
        EXPECT_EQ(large.execute(16), HALPOOL_OK);
        EXPECT_EQ(large.output, std::vector<float>(large.output.size(), 1.0f));
    }
    no_threads = false;
}

HALPOOL_TEST_KERNELS_OF(Cpu, Execution, HALPOOL_DEVICE_CPU, "f32");

}  // namespace
}  // namespace halpool_test
