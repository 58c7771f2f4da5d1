#include "cuda_devices.hpp"

#include <unistd.h>

#include <vector>

namespace halpool::cuda {
namespace {

constexpr const char *kForked =
    "this process was forked from one that had started CUDA, which no CUDA driver survives: "
    "start it with exec (in Python: spawn), or use CUDA after the fork only";

// Leaked, as is what it points to: see Device::primary_context.
std::atomic<const Installation *> found{nullptr};
std::atomic<pid_t> starter{0};  // the process that probed first
std::mutex probing;

int attribute(const Driver &driver, const Device &device, CUdevice_attribute which) {
    int value = 0;
    check(driver, driver.cuDeviceGetAttribute(&value, which, device.handle), "cuDeviceGetAttribute");
    return value;
}

void read(const Driver &driver, int ordinal, Device &device) {
    device.ordinal = ordinal;
    check(driver, driver.cuDeviceGet(&device.handle, ordinal), "cuDeviceGet");
    char name[256] = {};
    check(driver, driver.cuDeviceGetName(name, sizeof name - 1, device.handle), "cuDeviceGetName");
    device.name = name;
    const auto value = [&](CUdevice_attribute which) { return attribute(driver, device, which); };
    device.capability_major = value(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    device.capability_minor = value(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    device.threads = value(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
    device.shared_bytes = value(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
    device.block[0] = value(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X);
    device.block[1] = value(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y);
    device.block[2] = value(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z);
    device.grid[0] = value(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X);
    device.grid[1] = value(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y);
    device.grid[2] = value(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z);
}

// "NVIDIA H200, compute capability 9.0, driver for CUDA 13.0"; equal devices in a row are counted.
std::string description(const Installation &installation) {
    std::string all;
    for (std::size_t i = 0; i < installation.devices.size();) {
        const auto described = [](const Device &device) {
            return text(device.name, ", compute capability ", device.capability_major, ".",
                        device.capability_minor);
        };
        const std::string one = described(installation.devices[i]);
        std::size_t count = 1;
        while (i + count < installation.devices.size() && described(installation.devices[i + count]) == one)
            ++count;
        all += count > 1 ? text(count, " x ", one, ", ") : text(one, ", ");
        i += count;
    }
    return text(all, "driver for CUDA ", installation.version / 1000, ".", installation.version % 1000 / 10);
}

// Throws a Failure, or returns with the devices read.
void start(Installation &installation) {
    const Driver &driver = installation.driver;
    const std::string missing = load_driver(installation.driver);
    require(missing.empty(), HALPOOL_ERROR_UNSUPPORTED, missing);

    const CUresult started = driver.cuInit(0);
    if (started != CUDA_SUCCESS) {
        const char *hint = "";
        if (started == CUDA_ERROR_NO_DEVICE)
            hint = ": the driver sees no device; check nvidia-smi and CUDA_VISIBLE_DEVICES";
        if (started == CUDA_ERROR_STUB_LIBRARY)
            hint = ": the libcuda that was found is the toolkit's stub, not a driver; check LD_LIBRARY_PATH";
        if (started == CUDA_ERROR_NOT_INITIALIZED) hint = ": was this process forked from one that used CUDA?";
        throw Failure{HALPOOL_ERROR_UNSUPPORTED, text("cuInit: ", name_of(driver, started), hint)};
    }
    check(driver, driver.cuDriverGetVersion(&installation.version), "cuDriverGetVersion");
    int count = 0;
    check(driver, driver.cuDeviceGetCount(&count), "cuDeviceGetCount");
    require(count > 0, HALPOOL_ERROR_UNSUPPORTED, "the driver sees no device; check CUDA_VISIBLE_DEVICES");
    for (int ordinal = 0; ordinal < count; ++ordinal) read(driver, ordinal, installation.devices.emplace_back());
}

const Installation *probe() {
    auto *installation = new Installation;
    try {
        start(*installation);
        installation->reason = description(*installation);
        installation->available = true;
    } catch (const Failure &failure) {
        installation->reason = failure.message;
    } catch (...) {  // out of memory: the next call tries again
        delete installation;
        throw;
    }
    return installation;
}

const Installation &after_fork() {
    static const Installation *const forked = [] {
        auto *installation = new Installation;
        installation->reason = kForked;
        return installation;
    }();
    return *forked;
}

}  // namespace

bool forked_after_start() {
    const Installation *const known = found.load(std::memory_order_acquire);
    if (known && !known->available) return false;  // nothing was started
    const pid_t who = starter.load();
    return who != 0 && who != getpid();
}

const Installation &installation() {
    // Before any lock: a thread of the parent's may have held it when the process was forked.
    if (forked_after_start()) return after_fork();
    if (const Installation *const known = found.load(std::memory_order_acquire)) return *known;
    starter.store(getpid());
    const std::lock_guard<std::mutex> lock(probing);
    if (!found.load(std::memory_order_relaxed)) found.store(probe(), std::memory_order_release);
    return *found.load(std::memory_order_relaxed);
}

const Installation &usable_installation() {
    const Installation &known = installation();
    require(known.available, HALPOOL_ERROR_UNSUPPORTED, "CUDA is not available: ", known.reason);
    return known;
}

const Device &Installation::current_device() const {
    CUdevice handle = 0;
    if (driver.cuCtxGetDevice(&handle) == CUDA_SUCCESS)
        for (const Device &device : devices)
            if (device.handle == handle) return device;
    return devices.front();
}

CUcontext Device::primary_context(const Driver &driver) const {
    CUcontext context = primary.load(std::memory_order_acquire);
    if (context) return context;
    const std::lock_guard<std::mutex> lock(retaining);
    context = primary.load(std::memory_order_relaxed);
    if (!context) {
        const OutsideCapture allowed(driver);
        check(driver, driver.cuDevicePrimaryCtxRetain(&context, handle), "cuDevicePrimaryCtxRetain");
        primary.store(context, std::memory_order_release);
    }
    return context;
}

CurrentContext::CurrentContext(const Driver &driver, CUcontext context) : driver(driver) {
    check(driver, driver.cuCtxPushCurrent_v2(context), "cuCtxPushCurrent");
}

CurrentContext::~CurrentContext() {
    CUcontext popped = nullptr;
    driver.cuCtxPopCurrent_v2(&popped);
}

OutsideCapture::OutsideCapture(const Driver &driver) : driver(driver) { exchange(); }

OutsideCapture::~OutsideCapture() { exchange(); }

void OutsideCapture::exchange() {
    if (driver.cuThreadExchangeStreamCaptureMode) driver.cuThreadExchangeStreamCaptureMode(&mode);
}

}  // namespace halpool::cuda
