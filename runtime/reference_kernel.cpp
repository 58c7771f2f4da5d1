#include "reference_kernel.hpp"

#include "half_floats.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace halpool {
namespace {

// How elements are added up, and what becomes of a sum. Floats of at most 32 bits sum in double.
template <class Word, float (*widen)(Word), class ResultWord, ResultWord (*round)(float)>
struct SmallFloat {
    using Element = Word;
    using Result = ResultWord;
    class Sum {
    public:
        void add(Element element) { sum_ += widen(element); }
        void add_share(Element element, std::int64_t divisor) { sum_ += static_cast<double>(widen(element)) / static_cast<double>(divisor); }
        Result total() const { return round(static_cast<float>(sum_)); }
        Result mean(std::int64_t divisor, const Problem &) const { return round(static_cast<float>(sum_) / static_cast<float>(divisor)); }

    private:
        double sum_ = 0;
    };
};

inline float same(float value) { return value; }

struct Float64 {
    using Element = double;
    using Result = double;
    class Sum {  // keeps the rounding error of every addition (Knuth's TwoSum)
    public:
        void add(double element) {
            const double sum = sum_ + element, added = sum - sum_;
            error_ += (sum_ - (sum - added)) + (element - added);
            sum_ = sum;
        }
        void add_share(double element, std::int64_t divisor) { add(element / static_cast<double>(divisor)); }
        double total() const { return std::isfinite(sum_) ? sum_ + error_ : sum_; }
        double mean(std::int64_t divisor, const Problem &) const { return total() / static_cast<double>(divisor); }

    private:
        double sum_ = 0, error_ = 0;
    };
};

template <class Integer>
Integer nearest(std::int64_t value) {
    using Limits = std::numeric_limits<Integer>;
    return static_cast<Integer>(std::clamp<std::int64_t>(value, Limits::min(), Limits::max()));
}

template <class Integer>
struct Whole {
    using Element = Integer;
    using Result = Integer;
    class Sum {
    public:
        void add(Integer element) { sum_ += static_cast<std::uint64_t>(std::int64_t{element}); }
        void add_share(Integer element, std::int64_t divisor) { sum_ += static_cast<std::uint64_t>(quotient(static_cast<std::uint64_t>(std::int64_t{element}), divisor)); }
        Integer total() const { return nearest<Integer>(static_cast<std::int64_t>(sum_)); }
        Integer mean(std::int64_t divisor, const Problem &) const { return nearest<Integer>(quotient(sum_, divisor)); }

    private:
        // The one that does not fit 64 bits wraps.
        static std::int64_t quotient(std::uint64_t sum, std::int64_t divisor) {
            return divisor == -1 ? static_cast<std::int64_t>(0 - sum) : static_cast<std::int64_t>(sum) / divisor;
        }

        std::uint64_t sum_ = 0;
    };
};

// Bytes whose means are real numbers, rounded to the nearest integer where the result is one.
template <class Integer, class ResultType>
struct RealByte {
    using Element = Integer;
    using Result = ResultType;
    class Sum {
    public:
        void add(Integer element) {
            sum_ += element;
            ++count_;
        }
        Result mean(std::int64_t divisor, const Problem &problem) const {
            const auto sum = static_cast<double>(sum_ - count_ * problem.input_zero);
            if constexpr (std::is_floating_point_v<Result>) return static_cast<Result>(sum * problem.scale / static_cast<double>(divisor));
            // In float32 as everywhere: so means that lie between two integers are rounded to the same one.
            const float factor = static_cast<float>(problem.scale) / static_cast<float>(divisor), mean = static_cast<float>(sum) * factor;
            constexpr float kBeyond = 1024;
            return nearest<Integer>(std::lrint(std::clamp(mean, -kBeyond, kBeyond)) + problem.output_zero);
        }

    private:
        std::int64_t sum_ = 0, count_ = 0;
    };
};

template <class Arithmetic>
void pool(const Problem &problem, const void *input, void *output, std::int64_t plane_begin, std::int64_t plane_end,
          std::int64_t row_begin, std::int64_t row_end) {
    using Element = typename Arithmetic::Element;
    using Result = typename Arithmetic::Result;
    const auto &in = problem.input.strides, &out = problem.output.strides;
    const std::int64_t channels = problem.input.shape[1], width = problem.output.shape[3];
    for (std::int64_t plane = plane_begin; plane < plane_end; ++plane) {
        const std::int64_t n = plane / channels, c = plane % channels;
        const Element *from = static_cast<const Element *>(input) + n * in[0] + c * in[1];
        Result *to = static_cast<Result *>(output) + n * out[0] + c * out[1];
        for (std::int64_t oy = row_begin; oy < row_end; ++oy) {
            const Span rows = window_span(problem.y, oy);
            const std::int64_t factor_y = divisor_factor(problem.y, oy, problem.rule);
            for (std::int64_t ox = 0; ox < width; ++ox) {
                const Span columns = window_span(problem.x, ox);
                typename Arithmetic::Sum sum;
                for (std::int64_t j = 0; j < rows.taps; ++j) {
                    const Element *const row = from + (rows.first + j * problem.y.dilation) * in[2];
                    for (std::int64_t i = 0; i < columns.taps; ++i) sum.add(row[(columns.first + i * problem.x.dilation) * in[3]]);
                }
                const std::int64_t factor_x = divisor_factor(problem.x, ox, problem.rule);
                const std::int64_t divisor =
                    problem.rule == DivisorRule::fixed ? problem.fixed_divisor : factor_y * factor_x;
                to[oy * out[2] + ox * out[3]] = sum.mean(divisor, problem);
            }
        }
    }
}

template <class Arithmetic>
void pool_backward(const Problem &problem, const void *input, void *output, std::int64_t plane_begin, std::int64_t plane_end,
                   std::int64_t row_begin, std::int64_t row_end) {
    using Element = typename Arithmetic::Element;
    using Result = typename Arithmetic::Result;
    const auto &in = problem.input.strides, &out = problem.output.strides;
    const std::int64_t channels = problem.input.shape[1], width = problem.output.shape[3];
    const std::int64_t step_y = window_step(problem.y), step_x = window_step(problem.x);
    for (std::int64_t plane = plane_begin; plane < plane_end; ++plane) {
        const std::int64_t n = plane / channels, c = plane % channels;
        const Element *from = static_cast<const Element *>(input) + n * in[0] + c * in[1];
        Result *to = static_cast<Result *>(output) + n * out[0] + c * out[1];
        for (std::int64_t iy = row_begin; iy < row_end; ++iy) {
            const Windows rows = windows_over(problem.y, iy, problem.windows_h());
            for (std::int64_t ix = 0; ix < width; ++ix) {
                const Windows columns = windows_over(problem.x, ix, problem.windows_w());
                typename Arithmetic::Sum sum;
                for (std::int64_t j = 0; j < rows.count; ++j) {
                    const std::int64_t oy = rows.first + j * step_y, factor_y = divisor_factor(problem.y, oy, problem.rule);
                    for (std::int64_t i = 0; i < columns.count; ++i) {
                        const std::int64_t ox = columns.first + i * step_x;
                        const std::int64_t divisor =
                            problem.rule == DivisorRule::fixed ? problem.fixed_divisor : factor_y * divisor_factor(problem.x, ox, problem.rule);
                        sum.add_share(from[oy * in[2] + ox * in[3]], divisor);
                    }
                }
                to[iy * out[2] + ix * out[3]] = sum.total();
            }
        }
    }
}

using Pool = decltype(&pool<Float64>);

Pool pool_of(const Problem &problem) {
    using Float32 = SmallFloat<float, same, float, same>;
    using Float16 = SmallFloat<std::uint16_t, float_of_float16, std::uint16_t, float16_of_float>;
    using BFloat16 = SmallFloat<std::uint16_t, float_of_bfloat16, std::uint16_t, bfloat16_of_float>;
    constexpr struct {
        const char *name;
        Pool forward, backward;
    } kAll[] = {
        {"f32", pool<Float32>, pool_backward<Float32>},
        {"f64", pool<Float64>, pool_backward<Float64>},
        {"f16", pool<Float16>, pool_backward<Float16>},
        {"bf16", pool<BFloat16>, pool_backward<BFloat16>},
        {"i8", pool<Whole<std::int8_t>>, pool_backward<Whole<std::int8_t>>},
        {"u8", pool<Whole<std::uint8_t>>, pool_backward<Whole<std::uint8_t>>},
        {"i32", pool<Whole<std::int32_t>>, pool_backward<Whole<std::int32_t>>},
        {"i64", pool<Whole<std::int64_t>>, pool_backward<Whole<std::int64_t>>},
        {"qi8", pool<RealByte<std::int8_t, std::int8_t>>, nullptr},
        {"qu8", pool<RealByte<std::uint8_t, std::uint8_t>>, nullptr},
        {"i8_f32", pool<RealByte<std::int8_t, float>>, nullptr},
        {"u8_f32", pool<RealByte<std::uint8_t, float>>, nullptr},
        {"f32_f16", pool<SmallFloat<float, same, std::uint16_t, float16_of_float>>, nullptr},
        {"f32_bf16", pool<SmallFloat<float, same, std::uint16_t, bfloat16_of_float>>, nullptr},
    };
    for (const auto &each : kAll) {
        if (std::strcmp(each.name, problem.arithmetic->name) == 0) return problem.op == Op::avg_pool2d ? each.forward : each.backward;
    }
    return nullptr;  // no problem has another dtype
}

}  // namespace

void reference_kernel(const Problem &problem, const void *input, void *output, std::int64_t plane_begin,
                          std::int64_t plane_end, std::int64_t row_begin, std::int64_t row_end) {
    pool_of(problem)(problem, input, output, plane_begin, plane_end, row_begin, row_end);
}

}  // namespace halpool
