#include "cuda_driver.hpp"

#include <dlfcn.h>

namespace halpool::cuda {
namespace {

struct Meaning {
    halpool_status status;
    const char *advice;
};

Meaning meaning_of(CUresult result) {
    switch (result) {
    case CUDA_ERROR_OUT_OF_MEMORY: return {HALPOOL_ERROR_OUT_OF_MEMORY, ""};
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
        return {HALPOOL_ERROR_UNSUPPORTED, "; this driver cannot compile the kernel: update the NVIDIA driver"};
    case CUDA_ERROR_JIT_COMPILER_NOT_FOUND:
        return {HALPOOL_ERROR_UNSUPPORTED,
                "; the driver's compiler, libnvidia-ptxjitcompiler.so, is missing: reinstall the NVIDIA driver"};
    case CUDA_ERROR_JIT_COMPILATION_DISABLED: return {HALPOOL_ERROR_UNSUPPORTED, "; unset CUDA_DISABLE_PTX_JIT"};
    case CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES:
        return {HALPOOL_ERROR_UNSUPPORTED, "; the kernel's blocks are too large for this device"};
    case CUDA_ERROR_INVALID_CONTEXT:
    case CUDA_ERROR_INVALID_HANDLE:
        return {HALPOOL_ERROR_INVALID_ARGUMENT,
                "; the stream must be a live one of the primary context of the device that holds the data"};
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
        return {HALPOOL_ERROR_DEVICE,
                "; the primary context was destroyed (cudaDeviceReset?) after halpool used it"};
    // After these every further call in the process fails with the same result.
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_CONTAINED:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
        return {HALPOOL_ERROR_DEVICE,
                "; this or an earlier call's kernel failed: the process must restart to use the device again"};
    default:
        if (result >= CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED && result <= CUDA_ERROR_CAPTURED_EVENT)
            return {HALPOOL_ERROR_INVALID_ARGUMENT, "; the call is not allowed while this stream is captured"};
        return {HALPOOL_ERROR_DEVICE, ""};
    }
}

}  // namespace

std::string load_driver(Driver &driver) {
    void *library = nullptr;
    std::string reason;
    for (const char *name : kDriverLibraries) {
        library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        if (library) break;
        const char *error = dlerror();
        if (reason.empty()) reason = text("no NVIDIA driver: ", error ? error : name);
    }
    if (!library) return reason;

#define HALPOOL_CUDA_LOAD(name, parameters) \
    driver.name = reinterpret_cast<decltype(driver.name)>(dlsym(library, #name));
#define HALPOOL_CUDA_LOAD_REQUIRED(name, parameters) \
    HALPOOL_CUDA_LOAD(name, parameters)              \
    if (!driver.name) return "the NVIDIA driver is too old: its libcuda has no " #name "; update it";
    HALPOOL_CUDA_REQUIRED_FUNCTIONS(HALPOOL_CUDA_LOAD_REQUIRED)
    HALPOOL_CUDA_OPTIONAL_FUNCTIONS(HALPOOL_CUDA_LOAD)
#undef HALPOOL_CUDA_LOAD_REQUIRED
#undef HALPOOL_CUDA_LOAD
    return "";
}

std::string name_of(const Driver &driver, CUresult result) {
    const char *name = nullptr, *meaning = nullptr;
    if (driver.cuGetErrorName(result, &name) != CUDA_SUCCESS || !name) name = "CUDA error";
    if (driver.cuGetErrorString(result, &meaning) != CUDA_SUCCESS || !meaning) meaning = "unknown to this driver";
    return text(name, " (", static_cast<int>(result), ": ", meaning, ")");
}

Failure failure_of(const Driver &driver, CUresult result, const std::string &doing) {
    const Meaning meaning = meaning_of(result);
    return {meaning.status, text(doing, ": ", name_of(driver, result), meaning.advice)};
}

}  // namespace halpool::cuda
