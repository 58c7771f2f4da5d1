// The element types as the tests write them down: a C++ type each, its halpool_dtype, and the number that an element stands for.
// Written from the formats' definitions; nothing of the library is used here.
#ifndef HALPOOL_TESTS_ELEMENT_HPP
#define HALPOOL_TESTS_ELEMENT_HPP

#include <halpool/halpool.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace halpool_test {

// IEEE binary16 and bfloat16: a sign, an exponent and so many bits of fraction.
template <int fraction_bits>
struct SixteenBits {
    std::uint16_t bits;

    static constexpr int kFraction = fraction_bits, kExponent = 15 - fraction_bits, kBias = (1 << (kExponent - 1)) - 1;
    static SixteenBits of(std::uint16_t bits) { return SixteenBits{bits}; }

    double number() const {
        const int exponent = bits >> kFraction & ((1 << kExponent) - 1), fraction = bits & ((1 << kFraction) - 1);
        const double sign = bits >> 15 != 0 ? -1 : 1;
        if (exponent == (1 << kExponent) - 1) {
            return fraction != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
        }
        if (exponent == 0) return sign * std::ldexp(fraction, 1 - kBias - kFraction);
        return sign * std::ldexp((1 << kFraction) + fraction, exponent - kBias - kFraction);
    }
    // To the nearest, ties to even.
    static SixteenBits nearest(double number) {
        const auto sign = static_cast<std::uint16_t>(std::signbit(number) ? 0x8000 : 0);
        const int infinity = ((1 << kExponent) - 1) << kFraction;
        if (std::isnan(number)) return of(static_cast<std::uint16_t>(infinity | 1 << (kFraction - 1)));
        const double magnitude = std::fabs(number);
        if (magnitude == 0) return of(sign);
        int exponent = 0;
        std::frexp(magnitude, &exponent);
        const int place = std::max(exponent - 1, 1 - kBias) - kFraction;  // of the last bit of the fraction
        if (std::isinf(number) || exponent - 1 > kBias) return of(static_cast<std::uint16_t>(sign | infinity));
        const double units = std::nearbyint(std::ldexp(magnitude, -place));  // may carry into the exponent, as it should
        const int fields = (place + kFraction + kBias - 1) * (1 << kFraction) + static_cast<int>(units);
        return of(static_cast<std::uint16_t>(sign | std::min(fields, infinity)));
    }
};
using Float16 = SixteenBits<10>;
using BFloat16 = SixteenBits<7>;

template <class T>
struct Element;

namespace detail {

template <class T, halpool_dtype code>
struct Plain {
    static constexpr halpool_dtype kDtype = code;
    static constexpr bool kFloat = std::is_floating_point<T>::value;
    static constexpr int kSumDigits = std::numeric_limits<T>::digits;  // of what a kernel adds up: u = 2^-kSumDigits
    static constexpr int kDigits = kSumDigits, kLeastExponent = std::numeric_limits<T>::min_exponent, kMostExponent = std::numeric_limits<T>::max_exponent;
    static double number(T element) { return static_cast<double>(element); }
};

template <class T, halpool_dtype code>
struct Sixteen {
    static constexpr halpool_dtype kDtype = code;
    static constexpr bool kFloat = true;
    static constexpr int kSumDigits = 24, kDigits = T::kFraction + 1, kLeastExponent = 2 - T::kBias, kMostExponent = T::kBias + 1;
    static double number(T element) { return element.number(); }
};

}  // namespace detail

template <> struct Element<float> : detail::Plain<float, HALPOOL_FLOAT32> { static constexpr const char *kName = "f32", *kLongName = "float32"; };
template <> struct Element<double> : detail::Plain<double, HALPOOL_FLOAT64> { static constexpr const char *kName = "f64", *kLongName = "float64"; };
template <> struct Element<Float16> : detail::Sixteen<Float16, HALPOOL_FLOAT16> { static constexpr const char *kName = "f16", *kLongName = "float16"; };
template <> struct Element<BFloat16> : detail::Sixteen<BFloat16, HALPOOL_BFLOAT16> { static constexpr const char *kName = "bf16", *kLongName = "bfloat16"; };
template <> struct Element<std::int8_t> : detail::Plain<std::int8_t, HALPOOL_INT8> { static constexpr const char *kName = "i8", *kLongName = "int8"; };
template <> struct Element<std::uint8_t> : detail::Plain<std::uint8_t, HALPOOL_UINT8> { static constexpr const char *kName = "u8", *kLongName = "uint8"; };
template <> struct Element<std::int32_t> : detail::Plain<std::int32_t, HALPOOL_INT32> { static constexpr const char *kName = "i32", *kLongName = "int32"; };
template <> struct Element<std::int64_t> : detail::Plain<std::int64_t, HALPOOL_INT64> { static constexpr const char *kName = "i64", *kLongName = "int64"; };

// Calls visit(T{}) with the type of this name, short or long.
template <class Visit>
auto with_element(const std::string &name, Visit visit) {
    const auto is = [&](auto element) {
        return name == Element<decltype(element)>::kName || name == Element<decltype(element)>::kLongName;
    };
    if (is(double{})) return visit(double{});
    if (is(Float16{})) return visit(Float16{});
    if (is(BFloat16{})) return visit(BFloat16{});
    if (is(std::int8_t{})) return visit(std::int8_t{});
    if (is(std::uint8_t{})) return visit(std::uint8_t{});
    if (is(std::int32_t{})) return visit(std::int32_t{});
    if (is(std::int64_t{})) return visit(std::int64_t{});
    if (is(float{})) return visit(float{});
    throw std::invalid_argument("no test knows the dtype " + name);
}

// Calls visit(In{}, Out{}) with the types of an arithmetic's input and output (halpool_kernel_info::dtype): of "u8", "qu8" or "u8_f32".
template <class Visit>
auto with_elements(const std::string &arithmetic, Visit visit) {
    if (arithmetic == "f32_f16") return visit(float{}, Float16{});
    if (arithmetic == "f32_bf16") return visit(float{}, BFloat16{});
    if (arithmetic == "i8_f32") return visit(std::int8_t{}, float{});
    if (arithmetic == "u8_f32") return visit(std::uint8_t{}, float{});
    return with_element(arithmetic[0] == 'q' ? arithmetic.substr(1) : arithmetic, [&](auto element) { return visit(element, element); });
}

template <class T>
bool is_nan(const T &element) {
    return Element<T>::kFloat && std::isnan(Element<T>::number(element));
}

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_ELEMENT_HPP
