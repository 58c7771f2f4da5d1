#include "streaming.hpp"

#include <algorithm>

#if defined(__x86_64__)
#include <emmintrin.h>
#include <unistd.h>
#endif

namespace halpool {

std::int64_t least_streaming_bytes() {
    static const std::int64_t least = [] {
        // Caches that are larger are shared by many cores.
        constexpr std::int64_t most = 32 * 1024 * 1024;
        std::int64_t cache = most;
#if defined(_SC_LEVEL3_CACHE_SIZE)
        const std::int64_t told = sysconf(_SC_LEVEL3_CACHE_SIZE);
        if (told > 0) cache = std::min(told, most);
#endif
        return cache / 4 * 3;
    }();
    return least;
}

void finish_streaming() {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

}  // namespace halpool
