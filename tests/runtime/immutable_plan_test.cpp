// Execution does not write to the plan, which threads share without a lock, nor do kernels write to the arguments that it
// prepares for them: here plans lie in memory that cannot be written. Workspaces alone are not the plan's own: they are taken
// by atomic operations, and the only thing on cache lines of its own.
#include "aligned_floats.hpp"
#include "every_window_class.hpp"
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace {

// Where everything is allocated while `open`; never freed.
class Arena {
public:
    static constexpr std::size_t kBytes = std::size_t{1} << 28;

    Arena() : begin_(static_cast<char *>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
        if (begin_ == MAP_FAILED) std::abort();
    }
    void *allocate(std::size_t size, std::size_t alignment) {
        used_ = (used_ + alignment - 1) / alignment * alignment + size;
        if (used_ > kBytes) std::abort();
        return begin_ + used_ - size;
    }
    bool holds(const void *address) const { return address >= begin_ && address < begin_ + kBytes; }
    bool protect(int protection) { return mprotect(begin_, kBytes, protection) == 0; }

    bool open = false;

private:
    char *begin_;
    std::size_t used_ = 0;
};

Arena &arena() {
    static Arena instance;
    return instance;
}

void *allocate(std::size_t size, std::size_t alignment) {
    if (arena().open && alignment <= alignof(std::max_align_t)) return arena().allocate(size, alignment);
    void *const memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (!memory) throw std::bad_alloc();
    return memory;
}

void release(void *memory) noexcept {
    if (!arena().holds(memory)) std::free(memory);
}

}  // namespace

void *operator new(std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void *operator new(std::size_t size, std::align_val_t alignment) { return allocate(size, static_cast<std::size_t>(alignment)); }
void operator delete(void *memory) noexcept { release(memory); }
void operator delete(void *memory, std::size_t) noexcept { release(memory); }
void operator delete(void *memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void *memory, std::size_t, std::align_val_t) noexcept { release(memory); }

namespace halpool_test {
namespace {

class Plan : public ::testing::TestWithParam<KernelUnderTest> {};

TEST_P(Plan, IsNotWrittenByItsExecution) {
    const KernelUnderTest &kernel = GetParam();
    if (!kernel.available) GTEST_SKIP() << kernel.target << ": " << kernel.target_reason;
    std::vector<Problem> problems;
    for (const std::int64_t channels : {3, 48})
        for (const Problem &problem : problems_of_every_window_class(channels)) problems.push_back(problem);
    int executed = 0;
    for (const bool last : {false, true})
        for (const Problem &problem : problems) {
            const StridedLayout in = last ? channels_last(problem.input_shape) : planar(problem.input_shape);
            const StridedLayout out = last ? channels_last(output_shape(problem)) : planar(output_shape(problem));
            const std::vector<float> input(in.span(), 1.0f);
            AlignedFloats output(out.span());
            arena().open = true;
            const PlanAttempt made = make_plan(problem, in, out, kernel.name.c_str());
            arena().open = false;
            if (made.status == HALPOOL_ERROR_UNSUPPORTED) continue;
            ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
            ASSERT_TRUE(arena().holds(made.plan.get()));

            ASSERT_TRUE(arena().protect(PROT_READ));
            halpool_status status =
                halpool_plan_execute(made.plan.get(), input.data(), output.data(), nullptr, nullptr);
            for (std::int32_t part = 0; part < 3 && status == HALPOOL_OK; ++part)
                status = halpool_plan_execute_part(made.plan.get(), input.data(), output.data(), part, 3, nullptr);
            ASSERT_TRUE(arena().protect(PROT_READ | PROT_WRITE));
            ASSERT_EQ(status, HALPOOL_OK);
            ++executed;
        }
    EXPECT_GT(executed, 0) << kernel.name << " took no problem at all";
}

HALPOOL_TEST_KERNELS_OF(Cpu, Plan, HALPOOL_DEVICE_CPU, "f32");

}  // namespace
}  // namespace halpool_test
