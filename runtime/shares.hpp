// How an output is cut into shares for threads.
#ifndef HALPOOL_RUNTIME_SHARES_HPP
#define HALPOOL_RUNTIME_SHARES_HPP

#include <cstdint>

namespace halpool {

// A part of an output: rows of outer slices, all columns. An outer slice is a plane (NCHW) or an image (NHWC, of which
// the box may have some channels alone; else the channels are [0, 1)).
struct Box {
    std::int64_t outer_begin, outer_end, row_begin, row_end, channel_begin, channel_end;
};

// An output that is outer x rows x channels, cut between rows at multiples of tile_rows: so that an element's arithmetic
// does not depend on the number of shares. Cuts do not look for the ends of cache lines: two shares meet in one line at most,
// which costs either some 0.1 us, once.
class Shares {
public:
    Shares() = default;
    Shares(std::int64_t outer, std::int64_t rows, std::int64_t tile_rows, std::int64_t channels)
        : outer_(outer), rows_(rows), tile_rows_(tile_rows), channels_(channels) {}

    Box all() const { return {0, outer_, 0, rows_, 0, channels_}; }

    std::int64_t tile_rows() const { return tile_rows_; }

    // The most shares that are not empty.
    std::int64_t most() const { return outer_ * row_tiles() * channel_units(); }

    // Calls visit(box) for the boxes of share `part` of `parts` until one returns other than 0; returns that.
    template <class Visit>
    int for_each_box(std::int64_t part, std::int64_t parts, const Visit &visit) const {
        if (parts == 1) return visit(all());
        const std::int64_t blocks = channel_blocks(parts), tiles_in_slice = row_tiles();
        const std::int64_t tiles = outer_ * blocks * tiles_in_slice, end = cut(tiles, part + 1, parts);
        for (std::int64_t at = cut(tiles, part, parts); at < end;) {
            const std::int64_t slice = at / tiles_in_slice, tile = at % tiles_in_slice;
            const std::int64_t outer = slice / blocks, block = slice % blocks;
            Box box{outer, outer + 1, tile * tile_rows_, rows_, channels_before(block, blocks), channels_before(block + 1, blocks)};
            const std::int64_t whole_slices = blocks == 1 && tile == 0 ? (end - at) / tiles_in_slice : 0;
            if (whole_slices > 0) {
                box.outer_end = outer + whole_slices;
                at += whole_slices * tiles_in_slice;
            } else {
                const std::int64_t tile_end = tile + end - at < tiles_in_slice ? tile + end - at : tiles_in_slice;
                if (tile_end < tiles_in_slice) box.row_end = tile_end * tile_rows_;
                at += tile_end - tile;
            }
            const int status = visit(box);
            if (status != 0) return status;
        }
        return 0;
    }

private:
    // Channels are cut at multiples of so many: two cache lines of floats, and a vector or more in every kernel.
    static constexpr std::int64_t kChannelUnit = 32;

    // Where share `part` begins. count * part may not fit 64 bits: part is below 2^31, and count below 2^63.
    static std::int64_t cut(std::int64_t count, std::int64_t part, std::int64_t parts) {
        return count / parts * part + count % parts * part / parts;
    }

    std::int64_t row_tiles() const { return (rows_ + tile_rows_ - 1) / tile_rows_; }
    std::int64_t channel_units() const { return (channels_ + kChannelUnit - 1) / kChannelUnit; }
    std::int64_t channels_before(std::int64_t block, std::int64_t blocks) const {
        return block == blocks ? channels_ : channel_units() * block / blocks * kChannelUnit;
    }

    // Into how many runs the channels are cut: as few as do, since memory is best read whole; so many that the largest
    // share has at most an eighth more than the mean one.
    std::int64_t channel_blocks(std::int64_t parts) const {
        const std::int64_t units = channel_units(), slices = outer_ * row_tiles(), work = slices * units;
        const auto balanced = [&](std::int64_t blocks) {
            const std::int64_t most_tiles = (slices * blocks - 1) / parts + 1, most_units = (units - 1) / blocks + 1;
            return most_tiles * most_units <= (work + work / 8) / parts;
        };
        std::int64_t blocks = 1;
        while (blocks < units && !balanced(blocks)) ++blocks;
        return blocks;
    }

    std::int64_t outer_ = 0, rows_ = 0, tile_rows_ = 1, channels_ = 1;
};

}  // namespace halpool

#endif
