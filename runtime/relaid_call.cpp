#include "relaid_call.hpp"

#include <algorithm>
#include <cstddef>

namespace halpool {
namespace {

// What one part may have, so that it is still in the second-level cache when it is laid out anew; and channels of a block, whose
// lines stay in the first one.
constexpr std::int64_t kPartBytes = 96 * 1024, kBlockChannels = 16;

}  // namespace

RelaidCall::RelaidCall(const Problem &problem, const Problem &relaid, const KernelRow &row)
    : inner_(relaid, row, PlanesOf::one_each),
      planar_(row.layout == KernelLayout::nchw),
      element_bytes_(static_cast<std::int64_t>(problem.output.dtype->bytes)),
      channels_(problem.output.shape[1]),
      height_(problem.output.shape[2]),
      width_(problem.output.shape[3]),
      strides_(problem.output.strides) {
    const std::int64_t tile = inner_.shares().tile_rows();
    const std::int64_t row_bytes = width_ * element_bytes_ * (planar_ ? std::min(channels_, kBlockChannels) : channels_);
    part_rows_ = std::clamp<std::int64_t>(kPartBytes / row_bytes / tile * tile, tile, (height_ + tile - 1) / tile * tile);
    const std::int64_t blocks = std::max<std::int64_t>(kPartBytes / (part_rows_ * width_ * element_bytes_) / kBlockChannels, 1);
    part_channels_ = planar_ ? std::min(blocks * kBlockChannels, channels_) : channels_;
    shares_ = Shares(problem.output.shape[0], height_, tile, 1);
    const std::int64_t bytes = part_rows_ * width_ * part_channels_ * element_bytes_;
    workspaces_ = Workspaces::for_shares(shares_.most(), bytes / 4 + 1);  // floats
}

int RelaidCall::run(const void *input, void *output, const Box &box) const {
    const std::int32_t workspace = workspaces_->take();
    void *const memory = workspaces_->memory(workspace);
    int status = 0;
    for (std::int64_t image = box.outer_begin; image < box.outer_end; ++image) {
        for (std::int64_t row = box.row_begin; row < box.row_end; row += part_rows_) {
            for (std::int64_t channel = 0; channel < channels_; channel += part_channels_) {
                const Part part{image, row, std::min(row + part_rows_, box.row_end), channel, std::min(channel + part_channels_, channels_)};
                if (status == 0) status = compute(input, memory, part);
                if (status != 0) break;
                switch (element_bytes_) {
                case 1: lay_out<std::uint8_t>(memory, output, part); break;
                case 2: lay_out<std::uint16_t>(memory, output, part); break;
                case 4: lay_out<std::uint32_t>(memory, output, part); break;
                default: lay_out<std::uint64_t>(memory, output, part); break;
                }
            }
        }
    }
    workspaces_->give_back(workspace);
    return status;
}

// The kernel writes to where these rows would lie in a whole output that began before the workspace.
int RelaidCall::compute(const void *input, void *workspace, const Part &part) const {
    const Box all = inner_.shares().all();
    const auto write_at = [&](std::int64_t place, std::int64_t outer, std::int64_t first) {
        const auto address = reinterpret_cast<std::uintptr_t>(workspace) + static_cast<std::uintptr_t>((place - first) * element_bytes_);
        return inner_.run(input, reinterpret_cast<void *>(address), {outer, outer + 1, part.row_begin, part.row_end, all.channel_begin, all.channel_end});
    };
    if (!planar_) return write_at(0, part.image, (part.image * height_ + part.row_begin) * width_ * channels_);
    int status = 0;
    for (std::int64_t channel = part.channel_begin; channel < part.channel_end && status == 0; ++channel) {
        const std::int64_t plane = part.image * channels_ + channel;
        status = write_at((channel - part.channel_begin) * part_rows_ * width_, plane, (plane * height_ + part.row_begin) * width_);
    }
    return status;
}

template <class Word>
void RelaidCall::lay_out(const void *workspace, void *output, const Part &part) const {
    const auto *const from = static_cast<const Word *>(workspace);
    auto *const to = static_cast<Word *>(output) + part.image * strides_[0];
    const std::int64_t column = planar_ ? 1 : channels_, row = width_ * column, plane = planar_ ? part_rows_ * width_ : 1;
    const std::int64_t channels = part.channel_end - part.channel_begin;
    for (std::int64_t y = part.row_begin; y < part.row_end; ++y) {
        for (std::int64_t begin = 0; begin < channels; begin += kBlockChannels) {
            const std::int64_t count = std::min(channels - begin, kBlockChannels);
            const Word *read = from + (y - part.row_begin) * row + begin * plane;
            Word *write = to + (part.channel_begin + begin) * strides_[1] + y * strides_[2];
            for (std::int64_t x = 0; x < width_; ++x, read += column, write += strides_[3]) {
                for (std::int64_t c = 0; c < count; ++c) write[c * strides_[1]] = read[c * plane];
            }
        }
    }
}

}  // namespace halpool
