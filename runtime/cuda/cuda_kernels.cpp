// The host stub that Halide makes of a kernel calls, in this order: initialize_kernels once with the PTX text,
// then run once a launch, then finalize_kernels. Its user_context is the KernelRun of the call.
//
// In a CUDA graph's capture a call makes, when its kernel was prepared, these calls of the driver and no other:
// cuPointerGetAttributes, cuCtxPushCurrent, cuLaunchKernel, cuCtxPopCurrent; and cuCtxGetDevice for managed or
// mapped memory. cuLaunchKernel alone is captured, the others are allowed.
#include "cuda_kernels.hpp"

#include "cuda_memory.hpp"

#include <cstring>
#include <exception>
#include <iterator>
#include <map>
#include <ostream>
#include <utility>
#include <vector>

namespace halpool::cuda {
namespace {

struct Function {
    const char *name;  // in the stub's constants
    CUfunction handle;
    int threads;              // of a block: what the function's registers allow
    int static_shared_bytes;  // of a block: what it has besides the dynamic memory of a launch
};

// The code of one stub on one device, compiled by the driver on first use. That can take a tenth of a second, so
// each has its own lock: meanwhile other kernels can be launched.
class Module {
public:
    void load(const Installation &cuda, const Device &device, const char *source, int size) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (handle) return;
        // The driver reads text to its NUL, which Halide counts as part of the text.
        require(size > 0 && source[size - 1] == '\0', HALPOOL_ERROR_INTERNAL, "the kernel's PTX text has no end");
        char log[256] = {};
        CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
        void *values[] = {log, reinterpret_cast<void *>(sizeof log - 1)};
        const OutsideCapture allowed(cuda.driver);
        const CUresult result =
            cuda.driver.cuModuleLoadDataEx(&handle, source, std::size(options), options, values);
        if (result == CUDA_SUCCESS) return;
        handle = nullptr;
        Failure failure = failure_of(
            cuda.driver, result, text("loading the kernel on device ", device.ordinal, " (", device.name, ")"));
        if (log[0]) failure.message += text(". The compiler says: ", log);
        throw failure;
    }

    Function function(const Driver &driver, const char *name) {
        const std::lock_guard<std::mutex> lock(mutex);
        for (const Function &known : functions)
            if (std::strcmp(known.name, name) == 0) return known;
        Function added{name, nullptr, 0, 0};
        const OutsideCapture allowed(driver);
        check(driver, driver.cuModuleGetFunction(&added.handle, handle, name), "cuModuleGetFunction");
        // A driver that loads lazily would else do it in the first launch, perhaps in a capture.
        if (driver.cuFuncLoad) check(driver, driver.cuFuncLoad(added.handle), "cuFuncLoad");
        check(driver,
              driver.cuFuncGetAttribute(&added.threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, added.handle),
              "cuFuncGetAttribute");
        check(driver,
              driver.cuFuncGetAttribute(&added.static_shared_bytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES,
                                        added.handle),
              "cuFuncGetAttribute");
        functions.push_back(added);
        return added;
    }

private:
    std::mutex mutex;
    CUmodule handle = nullptr;
    std::vector<Function> functions;
};

// Never unloaded, and the table leaked: at exit the driver may be gone before us.
Module &module_of(const Device &device, const char *source) {
    static std::mutex &mutex = *new std::mutex;
    static auto &modules = *new std::map<std::pair<int, const char *>, Module>;
    const std::lock_guard<std::mutex> lock(mutex);
    return modules[{device.ordinal, source}];
}

struct KernelRun {
    const Installation &cuda;
    const Device &device;
    const DeviceLaunch &launch;
    Module *module = nullptr;
    std::exception_ptr failure = nullptr;  // the first
};

// The stub is C code that an exception must not cross, and one without assertions goes on when a call has failed.
template <class Body>
int in_run(void *user_context, Body body) noexcept {
    KernelRun &run = *static_cast<KernelRun *>(user_context);
    if (!run.failure) {
        try {
            body(run);
        } catch (...) {
            run.failure = std::current_exception();
        }
    }
    return run.failure ? -1 : 0;
}

struct Extents {
    int value[3];
    bool any_empty() const { return value[0] <= 0 || value[1] <= 0 || value[2] <= 0; }
    bool within(const Extents &limit) const {
        return value[0] <= limit.value[0] && value[1] <= limit.value[1] && value[2] <= limit.value[2];
    }
    long long product() const { return 1ll * value[0] * value[1] * value[2]; }
};

std::ostream &operator<<(std::ostream &out, const Extents &extents) {
    return out << extents.value[0] << " x " << extents.value[1] << " x " << extents.value[2];
}

void require_fits(const Device &device, const Function &function, const Extents &blocks, const Extents &threads,
                  int shared_bytes) {
    require(blocks.within({{device.grid[0], device.grid[1], device.grid[2]}}), HALPOOL_ERROR_UNSUPPORTED,
            "the problem needs ", blocks, " blocks, more than device ", device.ordinal, " takes");
    require(threads.within({{device.block[0], device.block[1], device.block[2]}}) &&
                threads.product() <= function.threads,
            HALPOOL_ERROR_UNSUPPORTED, "the kernel needs blocks of ", threads, " threads; device ", device.ordinal,
            " takes ", function.threads, " of this kernel");
    require(1ll * shared_bytes + function.static_shared_bytes <= device.shared_bytes, HALPOOL_ERROR_UNSUPPORTED,
            "the kernel needs ", shared_bytes, " bytes of shared memory a block; device ", device.ordinal, " has ",
            device.shared_bytes);
}

// A misaligned address would be found by the device only, and would end its work for the rest of the process.
CUdeviceptr argument_of(const KernelBuffer &buffer) {
    const CUdeviceptr address = address_of(*reinterpret_cast<const DeviceRange *>(buffer.device));
    const unsigned bytes = (buffer.type.bits + 7u) / 8u;
    require(address % bytes == 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the pointer ",
            reinterpret_cast<const void *>(address), " is not a multiple of the element's ", bytes, " bytes");
    return address;
}

}  // namespace

void run(const Installation &cuda, const DeviceLaunch &launch) {
    const Device &device =
        launch.prepare_only ? cuda.current_device() : device_of(cuda, *launch.input, *launch.output);
    const CurrentContext current(cuda.driver, device.primary_context(cuda.driver));
    KernelRun run{cuda, device, launch};
    const void *user_context = &run;
    launch.arguments[kUserContext] = &user_context;
    const int result = launch.entry(launch.arguments);
    if (run.failure) std::rethrow_exception(run.failure);
    require(result == 0, HALPOOL_ERROR_INTERNAL, "the kernel's host code returned ", result);
}

}  // namespace halpool::cuda

// What objcopy has the stubs call in place of Halide's runtime; see cmake/kernels.cmake.
using namespace halpool;
using namespace halpool::cuda;

extern "C" {

// `state` is a variable of the stub's that all threads share: it stays as it is.
int halpool_cuda_initialize_kernels(void *user_context, void **, const char *source, int size) {
    return in_run(user_context, [&](KernelRun &run) {
        Module &module = module_of(run.device, source);
        module.load(run.cuda, run.device, source, size);
        run.module = &module;
    });
}

int halpool_cuda_run(void *user_context, void *, const char *entry_name, int blocks_x, int blocks_y, int blocks_z,
                     int threads_x, int threads_y, int threads_z, int shared_bytes, std::size_t argument_sizes[],
                     void *arguments[], std::int8_t argument_is_buffer[]) {
    return in_run(user_context, [&](KernelRun &run) {
        const Driver &driver = run.cuda.driver;
        const Extents blocks{{blocks_x, blocks_y, blocks_z}}, threads{{threads_x, threads_y, threads_z}};
        require(run.module != nullptr, HALPOOL_ERROR_INTERNAL, "the kernel's code was not loaded");
        const Function function = run.module->function(driver, entry_name);
        if (blocks.any_empty() || threads.any_empty()) return;
        require_fits(run.device, function, blocks, threads, shared_bytes);
        if (run.launch.prepare_only) return;

        constexpr std::size_t kMostArguments = 64;
        void *parameters[kMostArguments];
        CUdeviceptr addresses[kMostArguments];
        std::size_t count = 0;
        for (; argument_sizes[count] != 0; ++count) {
            require(count < kMostArguments, HALPOOL_ERROR_INTERNAL, "the kernel has more than ", kMostArguments,
                    " arguments");
            parameters[count] = arguments[count];
            if (argument_is_buffer[count]) {
                addresses[count] = argument_of(*static_cast<const KernelBuffer *>(arguments[count]));
                parameters[count] = &addresses[count];
            }
        }
        check(driver,
              driver.cuLaunchKernel(function.handle, blocks_x, blocks_y, blocks_z, threads_x, threads_y, threads_z,
                                    shared_bytes, static_cast<CUstream>(run.launch.stream), parameters, nullptr),
              "cuLaunchKernel");
    });
}

void halpool_cuda_finalize_kernels(void *, void *) {}

const void *halpool_cuda_device_interface() { return nullptr; }

int halpool_cuda_copy_to_device(void *, KernelBuffer *, const void *) { return 0; }

}  // extern "C"
