#include "kernel_call.hpp"

#include "streaming.hpp"

#include <algorithm>
#include <cstdlib>

namespace halpool {

KernelCall::KernelCall(const Problem &problem, const KernelRow &row, PlanesOf merged)
    : entry_(row.entry),
      streams_(row.streams),
      input_element_(*problem.input.dtype),
      output_element_(*problem.output.dtype),
      input_words_(row.pairs),
      output_words_(row.pairs && row.layout == KernelLayout::nhwc),
      alignment_bytes_(static_cast<std::uintptr_t>(row.alignment) * output_element_.bytes),
      layout_(row.window == WindowClass::lines ? KernelLayout::nchw : row.layout),
      lanes_along_rows_(layout_ == KernelLayout::nchw || row.channels != 0),
      input_zero_(problem.input_zero),
      output_zero_(problem.output_zero) {
    const auto &in = problem.input.shape, &out = problem.output.shape;
    Problem p = problem;
    std::int64_t in_h = in[2], in_w = in[3];
    if (row.window == WindowClass::global) {  // the plane as one row
        in_w = in_h * in_w;
        in_h = 1;
        p.y = {1, 1, 1, 0, 0};
        p.x = {in_w, in_w, 1, 0, 0};
    }
    const bool nhwc = layout_ == KernelLayout::nhwc;  // to the kernel
    const auto leaves = [](const Axis &axis, std::int64_t extent) {
        return leaves_input(axis, 0) || leaves_input(axis, extent - 1);
    };
    border_ = leaves(p.y, out[2]) || leaves(p.x, out[3]) ? Border::masked : Border::none;
    std::int64_t planes = in[0] * in[1];
    rows_ = out[2];
    const bool side_by_side = row.window == WindowClass::blocks || (row.window == WindowClass::fixed && lie_side_by_side(row.kernel_h, row.kernel_w, row.stride_h, row.stride_w));
    // All planes are one high plane.
    const bool is_dense = row.layout == KernelLayout::nhwc ? problem.input.is_channels_last() && problem.output.is_channels_last()
                                                                  : problem.input.is_planar() && problem.output.is_planar();
    if (merged == PlanesOf::all_together && is_dense && side_by_side && !nhwc && border_ == Border::none && rows_ * p.y.stride == in_h && planes * in_h * in_w <= kMostElements) {
        in_h *= planes;
        rows_ *= planes;
        planes = 1;
    }
    if (row.window == WindowClass::lines && row.layout == KernelLayout::nhwc) {
        pitch_ = narrow(in[1]);
        planes = in[0];
    }
    const std::int64_t word = row.pairs ? 2 : 1;  // of elements
    input_dimensions_ = nhwc ? dense({in[1] / word, in_w, in_h, in[0]}) : dense({in_w * pitch_ / word, in_h, planes, 1});
    output_dimensions_ = nhwc ? dense({in[1] / word, out[3], rows_, in[0]}) : dense({out[3] * pitch_, rows_, planes, 1});
    if (!is_dense) prepare_gaps(problem);
    outer_ = nhwc ? in[0] : planes;
    columns_ = out[3] * pitch_;
    const auto slice = [](const std::array<KernelDimension, 4> &dimensions, std::size_t outer) { return std::abs(std::int64_t{dimensions[outer].stride}); };
    most_outer_ = kMostElements / std::max({slice(input_dimensions_, nhwc ? 3 : 2), slice(output_dimensions_, nhwc ? 3 : 2), std::int64_t{1}});
    // Large windows: fewer channels than a vector has are dense to the kernel, which parts of more are not.
    channels_ = lanes_along_rows_ || row.window == WindowClass::large ? 1 : in[1] / word;
    shares_ = Shares(outer_, rows_, row.window == WindowClass::large ? kLargeBlock : row.window == WindowClass::lines ? kLineRows : std::max(row.tile_rows, 1), channels_);
    window_ = {narrow(p.y.kernel), narrow(p.x.kernel),    narrow(p.y.stride),
               narrow(p.x.stride), narrow(p.y.pad_begin), narrow(p.x.pad_begin), narrow(p.y.dilation), narrow(p.x.dilation)};

    if (row.window == WindowClass::large) {
        prepare_large(p, row);
    } else if (row.window == WindowClass::lines) {
        prepare_lines(p, row);
    } else if (row.window == WindowClass::fixed && walks_down(!nhwc, row.kernel_w, row.stride_w, input_element_.bytes, row.masked_loads)) {
        prepare_walk(p, row);
    } else if (lanes_along_rows_) {
        find_clamped_rows(p);
        if (row.window == WindowClass::generic) find_inner_columns(p, row.lanes);
    }
    divisors_ = std::make_unique<const Divisors>(row.window == WindowClass::global ? problem : p,
                                                 factors_of(row.dtype, row.window == WindowClass::fixed), pitch_, row.needs_reciprocal,
                                                 row.window == WindowClass::fixed);
    prepare_arguments();
    prepare_whole();
}

// In the kernel's order; the stride of an axis of one element is never used, and may be anything in the problem.
void KernelCall::prepare_gaps(const Problem &problem) {
    const bool nhwc = layout_ == KernelLayout::nhwc, images_are_planes = pitch_ > 1;
    const std::array<std::size_t, 4> axes = images_are_planes ? std::array<std::size_t, 4>{3, 2, 0, 1} : nhwc ? std::array<std::size_t, 4>{1, 3, 2, 0} : std::array<std::size_t, 4>{3, 2, 1, 0};
    for (const auto &[dimensions, tensor] : {std::pair{&input_dimensions_, &problem.input}, std::pair{&output_dimensions_, &problem.output}}) {
        for (std::size_t i = 1; i < (nhwc ? 4u : 3u); ++i) {
            if ((*dimensions)[i].extent > 1) (*dimensions)[i].stride = narrow(tensor->strides[axes[i]]);
        }
    }
    if (nhwc || images_are_planes || problem.input.shape[0] == 1) return;
    image_planes_ = problem.input.shape[1];
    input_image_ = problem.input.strides[0];
    output_image_ = problem.output.strides[0];
}

std::int64_t KernelCall::outer_offset(std::int64_t outer, const KernelDimension &dimension, std::int64_t image) const {
    if (image_planes_ == 0) return outer * dimension.stride;
    return outer / image_planes_ * image + outer % image_planes_ * dimension.stride;
}

// Even pieces: the columns left and right of each are summed along y for it alone.
void KernelCall::prepare_large(const Problem &p, const KernelRow &row) {
    border_ = Border::none;
    const bool planar = row.layout == KernelLayout::nchw;
    const std::int64_t lanes = row.lanes, step = planar ? 1 : std::min<std::int64_t>(p.input.shape[1], lanes);
    const auto workspace = [&](std::int64_t columns) {
        return large_workspace(columns, p.y.kernel, p.x.kernel, p.y.stride, p.x.stride, step, lanes);
    };
    // Whole rows are read best, up to a workspace of a megabyte: of that little is read again for the next rows, and in order.
    constexpr std::int64_t kWorkspaceFloats = 256 * 1024;
    const std::int64_t least = (3 * p.x.kernel + p.x.stride - 1) / p.x.stride;
    std::int64_t most = columns_;
    while (most > least && workspace(most) > kWorkspaceFloats) most = std::max(least, most / 2);
    const std::int64_t pieces = (columns_ + most - 1) / most;
    most_columns_ = (columns_ + pieces - 1) / pieces;
    if (planar) most_columns_ = (most_columns_ + lanes - 1) / lanes * lanes;
    workspaces_ = Workspaces::for_shares(shares_.most(), workspace(std::min(most_columns_, columns_)));
}

// No kernel of these reads beside a row.
void KernelCall::prepare_lines(const Problem &p, const KernelRow &row) {
    border_ = Border::none;
    const std::int64_t most = (kLineFloats / pitch_ - p.x.kernel) / p.x.stride + 1;  // the selector made sure that one fits
    const std::int64_t columns = p.output.shape[3], pieces = (columns + most - 1) / most;
    most_columns_ = (columns + pieces - 1) / pieces * pitch_;
    const std::int64_t lanes = row.lanes;
    if (pitch_ == 1 && most >= lanes) most_columns_ = std::min((most_columns_ + lanes - 1) / lanes * lanes, most / lanes * lanes);
}

void KernelCall::prepare_walk(const Problem &p, const KernelRow &row) {
    // Their vectors reach beside a row where no window does.
    const bool dense_columns = reads_dense_columns(row.stride_w, input_element_.bytes);
    if (dense_columns) border_ = Border::masked;
    // Border::masked: the taps before a window's middle may leave a row on the left alone, those behind it on the right.
    const bool middle_inside = p.x.pad_begin <= p.x.kernel / 2 &&
                               columns_ - 1 - p.x.pad_begin + (p.x.kernel - 1) / 2 < p.x.input;
    if (row.plane_w == 0 && columns_ < row.lanes) {
        border_ = Border::narrow;
    } else if (border_ == Border::masked && !middle_inside && !dense_columns) {
        border_ = Border::clamped;
    } else if (border_ == Border::masked && !row.masked_loads) {
        find_clamped_rows(p, dense_columns ? 2 * row.lanes * (input_words_ ? 2 : 1) : 0);
        if (row.plane_w != 0) {  // which computes whole planes
            clamped_head_ = clamped_head_ > 0 ? rows_ : 0;
            clamped_tail_ = clamped_tail_ > 0 ? rows_ : 0;
        }
    }
    // A strip's rows lie on pages of their own and should stay in the first-level cache until the next strip.
    constexpr std::int64_t kWalkElements = 32768;  // of the input
    walk_rows_ = std::max<std::int64_t>(kWalkElements / (columns_ * p.x.stride * p.y.stride), 8);
}

void KernelCall::find_clamped_rows(const Problem &p, std::int64_t beyond) {
    const std::int64_t width = p.x.input, height = p.y.input, out_h = p.output.shape[2], out_w = p.output.shape[3];
    // How far the taps of a row reach beside it.
    const std::int64_t last = (out_w - 1) * p.x.stride - p.x.pad_begin + p.x.reach() - 1;
    const auto whole_words = [&](std::int64_t elements) { return input_words_ ? (elements + 1) / 2 * 2 : elements; };
    const std::int64_t before = whole_words(p.x.pad_begin), behind = whole_words(std::max<std::int64_t>(last + beyond - (width - 1), 0));
    if (before > width * height || behind > width * height) {
        border_ = Border::clamped;
        return;
    }
    const auto row = [&](std::int64_t y) { return std::clamp<std::int64_t>(y, 0, height - 1); };
    const auto first_row = [&](std::int64_t oy) { return row(oy * p.y.stride - p.y.pad_begin); };
    const auto last_row = [&](std::int64_t oy) { return row(oy * p.y.stride - p.y.pad_begin + p.y.reach() - 1); };
    std::int64_t head = 0, tail = 0;
    while (head < out_h && first_row(head) * width < before) ++head;
    while (tail < out_h && (height - 1 - last_row(out_h - 1 - tail)) * width < behind) ++tail;
    clamped_head_ = head;
    clamped_tail_ = tail;
}

// Where masks cost much (windows known at run time), the columns in the middle of the rows are computed without.
void KernelCall::find_inner_columns(const Problem &p, std::int64_t lanes) {
    std::int64_t begin = 0, end = columns_;
    while (begin < end && begin * p.x.stride - p.x.pad_begin < 0) ++begin;
    while (end > begin && (end - 1) * p.x.stride - p.x.pad_begin + p.x.reach() > p.x.input) --end;
    // Whole vectors at both ends: a narrow box costs as much as a vector's.
    begin = (begin + lanes - 1) / lanes * lanes;
    end = columns_ - (columns_ - end + lanes - 1) / lanes * lanes;
    if (end - begin >= lanes) inner_columns_ = {begin, end};
}

void KernelCall::prepare_arguments() {
    const auto type = [](const DTypeFacts &element, bool words) {
        return words ? KernelType{kKernelUInt16.code, static_cast<std::uint8_t>(2 * 8 * element.bytes), 1} : element.element;
    };
    input_ = kernel_buffer(nullptr, type(input_element_, input_words_), input_dimensions_);
    output_ = kernel_buffer(nullptr, type(output_element_, output_words_), output_dimensions_);
    arguments_ = {};
    for (std::size_t i = 0; i < window_.size(); ++i) arguments_[kKernelH + i] = &window_[i];
    arguments_[kUniform] = &divisors_->uniform();
    arguments_[kPitch] = &pitch_;
    arguments_[kInputZero] = &input_zero_;
    arguments_[kOutputZero] = &output_zero_;
    arguments_[kPositiveZero] = &positive_zero_;
    arguments_[kDivisorX] = &divisors_->x();
    arguments_[kDivisorY] = &divisors_->y();
    arguments_[kReciprocal] = &divisors_->reciprocal();
}

void KernelCall::prepare_whole() {
    constexpr std::size_t kFew = 8;
    const int more = for_each_piece(shares_.all(), [&](const Piece &piece) {
        if (whole_.size() == kFew) return 1;
        whole_.push_back(piece);
        return 0;
    });
    if (more) whole_.clear();
}

int KernelCall::run(const void *input, void *output) const {
    if (whole_.empty()) return run(input, output, shares_.all());
    return with_workspace([&](void *workspace) {
        for (const Piece &piece : whole_) {
            const int status = enter(input, output, piece, workspace);
            if (status != 0) return status;
        }
        return 0;
    });
}

int KernelCall::run(const void *input, void *output, const Box &box) const {
    return with_workspace([&](void *workspace) {
        return for_each_piece(box, [&](const Piece &piece) { return enter(input, output, piece, workspace); });
    });
}

template <class Run>
int KernelCall::with_workspace(const Run &run) const {
    if (!workspaces_) return finish(run(nullptr));
    const std::int32_t workspace = workspaces_->take();
    const int status = finish(run(workspaces_->memory(workspace)));
    workspaces_->give_back(workspace);
    return status;
}

int KernelCall::finish(int status) const {
    if (streams_) finish_streaming();
    return status;
}

template <class Visit>
int KernelCall::for_each_piece(const Box &box, const Visit &visit) const {
    // Of one image, where they are not evenly spaced.
    const auto last_of_call = [&](std::int64_t outer) {
        const std::int64_t most = std::min(outer + most_outer_, box.outer_end);
        return image_planes_ == 0 ? most : std::min(most, (outer / image_planes_ + 1) * image_planes_);
    };
    if (last_of_call(box.outer_begin) < box.outer_end) {
        for (std::int64_t outer = box.outer_begin; outer < box.outer_end; outer = last_of_call(outer)) {
            const Box some{outer, last_of_call(outer), box.row_begin, box.row_end, box.channel_begin, box.channel_end};
            const int status = for_each_piece(some, visit);
            if (status != 0) return status;
        }
        return 0;
    }
    const Columns all{0, columns_};
    if (most_columns_ > 0) {
        for (std::int64_t begin = 0; begin < columns_; begin += most_columns_) {
            const int status = visit(piece(box, {begin, std::min(begin + most_columns_, columns_)}, border_));
            if (status != 0) return status;
        }
        return 0;
    }
    if (walk_rows_ > 0 && box.row_end - box.row_begin > walk_rows_ + walk_rows_ / 2) {
        for (std::int64_t outer = box.outer_begin; outer < box.outer_end; ++outer) {
            for (std::int64_t row = box.row_begin; row < box.row_end; row += walk_rows_) {
                const Box rows{outer, outer + 1, row, std::min(row + walk_rows_, box.row_end), box.channel_begin, box.channel_end};
                const int status = for_each_piece(rows, visit);
                if (status != 0) return status;
            }
        }
        return 0;
    }
    if (border_ == Border::clamped || border_ == Border::narrow || !lanes_along_rows_) return visit(piece(box, all, border_));

    // Cut off the rows at the tensor's two ends that must not read beside themselves.
    const auto part = [](const Box &b, std::int64_t outer_begin, std::int64_t outer_end, std::int64_t row_begin,
                         std::int64_t row_end) {
        return Box{std::max(b.outer_begin, outer_begin), std::min(b.outer_end, outer_end),
                   std::max(b.row_begin, row_begin), std::min(b.row_end, row_end), b.channel_begin, b.channel_end};
    };
    const std::int64_t head = clamped_head_, tail = rows_ - clamped_tail_;
    const std::int64_t last = outer_ - 1;
    int status = 0;
    const auto clamped = [&](const Box &b) {
        if (status == 0 && b.outer_begin < b.outer_end && b.row_begin < b.row_end) {
            status = visit(piece(b, all, Border::clamped));
        }
    };
    const auto rest = [&](const Box &b) {
        if (status != 0 || b.outer_begin >= b.outer_end || b.row_begin >= b.row_end) return;
        status = border_ == Border::none ? visit(piece(b, all, border_)) : for_each_masked_piece(b, visit);
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

template <class Visit>
int KernelCall::for_each_masked_piece(const Box &box, const Visit &visit) const {
    if (inner_columns_.begin == inner_columns_.end) return visit(piece(box, {0, columns_}, Border::masked));
    // In blocks that stay in the first-level cache between the three visits.
    constexpr std::int64_t kBlockElements = 8192;
    const std::int64_t row_elements = std::max<std::int64_t>(columns_ * window_[kStrideH - kKernelH] *
                                                             window_[kStrideW - kKernelH], 1);
    const std::int64_t block_rows = std::clamp<std::int64_t>(kBlockElements / row_elements, 1, box.row_end - box.row_begin);
    const std::int64_t block_outer =
        std::clamp<std::int64_t>(kBlockElements / (row_elements * block_rows), 1, box.outer_end - box.outer_begin);
    for (std::int64_t o = box.outer_begin; o < box.outer_end; o += block_outer) {
        for (std::int64_t r = box.row_begin; r < box.row_end; r += block_rows) {
            const Box b{o, std::min(o + block_outer, box.outer_end), r, std::min(r + block_rows, box.row_end),
                        box.channel_begin, box.channel_end};
            int status = visit(piece(b, inner_columns_, Border::rows));
            if (status == 0 && inner_columns_.begin > 0) {
                status = visit(piece(b, {0, inner_columns_.begin}, Border::masked));
            }
            if (status == 0 && inner_columns_.end < columns_) {
                status = visit(piece(b, {inner_columns_.end, columns_}, Border::masked));
            }
            if (status != 0) return status;
        }
    }
    return 0;
}

KernelCall::Piece KernelCall::piece(const Box &box, Columns columns, Border border) const {
    const bool nhwc = layout_ == KernelLayout::nhwc;
    const std::size_t column_axis = nhwc ? 1 : 0, row_axis = nhwc ? 2 : 1, outer_axis = nhwc ? 3 : 2;
    const std::int64_t input_bytes = static_cast<std::int64_t>(input_element_.bytes) * (input_words_ ? 2 : 1);
    const std::int64_t output_bytes = static_cast<std::int64_t>(output_element_.bytes) * (output_words_ ? 2 : 1);
    Piece made{input_dimensions_, output_dimensions_, 0, 0, static_cast<std::int32_t>(border)};
    const auto narrow_to = [&](std::size_t axis, std::int64_t begin, std::int64_t end) {
        KernelDimension &dimension = made.output_dimensions[axis];
        dimension.min = narrow(begin);
        dimension.extent = narrow(end - begin);
        if (axis != outer_axis) made.output_offset += begin * dimension.stride * output_bytes;
    };
    narrow_to(column_axis, columns.begin, columns.end);
    narrow_to(row_axis, box.row_begin, box.row_end);
    narrow_to(outer_axis, box.outer_begin, box.outer_end);
    // The first of these planes, or images, is the kernel's first: offsets in it fit 32 bits.
    made.output_dimensions[outer_axis].min = 0;
    made.input_offset += outer_offset(box.outer_begin, made.input_dimensions[outer_axis], input_image_) * input_bytes;
    made.output_offset += outer_offset(box.outer_begin, made.output_dimensions[outer_axis], output_image_) * output_bytes;
    if (box.channel_end - box.channel_begin < channels_) {  // to the kernel, tensors of fewer channels, far apart
        for (auto *dimensions : {&made.input_dimensions, &made.output_dimensions}) {
            (*dimensions)[0].extent = narrow(box.channel_end - box.channel_begin);
        }
        made.input_offset += box.channel_begin * input_bytes;
        made.output_offset += box.channel_begin * output_bytes;
    }
    return made;
}

int KernelCall::enter(const void *input, void *output, const Piece &piece, void *workspace) const {
    KernelBuffer in = input_, out = output_;
    in.host = static_cast<char *>(const_cast<void *>(input)) + piece.input_offset;
    in.dim = const_cast<KernelDimension *>(piece.input_dimensions.data());
    out.host = static_cast<char *>(output) + piece.output_offset;
    out.dim = const_cast<KernelDimension *>(piece.output_dimensions.data());
    auto arguments = arguments_;
    arguments[kUserContext] = &workspace;
    arguments[kInput] = &in;
    arguments[kBorder] = &piece.border;
    arguments[kOutput] = &out;
    return entry_(const_cast<void **>(arguments.data()));
}

}  // namespace halpool
