// What kernels may use on this host: instruction sets that the CPU has and the operating system saves.
#ifndef HALPOOL_RUNTIME_HOST_CAPABILITIES_HPP
#define HALPOOL_RUNTIME_HOST_CAPABILITIES_HPP

#include <string>

namespace halpool {

// Found out once, on first use. Names are those of schedules/targets.json.
bool host_has_feature(const char *name);

// All of them, separated by spaces.
const std::string &host_features();

}  // namespace halpool

#endif
