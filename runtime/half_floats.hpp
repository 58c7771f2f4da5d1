// The 16-bit floats as words: IEEE's binary16, and bfloat16, the upper half of a float.
#ifndef HALPOOL_RUNTIME_HALF_FLOATS_HPP
#define HALPOOL_RUNTIME_HALF_FLOATS_HPP

#include <cstdint>
#include <cstring>

namespace halpool {

inline float float_of_bits(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline std::uint32_t bits_of_float(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float float_of_bfloat16(std::uint16_t word) { return float_of_bits(std::uint32_t{word} << 16); }

// To the nearest, ties to even. A NaN stays one, and becomes quiet.
inline std::uint16_t bfloat16_of_float(float value) {
    const std::uint32_t bits = bits_of_float(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

inline float float_of_float16(std::uint16_t word) {
    const std::uint32_t sign = std::uint32_t{word & 0x8000u} << 16, magnitude = word & 0x7fffu;
    if (magnitude >= 0x7c00u) return float_of_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13 | (magnitude > 0x7c00u ? 0x400000u : 0u));
    // As the float of the same exponent field, which is 2^112 times too small; denormals come out normal.
    return float_of_bits(sign | bits_of_float(float_of_bits(magnitude << 13) * 0x1p112f));
}

// To the nearest, ties to even; from 65520 on infinite. A NaN stays one, and becomes quiet.
inline std::uint16_t float16_of_float(float value) {
    const std::uint32_t bits = bits_of_float(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    std::uint32_t half;
    if (magnitude > 0x7f800000u) {
        half = 0x7e00u | (magnitude >> 13 & 0x1ffu);
    } else if (magnitude >= 0x47800000u) {  // 65536 and beyond
        half = 0x7c00u;
    } else if (magnitude < 0x38800000u) {  // a denormal: added to 0.5, whose last place is 2^-24, the float rounds it
        half = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
    } else {
        half = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    }
    return static_cast<std::uint16_t>(sign | half);
}

}  // namespace halpool

#endif
