#include "backward_call.hpp"

#include "streaming.hpp"

#include <algorithm>

namespace halpool {

void BackwardCall::Windows::fill(const Axis &axis, std::int64_t extent, std::int64_t windows) {
    step = narrow(window_step(axis));
    first.resize(static_cast<std::size_t>(extent));
    end.resize(first.size());
    for (std::int64_t i = 0; i < extent; ++i) {
        const halpool::Windows over = windows_over(axis, i, windows);
        first[static_cast<std::size_t>(i)] = narrow(over.first);
        end[static_cast<std::size_t>(i)] = narrow(over.count == 0 ? over.first : over.first + (over.count - 1) * step + 1);
        most = std::max(most, narrow(over.count));
    }
    dimensions = {{{0, narrow(extent), 1, 0}}};
    constexpr KernelType kInt32{0, 32, 1};
    first_buffer = kernel_buffer(first.data(), kInt32, dimensions);
    end_buffer = kernel_buffer(end.data(), kInt32, dimensions);
}

BackwardCall::BackwardCall(const Problem &problem, const KernelRow &row)
    : entry_(row.entry),
      streams_(row.streams),
      element_(*problem.output.dtype),
      alignment_bytes_(static_cast<std::uintptr_t>(row.alignment) * element_.bytes),
      layout_(row.window == WindowClass::lines ? KernelLayout::nchw : row.layout),
      pitch_(row.window == WindowClass::lines && row.layout == KernelLayout::nhwc ? narrow(problem.input.shape[1]) : 1),
      reads_beside_rows_(row.layout == KernelLayout::nchw && row.window == WindowClass::fixed),
      divisors_(problem, factors_of(row.dtype, false), pitch_, row.needs_reciprocal, row.window == WindowClass::fixed) {
    const auto &in = problem.input.shape, &out = problem.output.shape;
    std::int64_t out_h = out[2], out_w = out[3];
    if (row.window == WindowClass::global) {  // the plane as one row
        out_w = out_h * out_w;
        out_h = 1;
    }
    const bool nhwc = layout_ == KernelLayout::nhwc;
    const std::int64_t planes = in[0] * in[1] / pitch_;
    input_dimensions_ = nhwc ? dense({in[1], in[3], in[2], in[0]}) : dense({in[3] * pitch_, in[2], planes, 1});
    output_dimensions_ = nhwc ? dense({in[1], out_w, out_h, in[0]}) : dense({out_w * pitch_, out_h, planes, 1});
    outer_ = nhwc ? in[0] : planes;
    rows_ = out_h;
    channels_ = nhwc ? in[1] : 1;
    most_outer_ = kMostElements / std::max<std::int64_t>(input_dimensions_[nhwc ? 3 : 2].stride, output_dimensions_[nhwc ? 3 : 2].stride);
    shares_ = Shares(outer_, rows_, row.window == WindowClass::lines ? kLineRows : std::max(row.tile_rows, 1), channels_);
    padding_ = {narrow(problem.y.pad_begin), narrow(problem.x.pad_begin)};
    window_ = {narrow(problem.x.kernel), narrow(problem.x.stride)};
    if (row.window != WindowClass::global) {
        x_.fill(problem.x, out_w, in[3]);
        y_.fill(problem.y, out_h, in[2]);
    }
    if (reads_beside_rows_) {
        // Nothing lies before the gradient's first row, nor behind its last. Each row reads as many rows of it as windows may cover
        // one, up to the last of these, and masks those that do not; beside a row, no more than a window's columns. Where rows are
        // narrower than that, all are clamped.
        const bool narrow_rows = in[3] < problem.x.kernel + problem.x.pad_begin + problem.x.pad_end;
        const std::int64_t before = (problem.y.kernel - 1) / problem.y.stride;
        const auto last = [&](std::int64_t row) { return (row + problem.y.pad_begin) / problem.y.stride; };
        std::int64_t head = 0, tail = 0;
        while (head < rows_ && last(head) - before <= 0) ++head;
        while (tail < rows_ && last(rows_ - 1 - tail) >= in[2] - 1) ++tail;
        clamped_head_ = narrow_rows ? rows_ : head;
        clamped_tail_ = narrow_rows ? rows_ : tail;
        if (narrow_rows) reads_beside_rows_ = false;
    }
}

int BackwardCall::run(const void *input, void *output, const Box &box) const {
    int status = 0;
    for (std::int64_t outer = box.outer_begin; outer < box.outer_end && status == 0; outer += most_outer_) {
        status = run_some(input, output, {outer, std::min(outer + most_outer_, box.outer_end), box.row_begin, box.row_end, box.channel_begin, box.channel_end});
    }
    if (streams_) finish_streaming();
    return status;
}

int BackwardCall::run_some(const void *input, void *output, const Box &box) const {
    if (!reads_beside_rows_) return enter(input, output, box, Border::clamped);
    int status = 0;
    const auto part = [&](std::int64_t outer_begin, std::int64_t outer_end, std::int64_t row_begin, std::int64_t row_end, Border border) {
        const Box b{std::max(box.outer_begin, outer_begin), std::min(box.outer_end, outer_end), std::max(box.row_begin, row_begin),
                    std::min(box.row_end, row_end), box.channel_begin, box.channel_end};
        if (status == 0 && b.outer_begin < b.outer_end && b.row_begin < b.row_end) status = enter(input, output, b, border);
    };
    const std::int64_t last = outer_ - 1, head = clamped_head_, tail = std::max(rows_ - clamped_tail_, head);
    if (last == 0) {
        part(0, 1, 0, head, Border::clamped);
        part(0, 1, head, tail, Border::masked);
        part(0, 1, tail, rows_, Border::clamped);
        return status;
    }
    part(0, 1, 0, head, Border::clamped);
    part(0, 1, head, rows_, Border::masked);
    part(1, last, 0, rows_, Border::masked);
    part(last, outer_, 0, rows_ - clamped_tail_, Border::masked);
    part(last, outer_, rows_ - clamped_tail_, rows_, Border::clamped);
    return status;
}

int BackwardCall::enter(const void *input, void *output, const Box &box, Border border) const {
    const bool nhwc = layout_ == KernelLayout::nhwc;
    const std::size_t row_axis = nhwc ? 2 : 1, outer_axis = nhwc ? 3 : 2;
    auto in_dimensions = input_dimensions_, out_dimensions = output_dimensions_;
    std::int64_t in_offset = 0, out_offset = 0;
    const auto narrow_to = [&](std::size_t axis, std::int64_t begin, std::int64_t end) {
        KernelDimension &dimension = out_dimensions[axis];
        dimension.min = narrow(begin);
        dimension.extent = narrow(end - begin);
        out_offset += begin * dimension.stride;
    };
    narrow_to(row_axis, box.row_begin, box.row_end);
    narrow_to(outer_axis, box.outer_begin, box.outer_end);
    // The first of these planes, or images, is the kernel's first: offsets in it fit 32 bits.
    out_dimensions[outer_axis].min = 0;
    in_offset += box.outer_begin * in_dimensions[outer_axis].stride;
    if (box.channel_end - box.channel_begin < channels_) {  // to the kernel, tensors of fewer channels, far apart
        for (auto *dimensions : {&in_dimensions, &out_dimensions}) (*dimensions)[0].extent = narrow(box.channel_end - box.channel_begin);
        in_offset += box.channel_begin;
        out_offset += box.channel_begin;
    }
    const auto bytes = static_cast<std::int64_t>(element_.bytes);
    const KernelBuffer in = kernel_buffer(static_cast<const char *>(input) + in_offset * bytes, element_.element, in_dimensions);
    const KernelBuffer out = kernel_buffer(static_cast<char *>(output) + out_offset * bytes, element_.element, out_dimensions);
    const void *const user_context = nullptr;
    const auto border_value = static_cast<std::int32_t>(border);
    std::array<const void *, kBackwardKernelArgumentCount> arguments{};
    arguments[kUserContext] = &user_context;
    arguments[kInput] = &in;
    arguments[kBackwardPadTop] = &padding_[0];
    arguments[kBackwardPadLeft] = &padding_[1];
    arguments[kBackwardBorder] = &border_value;
    arguments[kBackwardUniform] = &divisors_.uniform();
    arguments[kWindowsH] = &y_.most;
    arguments[kWindowsW] = &x_.most;
    arguments[kStepH] = &y_.step;
    arguments[kStepW] = &x_.step;
    arguments[kBackwardKernelW] = &window_[0];
    arguments[kBackwardStrideW] = &window_[1];
    arguments[kBackwardPitch] = &pitch_;
    arguments[kBackwardPositiveZero] = &positive_zero_;
    arguments[kFirstX] = &x_.first_buffer;
    arguments[kEndX] = &x_.end_buffer;
    arguments[kFirstY] = &y_.first_buffer;
    arguments[kEndY] = &y_.end_buffer;
    arguments[kBackwardDivisorX] = &divisors_.x();
    arguments[kBackwardDivisorY] = &divisors_.y();
    arguments[kBackwardReciprocal] = &divisors_.reciprocal();
    arguments[kBackwardOutput] = &out;
    return entry_(const_cast<void **>(arguments.data()));
}

}  // namespace halpool
