// In the programs that this is part of, memory that the runtime takes from the aligned operator new that does not throw, which
// is that of the workspaces alone, lies between two inaccessible pages, all NaN: a kernel that leaves its workspace crashes the test,
// and one that computes from what it did not put there shows.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <utility>

namespace {

std::mutex mutex;
std::map<void *, std::pair<void *, std::size_t>> &mappings() {
    static auto *const all = new std::map<void *, std::pair<void *, std::size_t>>;  // outlives static plans
    return *all;
}

}  // namespace

void *operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t &) noexcept {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE)), align = static_cast<std::size_t>(alignment);
    const std::size_t inside = (bytes + page - 1) / page * page;
    void *const memory = mmap(nullptr, inside + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    char *const first = static_cast<char *>(memory) + page;
    if (mprotect(first, inside, PROT_READ | PROT_WRITE) != 0) return nullptr;
    void *const result = first + (inside - bytes) / align * align;
    std::fill_n(static_cast<float *>(result), bytes / sizeof(float), std::numeric_limits<float>::quiet_NaN());
    const std::lock_guard<std::mutex> lock(mutex);
    mappings()[result] = {memory, inside + 2 * page};
    return result;
}

void operator delete(void *memory, std::align_val_t) noexcept {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = mappings().find(memory);
    if (found == mappings().end()) return std::free(memory);  // of the operator new that throws
    munmap(found->second.first, found->second.second);
    mappings().erase(found);
}
