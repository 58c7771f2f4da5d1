// Runs a kernel: its host stub calls back into the functions here, which load its code and launch it.
#ifndef HALPOOL_RUNTIME_CUDA_KERNELS_HPP
#define HALPOOL_RUNTIME_CUDA_KERNELS_HPP

#include "cuda_devices.hpp"

namespace halpool::cuda {

void run(const Installation &cuda, const DeviceLaunch &launch);

}  // namespace halpool::cuda

#endif
