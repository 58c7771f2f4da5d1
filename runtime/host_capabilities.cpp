#include "host_capabilities.hpp"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#include <sys/prctl.h>
#endif

#include <cstdint>
#include <vector>

namespace halpool {
namespace {

#if defined(__riscv) && defined(__linux__)
// The length of a vector register in bits, or 0 where this process may not use version 1.0 of the vector extension.
unsigned long riscv_vector_bits() {
    if (((getauxval(AT_HWCAP) >> ('v' - 'a')) & 1) == 0) return 0;
    constexpr int get_control = 70, off = 1;  // PR_RISCV_V_GET_CONTROL; kernels that do not know it never switch off
    const int control = prctl(get_control, 0, 0, 0, 0);
    if (control >= 0 && (control & 3) == off) return 0;
    // Kernels older than 6.5 report V for draft 0.7 too, in which this type (e32, m1, ta, ma) is invalid.
    constexpr unsigned long e32 = 0xd0;
    unsigned long length, type, bytes;
    __asm__ volatile(
        ".insn i 0x57, 7, %0, x0, 0xd0\n\t"  // vsetvli
        "csrr %1, 0xc21\n\t"                 // vtype
        "csrr %2, 0xc22"                      // vlenb
        : "=&r"(length), "=&r"(type), "=r"(bytes));
    return type == e32 ? 8 * bytes : 0;
}
#endif

std::vector<const char *> find_features() {
    std::vector<const char *> found;
    [[maybe_unused]] const auto add = [&](bool has, const char *name) {
        if (has) found.push_back(name);
    };
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
#elif defined(__aarch64__) && defined(__linux__)
    const unsigned long hwcap = getauxval(AT_HWCAP);
    add(hwcap & HWCAP_ASIMD, "asimd");
    add(hwcap & HWCAP_ASIMDHP, "asimdhp");
#elif defined(__riscv) && defined(__linux__)
    // Kernels emitted for one length are wrong at another: each length is a feature of its own.
    const unsigned long vector_bits = riscv_vector_bits();
    add(vector_bits != 0, "rvv");
    add(vector_bits == 128, "vlen128");
    add(vector_bits == 256, "vlen256");
    add(vector_bits == 512, "vlen512");
    add(vector_bits == 1024, "vlen1024");
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
