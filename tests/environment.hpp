// An environment variable for the length of a scope.
#ifndef HALPOOL_TESTS_ENVIRONMENT_HPP
#define HALPOOL_TESTS_ENVIRONMENT_HPP

#include <cstdlib>
#include <string>

namespace halpool_test {

class Environment {
public:
    Environment(const char *name, const char *value) : name_(name) {
        const char *const before = std::getenv(name);
        had_ = before != nullptr;
        if (had_) before_ = before;
        setenv(name, value, 1);
    }
    ~Environment() {
        if (had_) setenv(name_, before_.c_str(), 1);
        else unsetenv(name_);
    }
    Environment(const Environment &) = delete;
    Environment &operator=(const Environment &) = delete;

private:
    const char *name_;
    bool had_;
    std::string before_;
};

}  // namespace halpool_test

#endif
