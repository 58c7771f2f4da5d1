// The kernels' side: what a kernel's host part calls (see cmake/archives.cmake) while DeviceApi::run runs it.
#ifndef HALPOOL_RUNTIME_VULKAN_KERNELS_HPP
#define HALPOOL_RUNTIME_VULKAN_KERNELS_HPP

#include "device_api.hpp"
#include "vulkan_device.hpp"

namespace halpool::vulkan {

// Runs the kernel to its end, or prepares it. Throws Failure.
void run_kernel(Device &device, const DeviceLaunch &launch);

// All that were loaded, before the device is destroyed.
void destroy_kernels();

}  // namespace halpool::vulkan

#endif
