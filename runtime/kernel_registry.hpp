// The kernels this program was linked with.
#ifndef HALPOOL_RUNTIME_KERNEL_REGISTRY_HPP
#define HALPOOL_RUNTIME_KERNEL_REGISTRY_HPP

#include <halpool/internal/kernel_convention.h>

#include <string>

// Generated (cmake/kernel_manifest.py): the tables of the targets that were built, best first, ended by a null pointer.
extern "C" const halpool::KernelTable *const halpool_avg_pool2d_tables[];

namespace halpool {

// The last row of every list: plain C++ that takes every valid problem (reference_kernel.hpp).
inline constexpr const char *kReferenceName = "avg_pool2d_f32_reference";
inline constexpr const char *kReferenceTarget = "portable";

// Empty when this host can run the target's kernels, else what it lacks.
std::string missing_features(const KernelTable &table);

}  // namespace halpool

#endif
