#include "memory_limit.hpp"

#include <unistd.h>

#include <stdexcept>

namespace halpool::cli {

void require_memory(std::uint64_t bytes, const std::string &what) {
    const long pages = ::sysconf(_SC_PHYS_PAGES), page_bytes = ::sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_bytes <= 0) return;
    const std::uint64_t memory = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
    if (bytes > memory)
        throw std::runtime_error(what + " needs " + std::to_string(bytes) +
                                 " bytes of memory, but this machine has " + std::to_string(memory));
}

}  // namespace halpool::cli
