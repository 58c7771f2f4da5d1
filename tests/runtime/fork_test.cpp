// A process that forks after its first use of the library: parent and child both go on. A child has none of its
// parent's threads, and of the pool's locks whatever state they were in.
#include "canary_output.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace halpool_test {
namespace {

class Fork : public ::testing::Test {
protected:
    const Problem problem_{{2, 8, 60, 50}, {3}, {1}, {1}};
    const StridedLayout layout_ = planar({2, 8, 60, 50});
    const std::vector<float> input_ = std::vector<float>(layout_.count(), 9.0f);
    const PlanPtr plan_ = make_plan(problem_, layout_, layout_).plan;

    void SetUp() override {
#if defined(__SANITIZE_THREAD__)
        GTEST_SKIP() << "ThreadSanitizer does not run threads in the child of a process of many";
#endif
    }

    bool pools(std::int32_t threads) const {
        std::vector<float> output(layout_.count());
        halpool_execution execution = HALPOOL_EXECUTION_INIT;
        execution.threads = threads;
        if (halpool_plan_execute(plan_.get(), input_.data(), output.data(), &execution, nullptr) != HALPOOL_OK)
            return false;
        const auto at = [&](std::int64_t y, std::int64_t x) {
            return output[static_cast<std::size_t>(y * 50 + x)];
        };
        return at(0, 0) == 4.0f && at(0, 1) == 6.0f && at(1, 1) == 9.0f && at(58, 48) == 9.0f &&
               at(59, 49) == 4.0f;
    }

    // Exit code 0 when body() is true in a child. An alarm ends a child that hangs.
    template <class Body>
    static void expect_in_child(Body body) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            alarm(60);
            _exit(body() ? 0 : 1);
        }
        int status = -1;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
        EXPECT_EQ(WEXITSTATUS(status), 0);
    }
};

TEST_F(Fork, AChildPoolsSeriallyAndOnThreadsOfItsOwn) {
    ASSERT_TRUE(pools(1));
    ASSERT_TRUE(pools(4));
    for (int round = 0; round < 5; ++round) {
        expect_in_child([&] { return pools(1) && pools(4) && pools(7) && pools(1); });
        EXPECT_TRUE(pools(4)) << "the parent goes on";
    }
}

TEST_F(Fork, AChildMakesPlansOfItsOwnAndAsksWhatThereIs) {
    ASSERT_TRUE(pools(3));
    expect_in_child([&] {
        const PlanAttempt made = make_plan(problem_, layout_, layout_);
        return made.status == HALPOOL_OK &&
               halpool_plan_candidate_count(made.plan.get()) == kernels_under_test().size() &&
               halpool_target_at(0).name != nullptr && halpool_device_at(0).available != 0;
    });
}

TEST_F(Fork, AChildForksAgain) {
    ASSERT_TRUE(pools(3));
    expect_in_child([&] {
        if (!pools(3)) return false;
        const pid_t grandchild = fork();
        if (grandchild == 0) _exit(pools(3) && pools(1) ? 0 : 1);
        int status = -1;
        return waitpid(grandchild, &status, 0) == grandchild && status == 0 && pools(3);
    });
}

TEST_F(Fork, AChildOfAParentWhosePoolIsBusyPools) {
    std::atomic<bool> stop{false};
    std::atomic<int> failures{0}, rounds{0};
    std::vector<std::thread> busy;
    for (int t = 0; t < 2; ++t)
        busy.emplace_back([&] {
            for (; !stop; ++rounds)
                if (!pools(3)) ++failures;
        });
    while (rounds < 2) std::this_thread::yield();
    for (int round = 0; round < 10; ++round) {
        expect_in_child([&] { return pools(3) && pools(1); });
        if (HasFailure()) break;
    }
    stop = true;
    for (std::thread &thread : busy) thread.join();
    EXPECT_EQ(failures, 0);
    EXPECT_TRUE(pools(3));
}

}  // namespace
}  // namespace halpool_test
