// What a kernel does with the elements of a dtype: how they are read, added up, divided and written.
#ifndef HALPOOL_GENERATORS_ELEMENT_TYPE_HPP
#define HALPOOL_GENERATORS_ELEMENT_TYPE_HPP

#include "Halide.h"

#include <array>
#include <string>

namespace halpool {

struct ElementType {
    // dtype: a KernelRow::dtype. fixed_taps: of kernels for one window alone, what it has; 0: other kernels.
    ElementType(const std::string &dtype, int fixed_taps, const Halide::Target &target);

    Halide::Type stored;   // in memory; the 16-bit floats are words, for Halide loses NaNs where they are not native
    Halide::Type result;   // the output's in memory
    Halide::Type sum;      // of what is added up
    Halide::Type factor;   // of divisors and reciprocals: Factors of kernel_convention.h

    bool is_float() const { return sum.is_float(); }
    // To `sum`. zero: of bytes whose means are real numbers, which one stands for zero.
    Halide::Expr widened(const Halide::Expr &element, const Halide::Expr &zero = {}) const;
    Halide::Expr rounded(const Halide::Expr &mean) const;     // a float mean, to the nearest result
    // A sum, divided, as the output holds it. positive_zero is added to floats; zero: of quantized results, which one stands for zero.
    // scale: of bytes whose means are real numbers, what the divisor leaves out of Problem::scale.
    Halide::Expr mean(const Halide::Expr &sum, const Halide::Expr &divisor, const Halide::Expr &positive_zero, const Halide::Expr &zero, const Halide::Expr &scale = 1.0f) const;
    Halide::Expr mean_by_reciprocal(const Halide::Expr &sum, const Halide::Expr &reciprocal, const Halide::Expr &positive_zero, const Halide::Expr &zero) const;
    // Of words of two neighbours, bfloat16 or bytes: a word; of what it holds, what is summed of each (of bytes the low one's is the whole
    // word, without a mask; signed ones from -128 on); what that is of an element that is zero (undefined: zeros); the low one's sum, of
    // those two; and the word of two means, which bytes must hold: what kMostPairDivisor says.
    bool has_words() const { return format_ == Format::bfloat16 || (stored.bits() == 8 && !real_means_); }
    Halide::Type word() const { return Halide::UInt(2 * stored.bits()); }
    Halide::Expr low_of_pair(const Halide::Expr &word) const;
    Halide::Expr high_of_pair(const Halide::Expr &word) const;
    std::array<Halide::Expr, 2> zero_pair() const;
    Halide::Expr low_sum(const Halide::Expr &low, const Halide::Expr &high) const;
    Halide::Expr pair_of_means(const Halide::Expr &low_sum, const Halide::Expr &high_sum, const Halide::Expr &divisor, const Halide::Expr &reciprocal, const Halide::Expr &positive_zero) const;
    // A sum of integers, divided: truncated toward zero. What does not fit the element is its largest or least
    // value; sums of int64, and their quotients, wrap.
    Halide::Expr wide_quotient(const Halide::Expr &sum, const Halide::Expr &divisor) const;  // whatever fits the element or not

private:
    Halide::Expr quotient(const Halide::Expr &sum, const Halide::Expr &divisor) const;
    Halide::Expr word_quotient(const Halide::Expr &magnitude, const Halide::Expr &reciprocal) const;
    Halide::Expr quotient_by_reciprocal(const Halide::Expr &sum, const Halide::Expr &reciprocal) const;
    Halide::Expr by_reciprocal(const Halide::Expr &sum, const Halide::Expr &reciprocal) const;

    enum class Format { plain, half, bfloat16 } format_, result_format_;
    bool native_halves_;
    bool real_means_;  // of integers
    int fixed_taps_;
};

}  // namespace halpool

#endif
