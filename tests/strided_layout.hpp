// Where the elements of a tensor lie, in floats from element [0, 0, 0, 0].
#ifndef HALPOOL_TESTS_STRIDED_LAYOUT_HPP
#define HALPOOL_TESTS_STRIDED_LAYOUT_HPP

#include "problem.hpp"

#include <algorithm>
#include <cstddef>

namespace halpool_test {

struct StridedLayout {
    Ints shape, strides;

    halpool_tensor_desc desc(halpool_dtype dtype = HALPOOL_FLOAT32) const {
        return {dtype, static_cast<std::int32_t>(shape.size()), shape.data(), strides.data()};
    }
    std::size_t count() const {
        std::size_t n = 1;
        for (const std::int64_t extent : shape) n *= static_cast<std::size_t>(extent);
        return n;
    }
    // The lowest and the highest element. Strides may be negative.
    std::int64_t lowest() const { return reach([](std::int64_t a) { return std::min<std::int64_t>(a, 0); }); }
    std::int64_t highest() const { return reach([](std::int64_t a) { return std::max<std::int64_t>(a, 0); }); }
    // Floats from the lowest element to the highest, both included.
    std::size_t span() const { return count() == 0 ? 0 : static_cast<std::size_t>(highest() - lowest() + 1); }

    // The offset of the i-th element in C order.
    std::int64_t offset(std::size_t i) const {
        std::int64_t at = 0;
        for (std::size_t axis = shape.size(); axis-- > 0;) {
            const auto extent = static_cast<std::size_t>(shape[axis]);
            at += static_cast<std::int64_t>(i % extent) * strides[axis];
            i /= extent;
        }
        return at;
    }

private:
    template <class Side> std::int64_t reach(Side side) const {
        std::int64_t sum = 0;
        for (std::size_t axis = 0; axis < shape.size(); ++axis) sum += side((shape[axis] - 1) * strides[axis]);
        return count() == 0 ? 0 : sum;
    }
};

// Dense memory with the axes in this order, outermost first.
inline StridedLayout dense(const Ints &shape, const std::vector<std::size_t> &order) {
    StridedLayout layout{shape, Ints(shape.size())};
    std::int64_t next = 1;
    for (std::size_t i = order.size(); i-- > 0;) {
        layout.strides[order[i]] = next;
        next *= std::max<std::int64_t>(shape[order[i]], 1);
    }
    return layout;
}

inline StridedLayout planar(const Ints &shape) {
    return shape.size() == 4 ? dense(shape, {0, 1, 2, 3}) : dense(shape, {0, 1, 2});
}

inline StridedLayout channels_last(const Ints &shape) {
    return shape.size() == 4 ? dense(shape, {0, 2, 3, 1}) : dense(shape, {1, 2, 0});
}

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_STRIDED_LAYOUT_HPP
