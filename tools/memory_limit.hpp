// Linux grants memory that it does not have and kills the program that uses it: better to refuse such sizes first.
#ifndef HALPOOL_TOOLS_MEMORY_LIMIT_HPP
#define HALPOOL_TOOLS_MEMORY_LIMIT_HPP

#include <cstdint>
#include <string>

namespace halpool::cli {

// Throws std::runtime_error when `what` needs more bytes than this machine has.
void require_memory(std::uint64_t bytes, const std::string &what);

}  // namespace halpool::cli

#endif
