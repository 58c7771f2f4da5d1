// What halpool needs of the CUDA driver API. It is declared here and loaded at run time, so that the library is
// built without a CUDA toolkit and starts without a driver. Names, values and types are those of cuda.h; a
// function bears the name of its symbol, which is not always the one that cuda.h shows (cuMemAlloc is a macro for
// cuMemAlloc_v2).
#ifndef HALPOOL_RUNTIME_CUDA_DRIVER_HPP
#define HALPOOL_RUNTIME_CUDA_DRIVER_HPP

#include "failure.hpp"

#include <cstddef>
#include <string>

namespace halpool::cuda {

using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st *;
using CUmodule = struct CUmod_st *;
using CUfunction = struct CUfunc_st *;
using CUstream = struct CUstream_st *;

// int underneath, as C's enumerations are: a newer driver may return values that are not listed.
enum CUresult : int {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_DEINITIALIZED = 4,
    CUDA_ERROR_STUB_LIBRARY = 34,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_INVALID_CONTEXT = 201,
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CUDA_ERROR_ECC_UNCORRECTABLE = 214,
    CUDA_ERROR_INVALID_PTX = 218,
    CUDA_ERROR_NVLINK_UNCORRECTABLE = 220,
    CUDA_ERROR_JIT_COMPILER_NOT_FOUND = 221,
    CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
    CUDA_ERROR_JIT_COMPILATION_DISABLED = 223,
    CUDA_ERROR_CONTAINED = 226,
    CUDA_ERROR_INVALID_HANDLE = 400,
    CUDA_ERROR_ILLEGAL_ADDRESS = 700,
    CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701,
    CUDA_ERROR_LAUNCH_TIMEOUT = 702,
    CUDA_ERROR_CONTEXT_IS_DESTROYED = 709,
    CUDA_ERROR_ASSERT = 710,
    CUDA_ERROR_HARDWARE_STACK_ERROR = 714,
    CUDA_ERROR_ILLEGAL_INSTRUCTION = 715,
    CUDA_ERROR_MISALIGNED_ADDRESS = 716,
    CUDA_ERROR_INVALID_ADDRESS_SPACE = 717,
    CUDA_ERROR_INVALID_PC = 718,
    CUDA_ERROR_LAUNCH_FAILED = 719,
    CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900,
    CUDA_ERROR_CAPTURED_EVENT = 907,
};

enum CUdevice_attribute : int {
    CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
    CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X = 2,
    CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y = 3,
    CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z = 4,
    CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X = 5,
    CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y = 6,
    CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z = 7,
    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK = 8,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
};

enum CUfunction_attribute : int {
    CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0,
    CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1,
};

enum CUpointer_attribute : int {
    CU_POINTER_ATTRIBUTE_CONTEXT = 1,
    CU_POINTER_ATTRIBUTE_MEMORY_TYPE = 2,
    CU_POINTER_ATTRIBUTE_DEVICE_POINTER = 3,
    CU_POINTER_ATTRIBUTE_IS_MANAGED = 8,
    CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL = 9,
    CU_POINTER_ATTRIBUTE_RANGE_START_ADDR = 11,
    CU_POINTER_ATTRIBUTE_RANGE_SIZE = 12,
};

enum CUmemorytype : unsigned int {
    CU_MEMORYTYPE_HOST = 1,
    CU_MEMORYTYPE_DEVICE = 2,
};

enum CUjit_option : int {
    CU_JIT_ERROR_LOG_BUFFER = 5,
    CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6,
};

enum CUstreamCaptureMode : int {
    CU_STREAM_CAPTURE_MODE_RELAXED = 2,
};

// FUNCTION(name, parameters): every driver since CUDA 7 has these.
#define HALPOOL_CUDA_REQUIRED_FUNCTIONS(FUNCTION)                                                                \
    FUNCTION(cuInit, (unsigned int flags))                                                                       \
    FUNCTION(cuDriverGetVersion, (int *version))                                                                 \
    FUNCTION(cuGetErrorName, (CUresult error, const char **name))                                                \
    FUNCTION(cuGetErrorString, (CUresult error, const char **text))                                              \
    FUNCTION(cuDeviceGetCount, (int *count))                                                                     \
    FUNCTION(cuDeviceGet, (CUdevice * device, int ordinal))                                                      \
    FUNCTION(cuDeviceGetName, (char *name, int size, CUdevice device))                                           \
    FUNCTION(cuDeviceGetAttribute, (int *value, CUdevice_attribute attribute, CUdevice device))                  \
    FUNCTION(cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))                                   \
    FUNCTION(cuCtxGetDevice, (CUdevice * device))                                                                \
    FUNCTION(cuCtxPushCurrent_v2, (CUcontext context))                                                           \
    FUNCTION(cuCtxPopCurrent_v2, (CUcontext * context))                                                          \
    FUNCTION(cuCtxSynchronize, ())                                                                               \
    FUNCTION(cuModuleLoadDataEx, (CUmodule * module, const void *image, unsigned int option_count,               \
                                  CUjit_option *options, void **values))                                         \
    FUNCTION(cuModuleGetFunction, (CUfunction * function, CUmodule module, const char *name))                    \
    FUNCTION(cuFuncGetAttribute, (int *value, CUfunction_attribute attribute, CUfunction function))              \
    FUNCTION(cuMemAlloc_v2, (CUdeviceptr * pointer, std::size_t bytes))                                          \
    FUNCTION(cuMemFree_v2, (CUdeviceptr pointer))                                                                \
    FUNCTION(cuMemcpyHtoD_v2, (CUdeviceptr to, const void *from, std::size_t bytes))                             \
    FUNCTION(cuMemcpyDtoH_v2, (void *to, CUdeviceptr from, std::size_t bytes))                                   \
    FUNCTION(cuPointerGetAttributes,                                                                             \
             (unsigned int count, CUpointer_attribute *attributes, void **values, CUdeviceptr pointer))          \
    FUNCTION(cuLaunchKernel,                                                                                     \
             (CUfunction function, unsigned int blocks_x, unsigned int blocks_y, unsigned int blocks_z,          \
              unsigned int threads_x, unsigned int threads_y, unsigned int threads_z, unsigned int shared_bytes, \
              CUstream stream, void **parameters, void **extra))

// Since CUDA 10.1 and 12.4; null in an older driver.
#define HALPOOL_CUDA_OPTIONAL_FUNCTIONS(FUNCTION)                             \
    FUNCTION(cuThreadExchangeStreamCaptureMode, (CUstreamCaptureMode * mode)) \
    FUNCTION(cuFuncLoad, (CUfunction function))

struct Driver {
#define HALPOOL_CUDA_MEMBER(name, parameters) CUresult(*name) parameters;
    HALPOOL_CUDA_REQUIRED_FUNCTIONS(HALPOOL_CUDA_MEMBER)
    HALPOOL_CUDA_OPTIONAL_FUNCTIONS(HALPOOL_CUDA_MEMBER)
#undef HALPOOL_CUDA_MEMBER
};

inline constexpr const char *kDriverLibraries[] = {"libcuda.so.1", "libcuda.so"};

// Loads the driver for the rest of the process, without initialising it. Gives an empty string, or why not.
std::string load_driver(Driver &driver);

// "CUDA_ERROR_NO_DEVICE (100: no CUDA-capable device is detected)"
std::string name_of(const Driver &driver, CUresult result);

// The Failure for a result: its status, what was being done, the driver's name for it, and what a user can do.
Failure failure_of(const Driver &driver, CUresult result, const std::string &doing);

inline void check(const Driver &driver, CUresult result, const char *doing) {
    if (result != CUDA_SUCCESS) throw failure_of(driver, result, doing);
}

}  // namespace halpool::cuda

#endif
