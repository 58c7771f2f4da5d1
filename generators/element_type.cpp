#include "element_type.hpp"

#include <halpool/internal/kernel_convention.h>

using namespace Halide;
using namespace Halide::ConciseCasts;

namespace halpool {
namespace {

// The names of the input's and the output's elements: "qu8", "u8_f32" or "u8" begin with "u8".
std::pair<std::string, std::string> dtypes_of(const std::string &arithmetic) {
    const std::string name = arithmetic[0] == 'q' ? arithmetic.substr(1) : arithmetic;
    const std::size_t end = name.find('_');
    return end == name.npos ? std::pair{name, name} : std::pair{name.substr(0, end), name.substr(end + 1)};
}

Type stored_type(const std::string &dtype) {
    static const struct {
        const char *name;
        Type type;
    } kAll[] = {{"f32", Float(32)}, {"f64", Float(64)}, {"f16", UInt(16)}, {"bf16", UInt(16)},
                {"i8", Int(8)},     {"u8", UInt(8)},    {"i32", Int(32)},  {"i64", Int(64)}};
    for (const auto &each : kAll) {
        if (dtype == each.name) return each.type;
    }
    _halide_user_assert(false) << "unknown dtype '" << dtype << "'\n";
    return {};
}

Expr bits32(uint32_t bits) { return Internal::make_const(UInt(32), static_cast<uint64_t>(bits)); }
Expr reinterpreted(const Type &type, const Expr &e) { return reinterpret(type.with_lanes(e.type().lanes()), e); }
Expr float_of_bits(const Expr &bits) { return reinterpreted(Float(32), bits); }
Expr bits_of_float(const Expr &value) { return reinterpreted(UInt(32), value); }

// As runtime/half_floats.hpp, which tests hold against all words.
Expr float_of_half(const Expr &word) {
    Expr magnitude = u32(word & u16(0x7fff)), sign = u32(word & u16(0x8000)) << 16, shifted = magnitude << 13;
    Expr denormal = bits_of_float(float_of_bits(shifted + bits32(113u << 23)) - 0x1p-14f);
    Expr normal = shifted + bits32(112u << 23), beyond = shifted | bits32(0x7f800000u);
    return float_of_bits(sign | select(i32(magnitude) < 0x400, denormal, i32(magnitude) >= 0x7c00, beyond, normal));
}

Expr half_of_float(const Expr &value) {
    Expr bits = bits_of_float(value), sign = (bits >> 16) & bits32(0x8000u), magnitude = bits & bits32(0x7fffffffu), signless = i32(magnitude);
    Expr nan = ((magnitude >> 13) & bits32(0x1ffu)) | bits32(0x7e00u);
    Expr denormal = bits_of_float(strict_float(float_of_bits(magnitude) + 0.5f)) - bits32(0x3f000000u);
    Expr normal = (magnitude - bits32(112u << 23) + bits32(0xfffu) + ((magnitude >> 13) & bits32(1u))) >> 13;
    Expr half = select(signless > 0x7f800000, nan, signless >= 0x47800000, Internal::make_const(bits.type(), 0x7c00), signless < 0x38800000, denormal, normal);
    return u16(sign | half);
}

Expr float_of_bfloat(const Expr &word) { return float_of_bits(u32(word) << 16); }

// In the upper half of a word.
Expr rounded_bfloat(const Expr &value) {
    Expr bits = bits_of_float(value);
    Expr nearest = bits + bits32(0x7fffu) + ((bits >> 16) & bits32(1u)), nan = bits | bits32(0x400000u);
    return select(i32(bits & bits32(0x7fffffffu)) > 0x7f800000, nan, nearest);
}

Expr bfloat_of_float(const Expr &value) { return u16(rounded_bfloat(value) >> 16); }

}  // namespace

ElementType::ElementType(const std::string &dtype, int fixed_taps, const Target &target)
    : native_halves_(target.has_feature(Target::F16C) || target.has_feature(Target::ARMFp16)),
      real_means_(are_real_bytes(dtype.c_str())), fixed_taps_(fixed_taps) {
    const auto [from, to] = dtypes_of(dtype);
    const auto format = [](const std::string &name) { return name == "f16" ? Format::half : name == "bf16" ? Format::bfloat16 : Format::plain; };
    stored = stored_type(from);
    result = stored_type(to);
    format_ = format(from);
    result_format_ = format(to);
    const Factors factors = factors_of(dtype.c_str(), fixed_taps > 0);
    factor = factors == Factors::f32 ? Float(32) : factors == Factors::f64 ? Float(64) : factors == Factors::u16 ? UInt(16) : Int(64);
    if (target.has_gpu_feature() && stored.is_int_or_uint() && format_ == Format::plain && !real_means_) factor = Int(stored.bits() == 8 ? 32 : 64);  // divided as they are
    if (format_ != Format::plain) {
        sum = Float(32);
    } else if (stored.is_float()) {
        sum = stored;
    } else if (stored.bits() == 8) {
        _halide_user_assert(fixed_taps <= kMostByteTaps) << "fixed windows of bytes have at most " << kMostByteTaps << " taps\n";
        sum = fixed_taps == 0 ? Int(32) : stored.is_uint() && !real_means_ ? UInt(16) : Int(16);
    } else {
        // Sums of int64 wrap; Halide's signed ones must not.
        sum = stored.bits() == 64 ? UInt(64) : Int(64);
    }
}

Expr ElementType::widened(const Expr &element, const Expr &zero) const {
    switch (format_) {
    case Format::half: return native_halves_ ? f32(reinterpreted(Float(16), element)) : float_of_half(element);
    case Format::bfloat16: return float_of_bfloat(element);
    default: return real_means_ ? cast(sum, element) - cast(sum, zero) : cast(sum.with_lanes(element.type().lanes()), element);
    }
}

Expr ElementType::rounded(const Expr &mean) const {
    switch (result_format_) {
    case Format::half: return native_halves_ ? reinterpreted(UInt(16), f16(mean)) : half_of_float(mean);
    case Format::bfloat16: return bfloat_of_float(mean);
    default: return cast(result.with_lanes(mean.type().lanes()), mean);
    }
}

Expr ElementType::mean(const Expr &sum, const Expr &divisor, const Expr &positive_zero, const Expr &zero, const Expr &scale) const {
    if (is_float()) return rounded(sum / divisor + positive_zero);
    return real_means_ ? mean_by_reciprocal(sum, strict_float(scale / divisor), positive_zero, zero) : quotient(sum, divisor);
}

Expr ElementType::mean_by_reciprocal(const Expr &sum, const Expr &reciprocal, const Expr &positive_zero, const Expr &zero) const {
    if (is_float()) return rounded(sum * reciprocal + positive_zero);
    if (!real_means_) return quotient_by_reciprocal(sum, reciprocal);
    // strict_float: else LLVM divides here and multiplies there, and bits depend on the shares.
    Expr mean = strict_float(cast<float>(sum) * reciprocal);
    // Beyond any byte, whichever stands for zero; rounded to even between two.
    return result.is_float() ? mean : saturating_cast(result, cast<int>(round(clamp(mean, -1024.0f, 1024.0f))) + zero);
}

Expr ElementType::low_of_pair(const Expr &word) const { return is_float() ? float_of_bits(word << 16) : stored.is_int() ? word ^ u16(0x8080) : word; }
Expr ElementType::high_of_pair(const Expr &word) const { return is_float() ? float_of_bits(word & bits32(0xffff0000u)) : low_of_pair(word) >> 8; }

std::array<Expr, 2> ElementType::zero_pair() const {
    if (!stored.is_int()) return {};
    return {simplify(low_of_pair(u16(0))), simplify(high_of_pair(u16(0)))};
}

// Words' sums wrap; that of their low bytes fits.
Expr ElementType::low_sum(const Expr &low, const Expr &high) const { return is_float() ? low : low - (high << 8); }

Expr ElementType::pair_of_means(const Expr &low_sum, const Expr &high_sum, const Expr &divisor, const Expr &reciprocal, const Expr &positive_zero) const {
    if (is_float()) {
        return (rounded_bfloat(low_sum * reciprocal + positive_zero) >> 16) | (rounded_bfloat(high_sum * reciprocal + positive_zero) & bits32(0xffff0000u));
    }
    if (stored.is_uint()) return word_quotient(low_sum, reciprocal) | (word_quotient(high_sum, reciprocal) << 8);
    // Means from -128 on as well: of s + 128 d, which is none below zero; what is below zero is rounded up by d - 1 more.
    const Expr zero = u16(128 * fixed_taps_), up = u16(256) * divisor - zero * u16(2) + u16(1), up_below = up + u16(2) * divisor - u16(2);
    const auto mean = [&](const Expr &sum) { return mul_shift_right(sum * u16(2) + select(sum < zero, up_below, up), reciprocal, 16); };
    return (mean(low_sum) | (mean(high_sum) << 8)) ^ u16(0x8080);
}

// kernel_convention.h: Factors::u16.
Expr ElementType::word_quotient(const Expr &magnitude, const Expr &reciprocal) const { return mul_shift_right(magnitude * u16(2) + u16(1), reciprocal, 16); }

Expr ElementType::quotient(const Expr &sum, const Expr &divisor) const {
    Expr whole = wide_quotient(sum, divisor);
    return whole.type().bits() < 64 || stored.bits() < 64 ? saturating_cast(stored, whole) : cast(stored, whole);
}

Expr ElementType::wide_quotient(const Expr &sum, const Expr &divisor) const {
    if (factor == Int(32)) return div_round_to_zero(cast(factor, sum), divisor);
    if (!factor.is_float()) {
        // The quotient of the lowest and -1 is none of the processor's.
        Expr negated = divisor == cast(factor, -1), dividend = select(negated, cast(this->sum, 0) - sum, sum);
        return div_round_to_zero(cast(factor, dividend), select(negated, cast(factor, 1), divisor));
    }
    return by_reciprocal(sum, cast(factor, 1) / divisor);
}

// Half of the last place is more than the errors of two roundings come to (most_taps of kernel_convention.h), and leaves whole
// quotients whole.
Expr ElementType::by_reciprocal(const Expr &sum, const Expr &reciprocal) const {
    Expr dividend = cast(factor, sum), half = cast(factor, 0.5f);
    if (!stored.is_uint()) half = select(dividend < 0, -half, half);
    return cast(sum.type().bits() == 64 ? Int(64) : Int(32), (dividend + half) * reciprocal);
}

Expr ElementType::quotient_by_reciprocal(const Expr &sum, const Expr &reciprocal) const {
    if (factor == UInt(16)) {
        Expr quotient = word_quotient(stored.is_uint() ? sum : abs(sum), reciprocal);
        return saturating_cast(stored, stored.is_uint() ? quotient : select(sum < 0, -i16(quotient), i16(quotient)));
    }
    return saturating_cast(stored, by_reciprocal(sum, reciprocal));
}

}  // namespace halpool
