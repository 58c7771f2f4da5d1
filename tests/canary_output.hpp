// An output tensor in the middle of canaries: the zones around it and the gaps between its elements must stay as
// they were.
#ifndef HALPOOL_TESTS_CANARY_OUTPUT_HPP
#define HALPOOL_TESTS_CANARY_OUTPUT_HPP

#include "aligned_floats.hpp"
#include "strided_layout.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace halpool_test {

class CanaryOutput {
public:
    explicit CanaryOutput(StridedLayout layout)
        : layout_(std::move(layout)), bits_(layout_.span() + 2 * kZone, kCanary),
          element_(bits_.size(), false), origin_(static_cast<std::int64_t>(kZone) - layout_.lowest()) {
        for (std::size_t i = 0; i < layout_.count(); ++i) element_[at(i)] = true;
    }

    float *data() { return reinterpret_cast<float *>(bits_.data()) + origin_; }
    const StridedLayout &layout() const { return layout_; }
    // All of it, canaries included, and where element [0, 0, 0, 0] lies in it: what a device gets a copy of.
    void *memory() { return bits_.data(); }
    std::size_t memory_bytes() const { return bits_.size() * sizeof(std::uint32_t); }
    std::size_t offset_bytes() const { return static_cast<std::size_t>(origin_) * sizeof(std::uint32_t); }
    void refill() { std::fill(bits_.begin(), bits_.end(), kCanary); }

    float value(std::size_t i) const {
        float f;
        std::memcpy(&f, &bits_[at(i)], sizeof f);
        return f;
    }
    std::uint32_t bits(std::size_t i) const { return bits_[at(i)]; }
    bool written(std::size_t i) const { return bits(i) != kCanary; }
    bool untouched() const {
        for (const std::uint32_t bits : bits_)
            if (bits != kCanary) return false;
        return true;
    }
    // Empty when nothing outside the tensor's own elements was written.
    std::string damage() const {
        for (std::size_t i = 0; i < bits_.size(); ++i)
            if (!element_[i] && bits_[i] != kCanary)
                return "wrote outside the output, " + std::to_string(static_cast<std::int64_t>(i) - origin_) +
                       " floats from its first element";
        return {};
    }
    // The values in C order, as bits; all NaNs as one, since IEEE leaves a NaN's sign and payload open.
    std::vector<std::uint32_t> all_bits() const {
        std::vector<std::uint32_t> all(layout_.count());
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = written(i) && std::isnan(value(i)) ? kNaN : bits(i);
        return all;
    }

private:
    static constexpr std::size_t kZone = 512;  // in bytes a multiple of what any device wants offsets to be
    static constexpr std::uint32_t kNaN = 0x7fc00000;
    static constexpr std::uint32_t kCanary = 0x7fa5c3e1;  // a signalling NaN no pooling makes

    std::size_t at(std::size_t i) const { return static_cast<std::size_t>(origin_ + layout_.offset(i)); }

    StridedLayout layout_;
    Aligned<std::uint32_t> bits_;
    std::vector<bool> element_;
    std::int64_t origin_;
};

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_CANARY_OUTPUT_HPP
