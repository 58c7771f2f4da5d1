// An output tensor in the middle of canaries: the zones around it and the gaps between its elements must stay as
// they were.
#ifndef HALPOOL_TESTS_CANARY_OUTPUT_HPP
#define HALPOOL_TESTS_CANARY_OUTPUT_HPP

#include "aligned_floats.hpp"
#include "element.hpp"
#include "strided_layout.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace halpool_test {

template <class T>
class CanaryOutputOf {
public:
    using Bits = std::conditional_t<sizeof(T) == 1, std::uint8_t,
                 std::conditional_t<sizeof(T) == 2, std::uint16_t,
                 std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>>;

    explicit CanaryOutputOf(StridedLayout layout)
        : layout_(std::move(layout)), bits_(layout_.span() + 2 * kZone, kCanary),
          element_(bits_.size(), false), origin_(static_cast<std::int64_t>(kZone) - layout_.lowest()) {
        for (std::size_t i = 0; i < layout_.count(); ++i) element_[at(i)] = true;
    }

    T *data() { return reinterpret_cast<T *>(bits_.data()) + origin_; }
    const StridedLayout &layout() const { return layout_; }
    // All of it, canaries included, and where element [0, 0, 0, 0] lies in it: what a device gets a copy of.
    void *memory() { return bits_.data(); }
    std::size_t memory_bytes() const { return bits_.size() * sizeof(Bits); }
    std::size_t offset_bytes() const { return static_cast<std::size_t>(origin_) * sizeof(Bits); }
    void refill() { std::fill(bits_.begin(), bits_.end(), kCanary); }

    T value(std::size_t i) const {
        T element;
        std::memcpy(&element, &bits_[at(i)], sizeof element);
        return element;
    }
    Bits bits(std::size_t i) const { return bits_[at(i)]; }
    // Of types of fewer than 32 bits an element may have the canary's bits by chance.
    bool written(std::size_t i) const { return bits(i) != kCanary; }
    bool untouched() const {
        for (const Bits bits : bits_)
            if (bits != kCanary) return false;
        return true;
    }
    // Empty when nothing outside the tensor's own elements was written.
    std::string damage() const {
        for (std::size_t i = 0; i < bits_.size(); ++i)
            if (!element_[i] && bits_[i] != kCanary)
                return "wrote outside the output, " + std::to_string(static_cast<std::int64_t>(i) - origin_) +
                       " elements from its first one";
        return {};
    }
    // The values in C order, as bits; all NaNs as one, since IEEE leaves a NaN's sign and payload open.
    std::vector<Bits> all_bits() const {
        std::vector<Bits> all(layout_.count());
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = written(i) && is_nan(value(i)) ? kNaN : bits(i);
        return all;
    }

private:
    static constexpr std::size_t kZone = 512;  // in bytes a multiple of what any device wants offsets to be
    static constexpr auto kNaN = static_cast<Bits>(~Bits{0} >> 1);
    static constexpr auto kCanary = static_cast<Bits>(0x7ff5c3e17fa5c3e1);  // as float, a signalling NaN no pooling makes

    std::size_t at(std::size_t i) const { return static_cast<std::size_t>(origin_ + layout_.offset(i)); }

    StridedLayout layout_;
    Aligned<Bits> bits_;
    std::vector<bool> element_;
    std::int64_t origin_;
};
using CanaryOutput = CanaryOutputOf<float>;

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_CANARY_OUTPUT_HPP
