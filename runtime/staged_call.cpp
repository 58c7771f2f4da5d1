#include "staged_call.hpp"

#include <algorithm>

namespace halpool {
namespace {

// Of what is staged at once: with the output that it becomes, it should stay in the second-level cache.
constexpr std::int64_t kPartBytes = 128 * 1024;

// Behind a row, and before it, kernels read up to two vectors of words of two (KernelCall::find_clamped_rows).
constexpr std::int64_t kMostReadBeside = 4 * 64 + kWorkspaceAlignment;

}  // namespace

StagedCall::StagedCall(const Problem &staged, const KernelRow &row)
    : inner_(staged, row, PlanesOf::one_each),
      nhwc_(row.layout == KernelLayout::nhwc),
      element_bytes_(static_cast<std::int64_t>(staged.input.dtype->bytes)),
      channels_(staged.input.shape[1]),
      pixel_(nhwc_ ? channels_ : 1),
      height_(staged.y.input),
      width_(staged.x.input),
      stride_h_(staged.y.stride),
      pad_top_(staged.y.pad_begin),
      reach_h_(staged.y.reach()),
      slack_((staged.x.reach() + staged.x.pad_begin) * pixel_ + kMostReadBeside) {
    const std::int64_t tile = inner_.shares().tile_rows(), rows = staged.output.shape[2];
    const std::int64_t row_bytes = width_ * pixel_ * element_bytes_, whole_tiles = (rows + tile - 1) / tile * tile;
    part_planes_ = std::clamp<std::int64_t>(kPartBytes / (height_ * row_bytes), 1, staged.input.shape[0] * channels_ / pixel_);
    part_rows_ = whole_tiles;
    if (height_ * row_bytes > kPartBytes) {
        // Rows that two parts need are staged twice.
        const std::int64_t fitting = (kPartBytes / row_bytes - reach_h_) / stride_h_, least = std::max(2 * reach_h_ / stride_h_, tile);
        part_rows_ = std::min((std::max(fitting, least) + tile - 1) / tile * tile, whole_tiles);
    }
    const std::int64_t staged_rows = part_planes_ > 1 ? part_planes_ * height_ : std::min((part_rows_ - 1) * stride_h_ + reach_h_, height_);
    const std::int64_t bytes = (staged_rows * width_ * pixel_ + 2 * slack_) * element_bytes_;
    workspaces_ = Workspaces::for_shares(shares().most(), bytes / 4 + 1);  // floats
}

int StagedCall::run(const void *input, void *output, const Box &box) const {
    const std::int32_t workspace = workspaces_->take();
    auto *const memory = reinterpret_cast<unsigned char *>(workspaces_->memory(workspace)) + slack_ * element_bytes_;
    const bool whole = part_planes_ > 1 && box.row_begin == 0 && box.row_end == shares().all().row_end;
    const std::int64_t planes = whole ? part_planes_ : 1, rows = whole ? box.row_end : part_rows_;
    const bool all_channels = box.channel_end - box.channel_begin == shares().all().channel_end;
    const std::int64_t channel_begin = all_channels ? 0 : box.channel_begin, channel_end = all_channels ? channels_ : box.channel_end;
    const std::int64_t row_bytes = width_ * pixel_ * element_bytes_;
    int status = 0;
    for (std::int64_t outer = box.outer_begin; outer < box.outer_end && status == 0; outer += planes) {
        const std::int64_t outer_end = std::min(outer + planes, box.outer_end);
        for (std::int64_t row = box.row_begin; row < box.row_end && status == 0; row += rows) {
            const std::int64_t row_end = std::min(row + rows, box.row_end);
            // Of windows beside the plane, the row at its edge.
            const std::int64_t begin = std::clamp<std::int64_t>(row * stride_h_ - pad_top_, 0, height_ - 1);
            const std::int64_t end = std::clamp<std::int64_t>((row_end - 1) * stride_h_ - pad_top_ + reach_h_, begin + 1, height_);
            for (std::int64_t plane = outer; plane < outer_end; ++plane) {
                stage(input, {plane, begin, end, channel_begin, channel_end}, memory + (plane - outer) * height_ * row_bytes);
            }
            // The kernel reads them where they would lie in a whole tensor that began before the workspace.
            const auto address = reinterpret_cast<std::uintptr_t>(memory) - static_cast<std::uintptr_t>((outer * height_ + begin) * row_bytes);
            status = inner_.run(reinterpret_cast<const void *>(address), output, {outer, outer_end, row, row_end, box.channel_begin, box.channel_end});
        }
    }
    workspaces_->give_back(workspace);
    return status;
}

}  // namespace halpool
