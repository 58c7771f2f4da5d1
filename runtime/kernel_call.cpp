#include "kernel_call.hpp"

#include <algorithm>

namespace halpool {
namespace {

std::int32_t narrow(std::int64_t value) { return static_cast<std::int32_t>(value); }  // the selector checked the size

KernelBuffer buffer(void *host, KernelDimension *dimensions, std::int32_t rank) {
    return {0, nullptr, host, 0, kKernelFloat32, rank, dimensions, nullptr};
}

// Dense, innermost first.
std::array<KernelDimension, 4> dense(std::array<std::int64_t, 4> extents) {
    std::array<KernelDimension, 4> dimensions{};
    std::int64_t stride = 1;
    for (std::size_t i = 0; i < 4; ++i) {
        dimensions[i] = {0, narrow(extents[i]), narrow(stride), 0};
        stride *= extents[i];
    }
    return dimensions;
}

}  // namespace

KernelCall::KernelCall(const Problem &problem, const KernelRow &row)
    : entry_(row.entry),
      layout_(row.layout),
      lanes_along_rows_(row.layout == KernelLayout::nchw || row.channels != 0),
      tile_rows_(std::max(row.tile_rows, 1)) {
    lanes_ = row.lanes;
    slides_lanes_ = row.window == WindowClass::fixed && row.layout == KernelLayout::nchw && row.stride_w == 1;
    const auto &in = problem.input.shape, &out = problem.output.shape;
    Problem p = problem;
    std::int64_t in_h = in[2], in_w = in[3];
    if (row.window == WindowClass::global) {  // the plane as one row
        in_w = in_h * in_w;
        in_h = 1;
        p.y = {1, 1, 1, 0, 0};
        p.x = {in_w, in_w, 1, 0, 0};
    }
    const bool nhwc = layout_ == KernelLayout::nhwc;
    const std::int64_t planes = in[0] * in[1];
    input_dimensions_ = nhwc ? dense({in[1], in_w, in_h, in[0]}) : dense({in_w, in_h, planes, 1});
    output_dimensions_ = nhwc ? dense({in[1], out[3], out[2], in[0]}) : dense({out[3], out[2], planes, 1});
    outer_ = nhwc ? in[0] : planes;
    rows_ = out[2];
    columns_ = out[3];
    window_ = {narrow(p.y.kernel), narrow(p.x.kernel),    narrow(p.y.stride),
               narrow(p.x.stride), narrow(p.y.pad_begin), narrow(p.x.pad_begin)};

    const auto leaves = [](const Axis &axis, std::int64_t extent) {
        return leaves_input(axis, 0) || leaves_input(axis, extent - 1);
    };
    border_ = leaves(p.y, out[2]) || leaves(p.x, out[3]) ? Border::masked : Border::none;
    if (lanes_along_rows_) {
        // The separable template sums whole vectors of input columns, for whole blocks of 8 taps.
        find_clamped_rows(p, row.window == WindowClass::separable ? row.lanes - 1 + 7 : 0);
        if (row.window == WindowClass::small || row.window == WindowClass::generic) find_inner_columns(p, row.lanes);
    }
    fill_divisors(row.window == WindowClass::global ? problem : p, row.needs_reciprocal);
}

void KernelCall::find_clamped_rows(const Problem &p, std::int64_t overreach) {
    const std::int64_t width = p.x.input, height = p.y.input, out_h = p.output.shape[2], out_w = p.output.shape[3];
    // How far the taps of a row reach beside it.
    const std::int64_t last = (out_w - 1) * p.x.stride - p.x.pad_begin + p.x.kernel - 1;
    const std::int64_t before = p.x.pad_begin, behind = std::max<std::int64_t>(last + overreach - (width - 1), 0);
    if (before > width * height || behind > width * height) {
        border_ = Border::clamped;
        return;
    }
    const auto row = [&](std::int64_t y) { return std::clamp<std::int64_t>(y, 0, height - 1); };
    const auto first_row = [&](std::int64_t oy) { return row(oy * p.y.stride - p.y.pad_begin); };
    const auto last_row = [&](std::int64_t oy) { return row(oy * p.y.stride - p.y.pad_begin + p.y.kernel - 1); };
    std::int64_t head = 0, tail = 0;
    while (head < out_h && first_row(head) * width < before) ++head;
    while (tail < out_h && (height - 1 - last_row(out_h - 1 - tail)) * width < behind) ++tail;
    clamped_head_ = head;
    clamped_tail_ = tail;
}

void KernelCall::fill_divisors(const Problem &p, bool needs_reciprocal) {
    const std::int64_t out_h = p.output.shape[2], out_w = p.output.shape[3];
    divisor_y_.resize(static_cast<std::size_t>(out_h));
    divisor_x_.resize(static_cast<std::size_t>(out_w));
    for (std::int64_t o = 0; o < out_h; ++o) {
        divisor_y_[static_cast<std::size_t>(o)] = static_cast<float>(divisor_factor(p.y, o, p.rule));
    }
    for (std::int64_t o = 0; o < out_w; ++o) {
        const std::int64_t factor = p.rule == DivisorRule::fixed ? p.fixed_divisor : divisor_factor(p.x, o, p.rule);
        divisor_x_[static_cast<std::size_t>(o)] = static_cast<float>(factor);
    }
    const auto all_equal = [](const std::vector<float> &v) {
        return std::all_of(v.begin(), v.end(), [&](float f) { return f == v.front(); });
    };
    uniform_ = all_equal(divisor_x_) && all_equal(divisor_y_);

    // A fixed window has few divisors along y, small integers d: one row of 1 / (divisor_x * d) for each. Formed from
    // the product: two rounded reciprocals would make the mean of ones 1 + 2^-23.
    const float classes = needs_reciprocal ? *std::max_element(divisor_y_.begin(), divisor_y_.end()) : 1.0f;
    reciprocal_.resize(static_cast<std::size_t>(classes) * divisor_x_.size());
    for (std::size_t i = 0; i < reciprocal_.size(); ++i) {
        const float d = static_cast<float>(i / divisor_x_.size() + 1);
        reciprocal_[i] = 1.0f / (divisor_x_[i % divisor_x_.size()] * d);
    }
    divisor_x_dimensions_ = {{{0, narrow(out_w), 1, 0}}};
    divisor_y_dimensions_ = {{{0, narrow(out_h), 1, 0}}};
    reciprocal_dimensions_ = {{{0, narrow(out_w), 1, 0}, {0, static_cast<std::int32_t>(classes), narrow(out_w), 0}}};
}

// Where masks cost much (windows known at run time), the columns in the middle of the rows are computed without.
void KernelCall::find_inner_columns(const Problem &p, std::int64_t lanes) {
    std::int64_t begin = 0, end = columns_;
    while (begin < end && begin * p.x.stride - p.x.pad_begin < 0) ++begin;
    while (end > begin && (end - 1) * p.x.stride - p.x.pad_begin + p.x.kernel > p.x.input) --end;
    // Whole vectors at both ends: a narrow box costs as much as a vector's.
    begin = (begin + lanes - 1) / lanes * lanes;
    end = columns_ - (columns_ - end + lanes - 1) / lanes * lanes;
    if (end - begin >= lanes) inner_columns_ = {begin, end};
}

int KernelCall::run(const float *input, float *output, const Box &box) const {
    const Columns all{0, columns_};
    if (border_ == Border::clamped || !lanes_along_rows_) return enter(input, output, box, all, border_);

    // Cut off the rows at the tensor's two ends that must not read beside themselves.
    const auto part = [](const Box &b, std::int64_t outer_begin, std::int64_t outer_end, std::int64_t row_begin,
                         std::int64_t row_end) {
        return Box{std::max(b.outer_begin, outer_begin), std::min(b.outer_end, outer_end),
                   std::max(b.row_begin, row_begin), std::min(b.row_end, row_end)};
    };
    const std::int64_t head = clamped_head_, tail = rows_ - clamped_tail_;
    const std::int64_t last = outer_ - 1;
    int status = 0;
    const auto clamped = [&](const Box &b) {
        if (status == 0 && b.outer_begin < b.outer_end && b.row_begin < b.row_end) {
            status = enter(input, output, b, all, Border::clamped);
        }
    };
    const auto rest = [&](const Box &b) {
        if (status != 0 || b.outer_begin >= b.outer_end || b.row_begin >= b.row_end) return;
        status = border_ == Border::none ? enter(input, output, b, all, border_) : run_masked(input, output, b);
    };
    if (outer_ == 1) {
        clamped(part(box, 0, 1, 0, head));
        rest(part(box, 0, 1, head, tail));
        clamped(part(box, 0, 1, std::max(head, tail), rows_));
        return status;
    }
    const std::int64_t whole_begin = head > 0 ? 1 : 0, whole_end = tail < rows_ ? last : outer_;
    if (head > 0) {
        clamped(part(box, 0, 1, 0, head));
        rest(part(box, 0, 1, head, rows_));
    }
    rest(part(box, whole_begin, whole_end, 0, rows_));
    if (tail < rows_) {
        rest(part(box, last, outer_, 0, tail));
        clamped(part(box, last, outer_, tail, rows_));
    }
    return status;
}

int KernelCall::run_masked(const float *input, float *output, const Box &box) const {
    if (inner_columns_.begin == inner_columns_.end) return enter(input, output, box, {0, columns_}, Border::masked);
    // In blocks that stay in the first-level cache between the three visits.
    constexpr std::int64_t kBlockElements = 8192;
    const std::int64_t row_elements = std::max<std::int64_t>(columns_ * window_[kStrideH - kKernelH] *
                                                             window_[kStrideW - kKernelH], 1);
    const std::int64_t block_rows = std::clamp<std::int64_t>(kBlockElements / row_elements, 1, box.row_end - box.row_begin);
    const std::int64_t block_outer =
        std::clamp<std::int64_t>(kBlockElements / (row_elements * block_rows), 1, box.outer_end - box.outer_begin);
    for (std::int64_t o = box.outer_begin; o < box.outer_end; o += block_outer) {
        for (std::int64_t r = box.row_begin; r < box.row_end; r += block_rows) {
            const Box b{o, std::min(o + block_outer, box.outer_end), r, std::min(r + block_rows, box.row_end)};
            int status = enter(input, output, b, inner_columns_, Border::rows);
            if (status == 0 && inner_columns_.begin > 0) {
                status = enter(input, output, b, {0, inner_columns_.begin}, Border::masked);
            }
            if (status == 0 && inner_columns_.end < columns_) {
                status = enter(input, output, b, {inner_columns_.end, columns_}, Border::masked);
            }
            if (status != 0) return status;
        }
    }
    return 0;
}

int KernelCall::enter(const float *input, float *output, const Box &box, Columns columns, Border border) const {
    const bool nhwc = layout_ == KernelLayout::nhwc;
    const std::size_t column_axis = nhwc ? 1 : 0, row_axis = nhwc ? 2 : 1, outer_axis = nhwc ? 3 : 2;
    std::array<KernelDimension, 4> in_dimensions = input_dimensions_, out_dimensions = output_dimensions_;
    out_dimensions[column_axis].min = narrow(columns.begin);
    out_dimensions[column_axis].extent = narrow(columns.end - columns.begin);
    out_dimensions[row_axis].min = narrow(box.row_begin);
    out_dimensions[row_axis].extent = narrow(box.row_end - box.row_begin);
    out_dimensions[outer_axis].min = narrow(box.outer_begin);
    out_dimensions[outer_axis].extent = narrow(box.outer_end - box.outer_begin);
    float *const host = output + columns.begin * out_dimensions[column_axis].stride +
                        box.row_begin * out_dimensions[row_axis].stride +
                        box.outer_begin * out_dimensions[outer_axis].stride;

    // Kernels take everything by pointer to non-const and write to the output's host memory alone.
    std::array<KernelDimension, 1> dx = divisor_x_dimensions_, dy = divisor_y_dimensions_;
    std::array<KernelDimension, 2> dr = reciprocal_dimensions_;
    KernelBuffer in = buffer(const_cast<float *>(input), in_dimensions.data(), 4);
    KernelBuffer out = buffer(host, out_dimensions.data(), 4);
    KernelBuffer divisor_x = buffer(const_cast<float *>(divisor_x_.data()), dx.data(), 1);
    KernelBuffer divisor_y = buffer(const_cast<float *>(divisor_y_.data()), dy.data(), 1);
    KernelBuffer reciprocal = buffer(const_cast<float *>(reciprocal_.data()), dr.data(), 2);
    std::array<std::int32_t, 6> window = window_;
    if (slides_lanes_ && columns.end - columns.begin < lanes_) border = Border::narrow;
    std::int32_t border_value = static_cast<std::int32_t>(border), uniform = uniform_;
    float positive_zero = positive_zero_;
    const void *user_context = nullptr;

    void *arguments[kKernelArgumentCount];
    arguments[kUserContext] = &user_context;
    arguments[kInput] = &in;
    for (std::size_t i = 0; i < window.size(); ++i) arguments[kKernelH + i] = &window[i];
    arguments[kBorder] = &border_value;
    arguments[kUniform] = &uniform;
    arguments[kPositiveZero] = &positive_zero;
    arguments[kDivisorX] = &divisor_x;
    arguments[kDivisorY] = &divisor_y;
    arguments[kReciprocal] = &reciprocal;
    arguments[kOutput] = &out;
    return entry_(arguments);
}

}  // namespace halpool
