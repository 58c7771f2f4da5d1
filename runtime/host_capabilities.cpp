#include "host_capabilities.hpp"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdint>
#include <vector>

namespace halpool {
namespace {

std::vector<const char *> find_features() {
    std::vector<const char *> found;
#if defined(__x86_64__)
    struct Registers {
        unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    };
    const auto leaf = [](unsigned number) {
        Registers r;
        if (!__get_cpuid_count(number, 0, &r.eax, &r.ebx, &r.ecx, &r.edx)) r = {};
        return r;
    };
    const Registers one = leaf(1), seven = leaf(7);
    const auto bit = [](unsigned value, int n) { return (value >> n & 1u) != 0; };

    // CPUID says what the CPU can do; XCR0 which registers the operating system saves. Both must agree.
    std::uint64_t saved = 0;
    if (bit(one.ecx, 27)) {
        unsigned low = 0, high = 0;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        saved = low | std::uint64_t{high} << 32;
    }
    const bool ymm = (saved & 0x06) == 0x06, zmm = (saved & 0xe6) == 0xe6;

    const auto add = [&](bool has, const char *name) {
        if (has) found.push_back(name);
    };
    add(bit(one.ecx, 19), "sse41");
    add(ymm && bit(one.ecx, 28), "avx");
    add(ymm && bit(one.ecx, 12), "fma");
    add(ymm && bit(one.ecx, 29), "f16c");
    add(ymm && bit(seven.ebx, 5), "avx2");
    add(zmm && bit(seven.ebx, 16), "avx512f");
    add(zmm && bit(seven.ebx, 17), "avx512dq");
    add(zmm && bit(seven.ebx, 28), "avx512cd");
    add(zmm && bit(seven.ebx, 30), "avx512bw");
    add(zmm && bit(seven.ebx, 31), "avx512vl");
#endif
    return found;
}

const std::vector<const char *> &features() {
    static const std::vector<const char *> found = find_features();
    return found;
}

}  // namespace

bool host_has_feature(const char *name) {
    for (const char *feature : features()) {
        if (std::strcmp(feature, name) == 0) return true;
    }
    return false;
}

const std::string &host_features() {
    static const std::string all = [] {
        std::string out;
        for (const char *feature : features()) out += (out.empty() ? "" : " ") + std::string(feature);
        return out;
    }();
    return all;
}

}  // namespace halpool
