// Execution allocates nothing: this program counts every allocation of the process, its own definitions of malloc
// and mmap taking the place of the C library's.
#include "aligned_floats.hpp"
#include "every_window_class.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

namespace {
std::atomic<long> allocations{0};
}

extern "C" {
void *__libc_malloc(std::size_t);
void *__libc_calloc(std::size_t, std::size_t);
void *__libc_realloc(void *, std::size_t);
void *__libc_memalign(std::size_t, std::size_t);

void *malloc(std::size_t size) noexcept {
    ++allocations;
    return __libc_malloc(size);
}
void *calloc(std::size_t count, std::size_t size) noexcept {
    ++allocations;
    return __libc_calloc(count, size);
}
void *realloc(void *old, std::size_t size) noexcept {
    ++allocations;
    return __libc_realloc(old, size);
}
void *memalign(std::size_t alignment, std::size_t size) noexcept {
    ++allocations;
    return __libc_memalign(alignment, size);
}
void *aligned_alloc(std::size_t alignment, std::size_t size) noexcept { return memalign(alignment, size); }
int posix_memalign(void **memory, std::size_t alignment, std::size_t size) noexcept {
    *memory = memalign(alignment, size);
    return *memory == nullptr ? ENOMEM : 0;
}
void *mmap(void *address, std::size_t size, int protection, int flags, int file, off_t offset) noexcept {
    ++allocations;
    return reinterpret_cast<void *>(syscall(SYS_mmap, address, size, protection, flags, file, offset));
}
}

namespace halpool_test {
namespace {

TEST(Allocations, AreCounted) {
    const auto counts = [](auto allocate) {
        const long before = allocations;
        allocate();
        return allocations - before;
    };
    EXPECT_GE(counts([] {
                  void *volatile p = std::malloc(8);  // volatile, or the compiler leaves the pair out
                  std::free(p);
              }),
              1);
    EXPECT_GE(counts([] { delete new std::vector<int>(100); }), 1);
    EXPECT_GE(counts([] {
                  void *p = nullptr;
                  ASSERT_EQ(posix_memalign(&p, 64, 64), 0);
                  std::free(p);
              }),
              1);
}

class Execution : public ::testing::TestWithParam<KernelUnderTest> {};

TEST_P(Execution, AllocatesNothing) {
    const KernelUnderTest &kernel = GetParam();
    if (!kernel.available) GTEST_SKIP() << kernel.target << ": " << kernel.target_reason;
    std::vector<Problem> problems;
    for (const std::int64_t channels : {3, 16})
        for (const Problem &problem : problems_of_every_window_class(channels)) problems.push_back(problem);
    int executed = 0;
    for (const Problem &problem : problems)
        for (const bool last : {false, true}) {
            const Ints shape = output_shape(problem);
            const StridedLayout in = last ? channels_last(problem.input_shape) : planar(problem.input_shape);
            const StridedLayout out = last ? channels_last(shape) : planar(shape);
            const PlanAttempt made = make_plan(problem, in, out, kernel.name.c_str());
            if (made.status == HALPOOL_ERROR_UNSUPPORTED) continue;
            ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
            const std::vector<float> input(in.span(), 1.0f);
            AlignedFloats output(out.span());
            halpool_execution pool = HALPOOL_EXECUTION_INIT;
            pool.threads = 4;
            halpool_error error;
            // The pool's first use starts its threads.
            ASSERT_EQ(halpool_plan_execute(made.plan.get(), input.data(), output.data(), &pool, &error),
                      HALPOOL_OK);

            long before = allocations;
            halpool_status status =
                halpool_plan_execute(made.plan.get(), input.data(), output.data(), nullptr, &error);
            EXPECT_EQ(allocations - before, 0) << "serial: " << problem;
            ASSERT_EQ(status, HALPOOL_OK) << error.message;

            before = allocations;
            for (std::int32_t part = 0; part < 3 && status == HALPOOL_OK; ++part)
                status = halpool_plan_execute_part(made.plan.get(), input.data(), output.data(), part, 3, &error);
            EXPECT_EQ(allocations - before, 0) << "in parts: " << problem;
            ASSERT_EQ(status, HALPOOL_OK) << error.message;

            before = allocations;
            for (int round = 0; round < 20 && status == HALPOOL_OK; ++round)
                status = halpool_plan_execute(made.plan.get(), input.data(), output.data(), &pool, &error);
            EXPECT_EQ(allocations - before, 0) << "on the pool: " << problem;
            ASSERT_EQ(status, HALPOOL_OK) << error.message;
            ++executed;
        }
    EXPECT_GT(executed, 0) << kernel.name << " took no problem at all";
}

HALPOOL_TEST_KERNELS_OF(Cpu, Execution, HALPOOL_DEVICE_CPU, "f32");

}  // namespace
}  // namespace halpool_test
