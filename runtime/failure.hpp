// How the runtime reports an error inside itself: a Failure is thrown where the fault is found and becomes a status and
// a message at the C ABI, which no exception crosses.
#ifndef HALPOOL_RUNTIME_FAILURE_HPP
#define HALPOOL_RUNTIME_FAILURE_HPP

#include <halpool/halpool.h>

#include <sstream>
#include <string>
#include <utility>

namespace halpool {

struct Failure {
    halpool_status status;
    std::string message;
};

template <class... Parts>
std::string text(const Parts &...parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

template <class... Parts>
void require(bool condition, halpool_status status, const Parts &...parts) {
    if (!condition) throw Failure{status, text(parts...)};
}

}  // namespace halpool

#endif
