// Problems of every window class, so that each kernel of either layout takes one: for tests that ask something of all kernels.
#ifndef HALPOOL_TESTS_EVERY_WINDOW_CLASS_HPP
#define HALPOOL_TESTS_EVERY_WINDOW_CLASS_HPP

#include "problem.hpp"

#include <vector>

namespace halpool_test {

inline std::vector<Problem> problems_of_every_window_class(std::int64_t channels) {
    const Ints shape = {2, channels, 30, 45};
    std::vector<Problem> all = {{shape, {2}, {2}},
                                {shape, {3}, {1}, {1}, false, false},
                                {shape, {3}, {2}, {1}, true},
                                {shape, {5}, {1}, {2}, false, false},
                                {shape, {5}, {2}, {2}, true},
                                {shape, {2}, {1}},
                                {shape, {4}, {2}, {1}},
                                {shape, {5}, {3}, {1}, false, false},
                                {shape, {30, 45}},
                                {shape, {7, 5}, {2, 3}, {3, 2}},
                                {shape, {25}, {1}, {12}}};
    // Side by side: of each width that has a kernel, and of another.
    for (std::int64_t columns = 2; columns <= 9; ++columns) all.push_back({shape, {3, columns}});
    // Rows of whole cache lines, for kernels that write past the caches; of half a line too much.
    for (std::int64_t columns : {96, 144}) {
        const Ints lines = {2, channels, 10, columns};
        all.insert(all.end(), {{lines, {2}, {2}}, {lines, {3}, {1}, {1}}, {lines, {3}, {2}, {1}, false, false}});
    }
    // Planes of the extents that have kernels.
    for (std::int64_t plane : {7, 14}) all.push_back({{2, channels, plane, plane}, {3}, {1}, {1}});
    return all;
}

}  // namespace halpool_test

#endif
