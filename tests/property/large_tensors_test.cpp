// Tensors around 2^30 elements, which is what a kernel addresses: planes above that are the reference's, of smaller ones several
// calls are made. The memory is reserved, not filled: its pages are zero until
// written, and windows far apart touch few of them.
#include "kernels_under_test.hpp"
#include "oracle.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace halpool_test {
namespace {

class ReservedFloats {
public:
    explicit ReservedFloats(std::size_t count) : bytes_(count * sizeof(float)) {
        memory_ =
            mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    ~ReservedFloats() {
        if (memory_ != MAP_FAILED) munmap(memory_, bytes_);
    }
    ReservedFloats(const ReservedFloats &) = delete;
    ReservedFloats &operator=(const ReservedFloats &) = delete;
    float *data() const { return memory_ == MAP_FAILED ? nullptr : static_cast<float *>(memory_); }

private:
    std::size_t bytes_;
    void *memory_;
};

class LargeTensors : public ::testing::TestWithParam<KernelUnderTest> {
protected:
    // Windows in the corners and between, far apart. The first and the last element of each get their own values.
    void check(const Problem &problem, bool last, bool must_run) {
        const Ints &shape = problem.input_shape;
        const StridedLayout input = last ? channels_last(shape) : planar(shape);
        const Ints out_shape = output_shape(problem);
        const StridedLayout output = last ? channels_last(out_shape) : planar(out_shape);
        SCOPED_TRACE(::testing::Message() << problem << (last ? ", channels-last" : ", planar"));
        const PlanAttempt made = make_plan(problem, input, output, GetParam().name.c_str());
        if (made.status == HALPOOL_ERROR_UNSUPPORTED && !must_run) return;
        ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
        ++executed_;

        const ReservedFloats memory(input.count());
        ASSERT_NE(memory.data(), nullptr) << "no address space for " << input.count() << " floats";
        const Axes a = axes(problem);
        const auto at = [&](std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) -> float & {
            return memory.data()[n * input.strides[0] + c * input.strides[1] + y * input.strides[2] +
                                 x * input.strides[3]];
        };
        float value = 1;
        std::vector<float> want;
        for (std::int64_t n = 0; n < out_shape[0]; ++n)
            for (std::int64_t c = 0; c < out_shape[1]; ++c)
                for (std::int64_t y = 0; y < out_shape[2]; ++y)
                    for (std::int64_t x = 0; x < out_shape[3]; ++x, ++value) {
                        at(n, c, y * a.y.stride, x * a.x.stride) = value;
                        at(n, c, y * a.y.stride + a.y.kernel - 1, x * a.x.stride + a.x.kernel - 1) = 2 * value;
                        want.push_back(3 * value / static_cast<float>(a.y.kernel * a.x.kernel));
                    }
        std::vector<float> got(output.span());
        halpool_error error;
        ASSERT_EQ(halpool_plan_execute(made.plan.get(), memory.data(), got.data(), nullptr, &error), HALPOOL_OK)
            << error.message;
        for (std::size_t i = 0; i < want.size(); ++i)
            ASSERT_FLOAT_EQ(got[static_cast<std::size_t>(output.offset(i))], want[i]) << "element " << i;
    }

    int executed_ = 0;
};

constexpr std::int64_t kLimit = (std::int64_t{1} << 30) - 1;

TEST_P(LargeTensors, AreAddressedToTheirLastElement) {
    const KernelUnderTest &kernel = GetParam();
    if (!kernel.available) GTEST_SKIP() << kernel.target << ": " << kernel.target_reason;

    const Problem below[] = {{{1, 1, 32767, 32768}, {3, 4}, {16382, 16382}},  // few rows, few columns
                             {{1, 1, 3, 357000000}, {3, 5}, {3, 89249998}},    // long rows
                             {{7, 3, 7150, 7150}, {2}, {7148}}};              // several planes
    const Problem above[] = {{{1, 1, 32769, 65536}, {3, 4}, {16383, 32766}}, {{3, 3, 16384, 16384}, {2}, {16382}}};
    for (const Problem &problem : below) {
        std::int64_t elements = 1;
        for (const std::int64_t extent : problem.input_shape) elements *= extent;
        ASSERT_LE(elements, kLimit);
        check(problem, false, kernel.layout != "nhwc");
        check(problem, true, kernel.layout != "nchw");
    }
    for (const Problem &problem : above) {
        const bool small_planes = problem.input_shape[0] > 1;
        check(problem, false, kernel.layout == "any" || (small_planes && kernel.layout == "nchw"));
        check(problem, true, kernel.layout == "any" || (small_planes && kernel.layout == "nhwc"));
    }
    EXPECT_GT(executed_, 0);
}

// The others' strides would touch every page.
std::vector<KernelUnderTest> kernels_of_any_stride() {
    std::vector<KernelUnderTest> chosen;
    for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU))
        if (kernel.window == "generic" || kernel.window == "small" || kernel.window == "any")
            chosen.push_back(kernel);
    return chosen;
}

// 2.2e9 elements of one byte, all of them read and checked. Each window's elements have one value, that of its row.
TEST(TensorsOfBytes, OfMoreThanTwoToTheThirtyFirstElementsArePooledWhole) {
    constexpr std::int64_t images = 110, channels = 20, side = 1000;
    const std::int64_t free_bytes = std::int64_t{sysconf(_SC_AVPHYS_PAGES)} * sysconf(_SC_PAGESIZE);
    if (free_bytes < std::int64_t{4} << 30) GTEST_SKIP() << "needs 4 GiB of memory, of which " << (free_bytes >> 20) << " MiB are free";
    Problem problem{{images, channels, side, side}, {2}};
    problem.allow_any_dtype = true;
    const Ints out_shape = output_shape(problem);
    const ReservedFloats in_memory(images * channels * side * side / 4), out_memory(images * channels * side * side / 16);
    auto *const input = reinterpret_cast<std::int8_t *>(in_memory.data()), *const output = reinterpret_cast<std::int8_t *>(out_memory.data());
    ASSERT_NE(input, nullptr);
    ASSERT_NE(output, nullptr);
    const auto value = [](std::int64_t outer, std::int64_t row) { return static_cast<std::int8_t>((outer * 31 + row * 7) % 251 - 125); };
    for (const bool last : {false, true}) {
        const std::int64_t outer = last ? images : images * channels, row = last ? side * channels : side;
        for (std::int64_t o = 0; o < outer; ++o)
            for (std::int64_t y = 0; y < side; ++y) std::memset(input + (o * side + y) * row, value(o, y / 2), static_cast<std::size_t>(row));
        const StridedLayout in = last ? channels_last(problem.input_shape) : planar(problem.input_shape);
        const StridedLayout out = last ? channels_last(out_shape) : planar(out_shape);
        const PlanAttempt made = make_plan(problem, in, out, nullptr, nullptr, HALPOOL_DEVICE_CPU, HALPOOL_INT8);
        ASSERT_EQ(made.status, HALPOOL_OK) << made.error.message;
        halpool_error error;
        ASSERT_EQ(halpool_plan_execute(made.plan.get(), input, output, nullptr, &error), HALPOOL_OK) << error.message;
        for (std::int64_t o = 0; o < outer; ++o)
            for (std::int64_t y = 0; y < side / 2; ++y) {
                const std::vector<std::int8_t> want(static_cast<std::size_t>(row / 2), value(o, y));
                ASSERT_EQ(std::memcmp(output + (o * side / 2 + y) * row / 2, want.data(), want.size()), 0) << halpool_plan_kernel(made.plan.get()) << ", slice " << o << " row " << y;
            }
    }
}

INSTANTIATE_TEST_SUITE_P(EveryKernelOfAnyStride, LargeTensors, ::testing::ValuesIn(kernels_of_any_stride()),
                         [](const auto &instance) { return test_name(instance.param); });

}  // namespace
}  // namespace halpool_test
