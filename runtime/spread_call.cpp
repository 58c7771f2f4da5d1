#include "spread_call.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>

namespace halpool {
namespace {

// Of spread gradients at once: with the output that they become, they should stay in the second-level cache.
constexpr std::int64_t kPartBytes = 128 * 1024;

// Elements of a row, `step` apart, the others zero; factors: null where all are 1.
template <class T>
void spread_row(const T *from, std::int64_t from_step, const T *factors, std::int64_t count, T *to, std::int64_t step, std::int64_t width) {
    const auto of = [&](std::int64_t i) { return factors ? from[i * from_step] * factors[i] : from[i * from_step]; };
    if (step == 1 && from_step == 1) {  // for vectors, no branch within
        if (factors) {
            for (std::int64_t i = 0; i < count; ++i) to[i] = from[i] * factors[i];
        } else {
            std::copy_n(from, count, to);
        }
        std::fill(to + count, to + width, T{0});
    } else if (step == 2 && from_step == 1) {
        const std::int64_t pairs = std::min(count, width / 2);
        if (factors) {
            for (std::int64_t i = 0; i < pairs; ++i) {
                to[2 * i] = from[i] * factors[i];
                to[2 * i + 1] = 0;
            }
        } else {
            for (std::int64_t i = 0; i < pairs; ++i) {
                to[2 * i] = from[i];
                to[2 * i + 1] = 0;
            }
        }
        std::fill(to + 2 * pairs, to + width, T{0});
        if (pairs < count) to[2 * pairs] = of(pairs);
    } else {
        std::fill_n(to, width, T{0});
        for (std::int64_t i = 0; i < count; ++i) to[i * step] = of(i);
    }
}

// Pixels of a row, channels-last, from_step apart; those channels of each; factors: null where all are 1.
template <class T>
void scale_pixels(const T *from, std::int64_t from_step, const T *factors, std::int64_t count, T *to, std::int64_t pixel, std::int64_t channel_begin,
                  std::int64_t channel_end) {
    for (std::int64_t i = 0; i < count; ++i, from += from_step, to += pixel) {
        const T factor = factors ? factors[i] : T{1};
        for (std::int64_t c = channel_begin; c < channel_end; ++c) to[c] = from[c] * factor;
    }
}

}  // namespace

SpreadCall::SpreadCall(const Problem &problem, const Problem &spread, const KernelRow &row)
    : inner_(spread, row, PlanesOf::one_each),
      nhwc_(row.layout == KernelLayout::nhwc),
      element_bytes_(static_cast<std::int64_t>(problem.input.dtype->bytes)),
      channels_(problem.input.shape[1]),
      pixel_(nhwc_ ? channels_ : 1),
      strides_(problem.input.strides),
      windows_h_(problem.windows_h()),
      windows_w_(problem.windows_w()),
      stride_h_(problem.y.stride),
      stride_w_(problem.x.stride),
      height_(spread.y.input),
      width_(spread.x.input),
      pad_top_(spread.y.pad_begin),
      reach_h_(spread.y.reach()),
      slack_(spread.x.reach() * pixel_ + kWorkspaceAlignment) {
    // One divisor for all is the kernel's.
    if (problem.rule != DivisorRule::fixed && spread.fixed_divisor == 1) {
        if (element_bytes_ == 4) prepare_factors<float>(problem);
        else prepare_factors<double>(problem);
    }
    const std::int64_t tile = inner_.shares().tile_rows(), rows = problem.output.shape[2];
    const std::int64_t row_bytes = width_ * pixel_ * element_bytes_, whole_tiles = (rows + tile - 1) / tile * tile;
    part_planes_ = std::clamp<std::int64_t>(kPartBytes / (height_ * row_bytes), 1, problem.input.shape[0] * channels_ / pixel_);
    part_rows_ = whole_tiles;
    if (height_ * row_bytes > kPartBytes) {
        // Rows that two parts need are spread out twice.
        const std::int64_t fitting = kPartBytes / row_bytes - reach_h_, least = std::max(2 * reach_h_, tile);
        part_rows_ = std::min((std::max(fitting, least) + tile - 1) / tile * tile, whole_tiles);
    }
    const std::int64_t spread_rows = part_planes_ > 1 ? part_planes_ * height_ : std::min(part_rows_ + reach_h_, height_);
    const std::int64_t elements = spread_rows * width_ * pixel_ + 2 * slack_;
    workspaces_ = Workspaces::for_shares(shares().most(), elements * (element_bytes_ / 4));  // floats
}

// Formed from the product, as Divisors are.
template <class T>
void SpreadCall::prepare_factors(const Problem &problem) {
    std::map<std::int64_t, std::int64_t> rows;  // of each divisor along y
    for (std::int64_t o = 0; o < windows_h_; ++o) {
        const auto next = static_cast<std::int64_t>(rows.size());
        factor_rows_.push_back(rows.emplace(divisor_factor(problem.y, o, problem.rule), next).first->second);
    }
    std::vector<T> factors(rows.size() * static_cast<std::size_t>(windows_w_));
    for (const auto &[along_y, row] : rows) {
        for (std::int64_t o = 0; o < windows_w_; ++o) {
            factors[static_cast<std::size_t>(row * windows_w_ + o)] = T{1} / (static_cast<T>(along_y) * static_cast<T>(divisor_factor(problem.x, o, problem.rule)));
        }
    }
    factors_.resize(factors.size() * sizeof(T));
    std::memcpy(factors_.data(), factors.data(), factors_.size());
}

int SpreadCall::run(const void *input, void *output, const Box &box) const {
    return element_bytes_ == 4 ? run_of<float>(input, output, box) : run_of<double>(input, output, box);
}

template <class T>
int SpreadCall::run_of(const void *input, void *output, const Box &box) const {
    const std::int32_t workspace = workspaces_->take();
    T *const memory = reinterpret_cast<T *>(workspaces_->memory(workspace)) + slack_;
    const bool whole = part_planes_ > 1 && box.row_begin == 0 && box.row_end == shares().all().row_end;
    const std::int64_t planes = whole ? part_planes_ : 1, rows = whole ? box.row_end : part_rows_;
    const bool all_channels = box.channel_end - box.channel_begin == shares().all().channel_end;
    const std::int64_t channel_begin = all_channels ? 0 : box.channel_begin, channel_end = all_channels ? channels_ : box.channel_end;
    int status = 0;
    for (std::int64_t outer = box.outer_begin; outer < box.outer_end && status == 0; outer += planes) {
        const std::int64_t outer_end = std::min(outer + planes, box.outer_end);
        for (std::int64_t row = box.row_begin; row < box.row_end && status == 0; row += rows) {
            const std::int64_t row_end = std::min(row + rows, box.row_end);
            const std::int64_t begin = std::max<std::int64_t>(row - pad_top_, 0), end = std::min(row_end - 1 - pad_top_ + reach_h_, height_);
            for (std::int64_t plane = outer; plane < outer_end; ++plane) {
                const T *const gradient = static_cast<const T *>(input) + (nhwc_ ? plane * strides_[0] : plane / channels_ * strides_[0] + plane % channels_ * strides_[1]);
                spread_rows(gradient, memory + (plane - outer) * height_ * width_ * pixel_, begin, end, channel_begin, channel_end);
            }
            // The kernel reads them where they would lie in a whole tensor that began before the workspace.
            const std::int64_t place = (outer * height_ + begin) * width_ * pixel_ * element_bytes_;
            const auto address = reinterpret_cast<std::uintptr_t>(memory) - static_cast<std::uintptr_t>(place);
            status = inner_.run(reinterpret_cast<const void *>(address), output, {outer, outer_end, row, row_end, box.channel_begin, box.channel_end});
        }
    }
    workspaces_->give_back(workspace);
    return status;
}

template <class T>
void SpreadCall::spread_rows(const T *gradient, T *to, std::int64_t begin, std::int64_t end, std::int64_t channel_begin, std::int64_t channel_end) const {
    for (std::int64_t row = begin; row < end; ++row, to += width_ * pixel_) {
        const std::int64_t window = row / stride_h_;
        if (row % stride_h_ != 0 || window >= windows_h_) {
            std::fill_n(to, width_ * pixel_, T{0});
            continue;
        }
        const T *factors = nullptr;
        if (!factor_rows_.empty()) factors = reinterpret_cast<const T *>(factors_.data()) + factor_rows_[static_cast<std::size_t>(window)] * windows_w_;
        const T *const from = gradient + window * strides_[2];
        if (nhwc_) {
            scale_pixels(from, strides_[3], factors, windows_w_, to, pixel_, channel_begin, channel_end);
            std::fill(to + windows_w_ * pixel_, to + width_ * pixel_, T{0});
        } else {
            spread_row(from, strides_[3], factors, windows_w_, to, stride_w_, width_);
        }
    }
}

}  // namespace halpool
