// The kernels this program was linked with.
#ifndef HALPOOL_RUNTIME_KERNEL_REGISTRY_HPP
#define HALPOOL_RUNTIME_KERNEL_REGISTRY_HPP

#include "device_api.hpp"

#include <halpool/internal/kernel_convention.h>

#include <string>
#include <vector>

namespace halpool {

// Generated (cmake/kernel_manifest.py): the components of this build, those of the CPU first, ended by a null pointer.
extern const KernelComponent *const avg_pool2d_components[];

// The last row of every list: plain C++ that takes every valid problem (reference_kernel.hpp), by DTypeFacts::references.
inline constexpr const char *kReferenceTarget = "portable";

struct LinkedTable {
    const DeviceApi *device;  // null: the CPU
    const KernelTable *table;
};

// The tables that the program links, in order of preference on each device. Made once.
const std::vector<LinkedTable> &linked_tables();

// The devices of these tables; without the CPU. Made once.
const std::vector<const DeviceApi *> &linked_devices();
// Null when the program links nothing for the device.
const DeviceApi *linked_device(std::int32_t device);
// Throws Failure, with the reason, when nothing is linked for it or it is not available. `device` is not the CPU.
const DeviceApi *require_device(std::int32_t device);

std::int32_t device_of(const DeviceApi *device);  // a halpool_device
const char *device_name(std::int32_t device);     // "cpu", "cuda", ...; null: no such device

// Empty when kernels of this target can run here, else what is missing, in words.
std::string target_objection(const LinkedTable &linked);

}  // namespace halpool

#endif
