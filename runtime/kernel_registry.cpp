#include "kernel_registry.hpp"

#include "host_capabilities.hpp"

namespace halpool {

std::string missing_features(const KernelTable &table) {
    std::string missing;
    for (const char *const *feature = table.required_features; *feature; ++feature) {
        if (!host_has_feature(*feature)) missing += (missing.empty() ? "" : ", ") + std::string(*feature);
    }
    return missing;
}

}  // namespace halpool
