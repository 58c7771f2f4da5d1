// A tensor between two inaccessible pages: an access past the end that lies flush against a page crashes the test.
#ifndef HALPOOL_TESTS_GUARDED_MEMORY_HPP
#define HALPOOL_TESTS_GUARDED_MEMORY_HPP

#include "element.hpp"
#include "strided_layout.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <stdexcept>

namespace halpool_test {

enum class Flush { with_page_begin, with_page_end };
inline constexpr Flush kBothFlushes[] = {Flush::with_page_begin, Flush::with_page_end};

inline const char *name(Flush flush) {
    return flush == Flush::with_page_begin ? "flush with the page's begin" : "flush with the page's end";
}

class GuardedMemory {
public:
    GuardedMemory() : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {}
    ~GuardedMemory() { release(); }
    GuardedMemory(const GuardedMemory &) = delete;
    GuardedMemory &operator=(const GuardedMemory &) = delete;

    // Room for a tensor, with bits around its own elements that are NaN to all floats, so that a stray read shows in the
    // result too. Returns where the layout's element [0, 0, 0, 0] lies. The memory of the call before is gone.
    template <class T = float>
    T *place(const StridedLayout &layout, Flush flush) {
        const std::size_t bytes = layout.span() * sizeof(T);
        if (bytes > capacity_ || base_ == nullptr) reserve(bytes);
        const std::size_t poisoned = std::min(capacity_, bytes + kPoison);
        unsigned char *const first = flush == Flush::with_page_begin ? base_ : base_ + (capacity_ - bytes);
        unsigned char *const from = flush == Flush::with_page_begin ? base_ : base_ + (capacity_ - poisoned);
        std::memset(from, 0x7f, poisoned);
        if (Element<T>::kFloat) std::memset(from, 0xff, poisoned);
        return reinterpret_cast<T *>(first) - layout.lowest();
    }

private:
    static constexpr std::size_t kPoison = 4096;  // bytes

    void reserve(std::size_t least) {
        release();
        const std::size_t bytes = std::max<std::size_t>((least + page_ - 1) / page_, 1) * page_;
        void *const memory = mmap(nullptr, bytes + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
        mapped_ = memory;
        mapped_bytes_ = bytes + 2 * page_;
        base_ = static_cast<unsigned char *>(memory) + page_;
        capacity_ = bytes;
        if (mprotect(base_, bytes, PROT_READ | PROT_WRITE) != 0) throw std::runtime_error("mprotect failed");
    }
    void release() {
        if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
        mapped_ = nullptr;
        base_ = nullptr;
    }

    std::size_t page_;
    void *mapped_ = nullptr;
    std::size_t mapped_bytes_ = 0;
    unsigned char *base_ = nullptr;
    std::size_t capacity_ = 0;  // bytes
};

}  // namespace halpool_test

#endif  // HALPOOL_TESTS_GUARDED_MEMORY_HPP
