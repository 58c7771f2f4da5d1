// What the benchmark's peers in C++ share: the elements of each dtype, and the protocol.
#include "element.hpp"
#include "peer.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <set>

namespace halpool_test {
namespace {

constexpr std::size_t kElements = 5;

// Calls check(T{}, dtype) with the type of each.
template <class Check>
void for_every_dtype(Check check) {
    const auto call = [&](auto element, bench::DType dtype) {
        SCOPED_TRACE(Element<decltype(element)>::kName);
        check(element, dtype);
    };
    call(float{}, bench::DType::f32);
    call(double{}, bench::DType::f64);
    call(Float16{}, bench::DType::f16);
    call(BFloat16{}, bench::DType::bf16);
    call(std::int8_t{}, bench::DType::i8);
    call(std::uint8_t{}, bench::DType::u8);
}

TEST(PeersElements, HaveTheirNameAndSize) {
    for_every_dtype([](auto element, bench::DType dtype) {
        EXPECT_EQ(bench::dtype_named(Element<decltype(element)>::kName), dtype);
        EXPECT_EQ(bench::element_bytes(dtype), sizeof element);
    });
}

TEST(PeersElements, StandForTheirNumbers) {
    for_every_dtype([](auto element, bench::DType dtype) {
        using T = decltype(element);
        constexpr std::size_t kPatterns = 65536;  // of the two upper bytes: of 16 bits all there are
        std::vector<unsigned char> bytes(sizeof(T) * kPatterns);
        for (std::size_t i = 0; i < kPatterns; ++i)
            for (std::size_t byte = 0; byte < sizeof(T); ++byte)
                if (byte + 2 >= sizeof(T))
                    bytes[i * sizeof(T) + byte] = static_cast<unsigned char>(i >> 8 * (byte + 2 - sizeof(T)));
        for (std::size_t i = 0; i < kPatterns; ++i) {
            element = bench::load<T>(bytes.data(), i);
            const double number = bench::number(dtype, bytes.data(), i);
            if (is_nan(element))
                ASSERT_TRUE(std::isnan(number)) << i;
            else
                ASSERT_EQ(number, Element<T>::number(element)) << i;
        }
    });
}

TEST(PeersInputs, SpreadOverTheirRange) {
    for_every_dtype([](auto element, bench::DType dtype) {
        using T = decltype(element);
        constexpr std::size_t kCount = 10000;
        const bench::Buffer values(kCount * sizeof(double));
        bench::fill(dtype, values.data(), kCount);
        double sum = 0;
        std::set<double> different;
        for (std::size_t i = 0; i < kCount; ++i) {
            const double number = Element<T>::number(bench::load<T>(values.data(), i));
            sum += number;
            different.insert(number);
        }
        EXPECT_GE(different.size(), 256u);
        if (!Element<T>::kFloat) {
            EXPECT_EQ(different.size(), 256u);
            EXPECT_NEAR(sum / kCount, dtype == bench::DType::u8 ? 127.5 : -0.5, 3);
            return;
        }
        EXPECT_GE(*different.begin(), -1);
        EXPECT_LT(*different.rbegin(), 1);
        EXPECT_NEAR(sum / kCount, 0, 0.02);
    });
}

// peer_test.py has the same ones.
TEST(PeersInputs, AreTheSameInEveryPeer) {
    const auto filled = [](bench::DType dtype, auto bits) {
        const bench::Buffer buffer(kElements * sizeof(double));  // room for any: GCC warns of what it cannot rule out
        bench::fill(dtype, buffer.data(), kElements);
        std::vector<decltype(bits)> all;
        for (std::size_t i = 0; i < kElements; ++i) all.push_back(bench::load<decltype(bits)>(buffer.data(), i));
        return all;
    };
    EXPECT_EQ(filled(bench::DType::f32, std::uint32_t{}),
              (std::vector<std::uint32_t>{0xbf800000, 0xbe8bb1a0, 0x3f29f418, 0xbf621406, 0xbf203746}));
    EXPECT_EQ(filled(bench::DType::f64, std::uint64_t{}),
              (std::vector<std::uint64_t>{0xbff0000000000000, 0xbfd1763400000000, 0x3fe53e8300000000, 0xbfec4280c0000000,
                                          0xbfe406e8c0000000}));
    EXPECT_EQ(filled(bench::DType::f16, std::uint16_t{}), (std::vector<std::uint16_t>{0xbc00, 0xb460, 0x394e, 0xbb12, 0xb902}));
    EXPECT_EQ(filled(bench::DType::bf16, std::uint16_t{}), (std::vector<std::uint16_t>{0xbf80, 0xbe8c, 0x3f28, 0xbf64, 0xbf22}));
    for (const bench::DType dtype : {bench::DType::i8, bench::DType::u8})
        EXPECT_EQ(filled(dtype, std::uint8_t{}), (std::vector<std::uint8_t>{0x00, 0x5d, 0xd4, 0x0e, 0x2f}));
}

// What a peer answers to these lines.
std::string answers(const std::string &lines, bench::Peer::Plan plan) {
    std::istringstream in(lines);
    std::ostringstream out;
    std::streambuf *const cin = std::cin.rdbuf(in.rdbuf()), *const cout = std::cout.rdbuf(out.rdbuf());
    std::cin.clear();
    bench::Peer(std::move(plan)).serve();
    std::cin.rdbuf(cin);
    std::cout.rdbuf(cout);
    return out.str();
}

class PeersProtocol : public ::testing::Test {
protected:
    ~PeersProtocol() override { std::remove(path_.c_str()); }
    // 1x1x3x3 to 1x1x2x2; the output is four times this element.
    std::string run(const std::string &words, std::uint16_t element) {
        return answers("setup nchw 1 1 3 3 2 2 1 1 0 0 1" + words, [&, element](const bench::Workload &w, const void *, void *output) {
            seen_ = w;
            return std::vector<bench::Operation>{{"fill", [=] {
                for (std::size_t i = 0; i < 4; ++i) bench::store(output, i, element);
            }}};
        });
    }
    const std::string path_ = ::testing::TempDir() + "halpool_peer_output.bin";
    bench::Workload seen_{};
};

TEST_F(PeersProtocol, ComparesInTheDtype) {
    EXPECT_NE(run(" bf16\nwrite " + path_ + "\n", 0x3f80).find("\nok\n"), std::string::npos);  // 1
    std::ifstream file(path_, std::ios::binary | std::ios::ate);
    EXPECT_EQ(static_cast<int>(file.tellg()), 8);
    EXPECT_NE(run(" bf16\ncompare " + path_ + "\n", 0x3f80).find("\nok 0\n"), std::string::npos);
    EXPECT_NE(run(" bf16\ncompare " + path_ + "\n", 0x3f81).find("\nok 0.0078125\n"), std::string::npos);
    EXPECT_NE(run(" bf16\ncompare " + path_ + "\n", 0x7fc0).find("\nok nan\n"), std::string::npos);
    EXPECT_NE(run(" f16\nwrite " + path_ + "\n", 0x3c00).find("\nok\n"), std::string::npos);
    EXPECT_NE(run(" f16\ncompare " + path_ + "\n", 0xbc00).find("\nok 2\n"), std::string::npos);
    EXPECT_NE(run(" bf16\ncompare /nonexistent\n", 0).find("\nerror cannot read /nonexistent\n"), std::string::npos);
}

TEST_F(PeersProtocol, IsOfF32UnlessItSaysAnother) {
    run("\n", 0);
    EXPECT_EQ(seen_.dtype, bench::DType::f32);
    EXPECT_EQ(seen_.input_bytes(), 36u);
    EXPECT_EQ(seen_.output_bytes(), 16u);
    EXPECT_FALSE(seen_.ceil_mode);
    run(" 1 u8\n", 0);
    EXPECT_EQ(seen_.dtype, bench::DType::u8);
    EXPECT_EQ(seen_.input_bytes(), 9u);
    EXPECT_TRUE(seen_.ceil_mode);
    EXPECT_EQ(run(" f8\n", 0), "error no such dtype: f8\n");
}

TEST_F(PeersProtocol, ReadsThePooledTensorsGradientOfTheBackwardPass) {
    run(" bf16 backward\n", 0);
    EXPECT_TRUE(seen_.backward);
    EXPECT_EQ(seen_.input_bytes(), 8u);
    EXPECT_EQ(seen_.output_bytes(), 18u);
    run("\n", 0);
    EXPECT_FALSE(seen_.backward);
}

TEST_F(PeersProtocol, RefusesWhatALibraryDoesNot) {
    EXPECT_EQ(answers("setup nchw 1 1 3 3 2 2 1 1 0 0 1 bf16\n", [](const bench::Workload &w, const void *, void *) {
        bench::need_f32(w);
        return std::vector<bench::Operation>{};
    }), "unsupported the forward pass of f32 alone\n");
}

}  // namespace
}  // namespace halpool_test
