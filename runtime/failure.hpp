// How the runtime reports an error inside itself: a Failure is thrown where the fault is found and becomes a status and
// a message at the C ABI, which no exception crosses.
#ifndef HALPOOL_RUNTIME_FAILURE_HPP
#define HALPOOL_RUNTIME_FAILURE_HPP

#include <halpool/halpool.h>

#include <cstdio>
#include <exception>
#include <new>
#include <sstream>
#include <string>

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

inline halpool_status report(halpool_error *error, halpool_status status, const char *message) {
    if (error) {
        error->status = status;
        std::snprintf(error->message, sizeof error->message, "%s", message);
    }
    return status;
}

// Runs body() where no exception may leave: at the C ABI, and between the runtime and a device's launcher.
template <class Body>
halpool_status guarded(halpool_error *error, Body body) noexcept {
    try {
        body();
        if (error) {  // without report's formatting, which costs as much as a small kernel
            error->status = HALPOOL_OK;
            error->message[0] = '\0';
        }
        return HALPOOL_OK;
    } catch (const Failure &failure) {
        return report(error, failure.status, failure.message.c_str());
    } catch (const std::bad_alloc &) {
        return report(error, HALPOOL_ERROR_OUT_OF_MEMORY, "out of memory");
    } catch (const std::exception &exception) {
        return report(error, HALPOOL_ERROR_INTERNAL, exception.what());
    } catch (...) {
        return report(error, HALPOOL_ERROR_INTERNAL, "unknown exception");
    }
}

}  // namespace halpool

#endif
