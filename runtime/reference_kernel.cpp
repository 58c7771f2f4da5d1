#include "reference_kernel.hpp"

namespace halpool {

void reference_avg_pool2d(const Problem &problem, const float *input, float *output, std::int64_t plane_begin,
                          std::int64_t plane_end, std::int64_t row_begin, std::int64_t row_end) {
    const auto &in = problem.input.strides, &out = problem.output.strides;
    const std::int64_t channels = problem.input.shape[1], width = problem.output.shape[3];
    for (std::int64_t plane = plane_begin; plane < plane_end; ++plane) {
        const std::int64_t n = plane / channels, c = plane % channels;
        const float *from = input + n * in[0] + c * in[1];
        float *to = output + n * out[0] + c * out[1];
        for (std::int64_t oy = row_begin; oy < row_end; ++oy) {
            const Span rows = window_span(problem.y, oy);
            const std::int64_t factor_y = divisor_factor(problem.y, oy, problem.rule);
            for (std::int64_t ox = 0; ox < width; ++ox) {
                const Span columns = window_span(problem.x, ox);
                double sum = 0;
                for (std::int64_t iy = rows.begin; iy < rows.end; ++iy) {
                    for (std::int64_t ix = columns.begin; ix < columns.end; ++ix) sum += from[iy * in[2] + ix * in[3]];
                }
                const std::int64_t factor_x = divisor_factor(problem.x, ox, problem.rule);
                const std::int64_t divisor =
                    problem.rule == DivisorRule::fixed ? problem.fixed_divisor : factor_y * factor_x;
                to[oy * out[2] + ox * out[3]] = static_cast<float>(sum) / static_cast<float>(divisor);
            }
        }
    }
}

}  // namespace halpool
