// Every word of float16 and of bfloat16 through the kernels that take any window, to float and back: as read, halfway between two
// elements, and divided.
#include "guarded_execution.hpp"
#include "kernels_under_test.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace halpool_test {
namespace {

constexpr std::size_t kWords = 1 << 16;

class HalfConversions : public ::testing::TestWithParam<KernelUnderTest> {
protected:
    void SetUp() override {
        if (!GetParam().available) GTEST_SKIP() << GetParam().target << ": " << GetParam().target_reason;
    }

    // The words as one row, pooled by this kernel. Both layouts are the same memory.
    template <class T>
    CanaryOutputOf<T> pooled(const std::vector<T> &words, std::int64_t kernel, std::optional<std::int64_t> divisor = std::nullopt) {
        Problem problem{{1, 1, 1, static_cast<std::int64_t>(words.size())}, {1, kernel}};
        problem.divisor_override = divisor;
        const StridedLayout input = planar(problem.input_shape);
        CanaryOutputOf<T> output(planar({1, 1, 1, static_cast<std::int64_t>(words.size()) / kernel}));
        const PlanAttempt attempt = make_plan(problem, input, output.layout(), GetParam(), Element<T>::kDtype);
        EXPECT_EQ(attempt.status, HALPOOL_OK) << attempt.error.message;
        if (attempt.status != HALPOOL_OK) return output;
        halpool_error error;
        const auto fill = [&](T *to) { std::copy(words.begin(), words.end(), to); };
        EXPECT_EQ(execution_.run(attempt.plan.get(), input, Flush::with_page_end, fill, output, &error), HALPOOL_OK) << error.message;
        EXPECT_EQ(output.damage(), "");
        return output;
    }

    template <class T>
    static std::vector<T> all_words() {
        std::vector<T> words;
        for (std::size_t word = 0; word < kWords; ++word) words.push_back(T::of(static_cast<std::uint16_t>(word)));
        return words;
    }

    template <class T>
    void expect_words_back() {
        const std::vector<T> words = all_words<T>();
        const CanaryOutputOf<T> output = pooled(words, 1);
        for (std::size_t i = 0; i < kWords; ++i) {
            const T got = output.value(i);
            if (is_nan(words[i])) ASSERT_TRUE(is_nan(got)) << "word " << i << " became " << got.bits;
            else ASSERT_EQ(got.bits, i == 0x8000 ? 0 : i);  // added up, -0.0 is +0.0
        }
    }

    // The mean of neighbours lies halfway: it goes to the even one.
    template <class T>
    void expect_ties_to_even() {
        std::vector<T> words;
        for (std::size_t word = 0; word + 1 < kWords; ++word)
            for (std::size_t side : {word, word + 1}) words.push_back(T::of(static_cast<std::uint16_t>(side)));
        const CanaryOutputOf<T> output = pooled(words, 2);
        for (std::size_t i = 0; i < words.size() / 2; ++i) {
            // The float that is rounded is exact, or infinite.
            const double exact = static_cast<double>(static_cast<float>(words[2 * i].number() + words[2 * i + 1].number())) / 2;
            const T got = output.value(i), want = T::nearest(exact);
            if (std::isnan(exact)) ASSERT_TRUE(is_nan(got)) << "words " << i << " and the next";
            else ASSERT_EQ(got.number(), want.number()) << "words " << i << " and the next";
        }
    }

    template <class T>
    void expect_nearest_quotients(std::int64_t divisor) {
        const std::vector<T> words = all_words<T>();
        const CanaryOutputOf<T> output = pooled(words, 1, divisor);
        for (std::size_t i = 0; i < kWords; ++i) {
            if (is_nan(words[i])) {
                ASSERT_TRUE(is_nan(output.value(i)));
                continue;
            }
            // The float that is rounded may be one unit off.
            const double exact = words[i].number() / static_cast<double>(divisor), unit = 0x1p-23;
            const double got = output.value(i).number(), low = T::nearest(exact * (1 - unit)).number(), high = T::nearest(exact * (1 + unit)).number();
            ASSERT_TRUE((low <= got && got <= high) || (high <= got && got <= low)) << "word " << i << ": got " << got << ", exact " << exact;
        }
    }

private:
    GuardedExecution execution_;
};

template <class Check>
void with_half(const KernelUnderTest &kernel, Check check) {
    if (kernel.dtype == "f16") check(Float16{});
    else check(BFloat16{});
}

TEST_P(HalfConversions, EveryWordComesBack) {
    with_half(GetParam(), [&](auto half) { expect_words_back<decltype(half)>(); });
}

TEST_P(HalfConversions, TiesGoToTheEvenElement) {
    with_half(GetParam(), [&](auto half) { expect_ties_to_even<decltype(half)>(); });
}

TEST_P(HalfConversions, QuotientsAreTheNearestElements) {
    for (const std::int64_t divisor : {3, 7, -1000, 100000})
        with_half(GetParam(), [&](auto half) { expect_nearest_quotients<decltype(half)>(divisor); });
}

std::vector<KernelUnderTest> kernels_of_any_window(const std::string &dtype) {
    std::vector<KernelUnderTest> chosen;
    for (const KernelUnderTest &kernel : kernels_of_device(HALPOOL_DEVICE_CPU, dtype))
        if (kernel.window == "generic" || kernel.is_reference()) chosen.push_back(kernel);
    return chosen;
}

const auto name_of = [](const auto &parameter) { return test_name(parameter.param); };
INSTANTIATE_TEST_SUITE_P(Float16, HalfConversions, ::testing::ValuesIn(kernels_of_any_window("f16")), name_of);
INSTANTIATE_TEST_SUITE_P(BFloat16, HalfConversions, ::testing::ValuesIn(kernels_of_any_window("bf16")), name_of);

}  // namespace
}  // namespace halpool_test
