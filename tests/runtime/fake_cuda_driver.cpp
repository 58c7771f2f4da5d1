// A libcuda.so.1 for tests: its devices' memory is host memory, and a launch is recorded instead of run. It is as
// strict as the driver's documentation; fake_cuda_driver.hpp says how a test directs it.
#include "fake_cuda_driver.hpp"

#include "cuda/cuda_driver.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <sstream>
#include <type_traits>

// The handles' types, which cuda.h leaves incomplete too.
namespace halpool::cuda {
struct CUctx_st {
    int device;
};
struct CUmod_st {
    CUcontext context;
    std::string ptx;
};
struct CUfunc_st {
    CUmodule module;
    std::string name;
    std::vector<std::size_t> parameter_bytes;
};
struct CUstream_st {
    CUcontext context;
};
}  // namespace halpool::cuda

namespace {

using namespace halpool::cuda;
using namespace halpool_test;

constexpr int kMostDevices = 8;

struct Allocation {
    FakeMemory kind;
    CUcontext context;
    CUdeviceptr start;
    std::size_t bytes;
};

struct State {
    State() {
        for (int device = 0; device < kMostDevices; ++device) primary[device].device = device;
    }
    std::mutex mutex;
    pid_t initialised_by = 0;
    std::map<std::string, int> calls;
    std::vector<FakeLaunch> launches;
    CUctx_st primary[kMostDevices];
    std::deque<CUctx_st> contexts;
    std::deque<CUstream_st> streams;
    std::deque<CUmod_st> modules;
    std::deque<CUfunc_st> functions;
    std::vector<Allocation> allocations;
};

State &state() {
    static State *const made = new State;
    return *made;
}

thread_local std::vector<CUcontext> current_contexts;
thread_local CUstreamCaptureMode capture_mode{};  // CU_STREAM_CAPTURE_MODE_GLOBAL

CUcontext current() { return current_contexts.empty() ? nullptr : current_contexts.back(); }

int setting(const std::string &name, int otherwise) {
    const char *all = std::getenv("HALPOOL_FAKE_CUDA");
    std::istringstream settings(all ? all : "");
    for (std::string each; settings >> each;)
        if (each.compare(0, name.size() + 1, name + "=") == 0) return std::atoi(each.c_str() + name.size() + 1);
    return otherwise;
}

int device_count() { return setting("devices", 1); }

// Every function begins with this: counts the call, and gives the result that it is to return at once.
CUresult enter(const char *function, bool before_init = false) {
    {
        const std::lock_guard<std::mutex> lock(state().mutex);
        ++state().calls[function];
    }
    if (const int demanded = setting(function, 0)) return static_cast<CUresult>(demanded);
    if (!before_init && state().initialised_by != getpid()) return CUDA_ERROR_NOT_INITIALIZED;
    return CUDA_SUCCESS;
}

// The same for a function that a capture forbids.
CUresult enter_unless_capturing(const char *function) {
    const CUresult demanded = enter(function);
    const bool forbidden = setting("capturing", 0) && capture_mode != CU_STREAM_CAPTURE_MODE_RELAXED;
    return demanded == CUDA_SUCCESS && forbidden ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : demanded;
}

// The bytes of each parameter of an entry in PTX text. False where there is no such entry.
bool read_parameters(const std::string &ptx, const std::string &entry, std::vector<std::size_t> &bytes) {
    const std::size_t begin = ptx.find(".entry " + entry + "(");
    if (begin == std::string::npos) return false;
    std::istringstream list(ptx.substr(begin, ptx.find(')', begin) - begin));
    for (std::string line; std::getline(list, line);) {
        const std::size_t at = line.find(".param .");
        if (at == std::string::npos) continue;
        bytes.push_back(static_cast<std::size_t>(std::atoi(line.c_str() + at + 9)) / 8);  // behind ".param .u"
    }
    return true;
}

CUdeviceptr add_allocation(FakeMemory kind, CUcontext context, std::size_t bytes) {
    const std::size_t whole = (bytes + 255) / 256 * 256;
    void *const memory = std::aligned_alloc(256, whole);
    if (memory) std::memset(memory, 0, whole);  // no launch computes anything: what is read back is the same whenever it is
    const auto start = reinterpret_cast<CUdeviceptr>(memory);
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().allocations.push_back({kind, context, start, bytes});
    return start;
}

class Fake final : public FakeCuda {
    std::map<std::string, int> calls() override {
        const std::lock_guard<std::mutex> lock(state().mutex);
        return state().calls;
    }
    void forget_calls() override {
        const std::lock_guard<std::mutex> lock(state().mutex);
        state().calls.clear();
    }
    std::vector<FakeLaunch> launches() override {
        const std::lock_guard<std::mutex> lock(state().mutex);
        return state().launches;
    }
    void *primary_context(int device) override { return &state().primary[device]; }
    void *create_context(int device) override {
        const std::lock_guard<std::mutex> lock(state().mutex);
        state().contexts.push_back({device});
        return &state().contexts.back();
    }
    void *create_stream(void *context) override {
        const std::lock_guard<std::mutex> lock(state().mutex);
        state().streams.push_back({static_cast<CUcontext>(context)});
        return &state().streams.back();
    }
    void make_current(void *context) override {
        current_contexts.clear();
        if (context) current_contexts.push_back(static_cast<CUcontext>(context));
    }
    void *current_context() override { return current(); }
    void *allocate(FakeMemory kind, void *context, std::size_t bytes) override {
        return reinterpret_cast<void *>(add_allocation(kind, static_cast<CUcontext>(context), bytes));
    }
};

}  // namespace

#define FAKE_ENTER(function) \
    if (const CUresult demanded = enter(#function)) return demanded

extern "C" {
#pragma GCC visibility push(default)

FakeCuda *halpool_fake_cuda() {
    static Fake fake;
    return &fake;
}

CUresult cuInit(unsigned int) {
    if (const CUresult demanded = enter("cuInit", true)) return demanded;
    usleep(static_cast<useconds_t>(1000 * setting("milliseconds", 0)));
    pid_t &by = state().initialised_by;
    if (by != 0 && by != getpid()) return CUDA_ERROR_NOT_INITIALIZED;
    by = getpid();
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version) {
    if (const CUresult demanded = enter("cuDriverGetVersion", true)) return demanded;
    *version = setting("version", 13000);
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **name) {
    static const std::map<int, const char *> names = {{2, "CUDA_ERROR_OUT_OF_MEMORY"},
                                                      {3, "CUDA_ERROR_NOT_INITIALIZED"},
                                                      {100, "CUDA_ERROR_NO_DEVICE"},
                                                      {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
                                                      {400, "CUDA_ERROR_INVALID_HANDLE"},
                                                      {719, "CUDA_ERROR_LAUNCH_FAILED"},
                                                      {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"}};
    const auto found = names.find(error);
    *name = found == names.end() ? nullptr : found->second;
    return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **meaning) {
    const CUresult result = cuGetErrorName(error, meaning);
    if (*meaning) *meaning = "the fake driver's words";
    return result;
}

CUresult cuDeviceGetCount(int *count) {
    FAKE_ENTER(cuDeviceGetCount);
    *count = device_count();
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    FAKE_ENTER(cuDeviceGet);
    if (ordinal < 0 || ordinal >= device_count()) return static_cast<CUresult>(101);
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice) {
    FAKE_ENTER(cuDeviceGetName);
    std::snprintf(name, static_cast<std::size_t>(size), "Fake GPU");
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice) {
    FAKE_ENTER(cuDeviceGetAttribute);
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: *value = 64; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: *value = 2147483647; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y: *value = 65535; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: *value = 65535; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *value = 49152; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = setting("capability", 90) / 10; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = setting("capability", 90) % 10; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device) {
    FAKE_ENTER(cuCtxGetDevice);
    if (!current()) return CUDA_ERROR_INVALID_CONTEXT;
    *device = current()->device;
    return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
    FAKE_ENTER(cuCtxPushCurrent_v2);
    current_contexts.push_back(context);
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    FAKE_ENTER(cuCtxPopCurrent_v2);
    if (!current()) return CUDA_ERROR_INVALID_CONTEXT;
    *context = current();
    current_contexts.pop_back();
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
    FAKE_ENTER(cuCtxSetCurrent);
    if (!current_contexts.empty()) current_contexts.pop_back();
    if (context) current_contexts.push_back(context);
    return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize() {
    FAKE_ENTER(cuCtxSynchronize);
    return current() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int option_count, CUjit_option *options,
                            void **values) {
    const CUresult result = enter_unless_capturing("cuModuleLoadDataEx");
    const std::string text = static_cast<const char *>(image);
    if (result != CUDA_SUCCESS || text.find(".version ") == std::string::npos) {
        char *log = nullptr;
        std::size_t bytes = 0;
        for (unsigned int i = 0; i < option_count; ++i) {
            if (options[i] == CU_JIT_ERROR_LOG_BUFFER) log = static_cast<char *>(values[i]);
            if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) bytes = reinterpret_cast<std::size_t>(values[i]);
        }
        if (log) std::snprintf(log, bytes, "the fake compiler's log");
        return result != CUDA_SUCCESS ? result : CUDA_ERROR_INVALID_PTX;
    }
    if (!current()) return CUDA_ERROR_INVALID_CONTEXT;
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().modules.push_back({current(), text});
    *module = &state().modules.back();
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    if (const CUresult demanded = enter_unless_capturing("cuModuleGetFunction")) return demanded;
    std::vector<std::size_t> bytes;
    if (!read_parameters(module->ptx, name, bytes)) return static_cast<CUresult>(500);
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().functions.push_back({module, name, bytes});
    *function = &state().functions.back();
    return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction) {
    FAKE_ENTER(cuFuncGetAttribute);
    *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? setting("threads", 1024) : 0;
    return CUDA_SUCCESS;
}

CUresult cuFuncLoad(CUfunction) {
    if (const CUresult demanded = enter_unless_capturing("cuFuncLoad")) return demanded;
    return CUDA_SUCCESS;
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode) {
    FAKE_ENTER(cuThreadExchangeStreamCaptureMode);
    std::swap(capture_mode, *mode);
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *pointer, std::size_t bytes) {
    FAKE_ENTER(cuMemAlloc_v2);
    if (!current()) return CUDA_ERROR_INVALID_CONTEXT;
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    *pointer = add_allocation(FakeMemory::device, current(), bytes);
    return CUDA_SUCCESS;
}

CUresult cuMemFree_v2(CUdeviceptr pointer) {
    FAKE_ENTER(cuMemFree_v2);
    const std::lock_guard<std::mutex> lock(state().mutex);
    std::vector<Allocation> &all = state().allocations;
    for (auto each = all.begin(); each != all.end(); ++each) {
        if (each->start != pointer) continue;
        std::free(reinterpret_cast<void *>(pointer));
        all.erase(each);
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, std::size_t bytes) {
    FAKE_ENTER(cuMemcpyHtoD_v2);
    if (!current()) return CUDA_ERROR_INVALID_CONTEXT;
    std::memcpy(reinterpret_cast<void *>(to), from, bytes);
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, std::size_t bytes) {
    FAKE_ENTER(cuMemcpyDtoH_v2);
    if (!current()) return CUDA_ERROR_INVALID_CONTEXT;
    std::memcpy(to, reinterpret_cast<const void *>(from), bytes);
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream) {
    FAKE_ENTER(cuMemcpyDtoDAsync_v2);
    if (!current()) return CUDA_ERROR_INVALID_CONTEXT;
    std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes);
    return CUDA_SUCCESS;
}

// The functions of CUDA 7, which an older driver lacks.
#ifndef HALPOOL_FAKE_CUDA_OLD
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    if (const CUresult demanded = enter_unless_capturing("cuDevicePrimaryCtxRetain")) return demanded;
    *context = &state().primary[device];
    return CUDA_SUCCESS;
}

CUresult cuPointerGetAttributes(unsigned int count, CUpointer_attribute *attributes, void **values,
                                CUdeviceptr pointer) {
    FAKE_ENTER(cuPointerGetAttributes);
    const std::lock_guard<std::mutex> lock(state().mutex);
    const Allocation *found = nullptr;
    for (const Allocation &each : state().allocations)
        if (pointer >= each.start && pointer - each.start < each.bytes) found = &each;
    const bool on_device = found && found->kind == FakeMemory::device;  // managed memory is now here, now there
    for (unsigned int i = 0; i < count; ++i) {
        const auto give = [&](auto value) { std::memcpy(values[i], &value, sizeof value); };
        switch (attributes[i]) {
        case CU_POINTER_ATTRIBUTE_CONTEXT: give(found ? found->context : nullptr); break;
        case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
            give(!found ? 0u : on_device ? unsigned{CU_MEMORYTYPE_DEVICE} : unsigned{CU_MEMORYTYPE_HOST});
            break;
        case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
            if (!current()) return CUDA_ERROR_INVALID_CONTEXT;
            give(!found ? CUdeviceptr{0} : found->kind == FakeMemory::remapped ? pointer + 4096 : pointer);
            break;
        case CU_POINTER_ATTRIBUTE_IS_MANAGED: give(found && found->kind == FakeMemory::managed ? 1u : 0u); break;
        case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: give(found ? found->context->device : -2); break;
        case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: give(found ? found->start : 0); break;
        case CU_POINTER_ATTRIBUTE_RANGE_SIZE: give(found ? found->bytes : 0); break;
        default: return CUDA_ERROR_INVALID_VALUE;
        }
    }
    return CUDA_SUCCESS;
}
#endif

CUresult cuLaunchKernel(CUfunction function, unsigned int blocks_x, unsigned int blocks_y, unsigned int blocks_z,
                        unsigned int threads_x, unsigned int threads_y, unsigned int threads_z,
                        unsigned int shared_bytes, CUstream stream, void **parameters, void **) {
    FAKE_ENTER(cuLaunchKernel);
    if (!current() || function->module->context != current()) return CUDA_ERROR_INVALID_CONTEXT;
    if (stream && stream->context != current()) return CUDA_ERROR_INVALID_HANDLE;
    FakeLaunch launch{function->name,
                      {blocks_x, blocks_y, blocks_z},
                      {threads_x, threads_y, threads_z},
                      shared_bytes,
                      stream,
                      current(),
                      {}};
    for (unsigned int extent : {blocks_x, blocks_y, blocks_z, threads_x, threads_y, threads_z})
        if (extent == 0) return CUDA_ERROR_INVALID_VALUE;
    for (std::size_t i = 0; i < function->parameter_bytes.size(); ++i) {
        std::uint64_t value = 0;
        std::memcpy(&value, parameters[i], function->parameter_bytes[i]);
        launch.parameters.push_back(value);
    }
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().launches.push_back(launch);
    return CUDA_SUCCESS;
}

#pragma GCC visibility pop
}  // extern "C"

#ifndef HALPOOL_FAKE_CUDA_OLD
#define FAKE_IS_REAL(name, parameters) \
    static_assert(std::is_same_v<decltype(&name), decltype(Driver::name)>, #name);
HALPOOL_CUDA_REQUIRED_FUNCTIONS(FAKE_IS_REAL)
HALPOOL_CUDA_OPTIONAL_FUNCTIONS(FAKE_IS_REAL)
#endif
