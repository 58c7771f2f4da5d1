// Extents and memory as kernels take them.
#ifndef HALPOOL_RUNTIME_KERNEL_BUFFERS_HPP
#define HALPOOL_RUNTIME_KERNEL_BUFFERS_HPP

#include <halpool/internal/kernel_convention.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace halpool {

inline std::int32_t narrow(std::int64_t value) { return static_cast<std::int32_t>(value); }  // the selector checked the size

// Kernels take all they read by pointer to non-const, and write to nothing but the output's memory.
template <std::size_t rank>
KernelBuffer kernel_buffer(const void *host, const KernelType &type, const std::array<KernelDimension, rank> &dimensions) {
    return {0, nullptr, const_cast<void *>(host), 0, type, static_cast<std::int32_t>(rank),
            const_cast<KernelDimension *>(dimensions.data()), nullptr};
}

// Dense, innermost first.
inline std::array<KernelDimension, 4> dense(const std::array<std::int64_t, 4> &extents) {
    std::array<KernelDimension, 4> dimensions{};
    std::int64_t stride = 1;
    for (std::size_t i = 0; i < 4; ++i) {
        dimensions[i] = {0, narrow(extents[i]), narrow(stride), 0};
        stride *= extents[i];
    }
    return dimensions;
}

}  // namespace halpool

#endif
