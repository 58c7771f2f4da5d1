// Which CUDA devices there are, found out once in the life of the process, and the contexts that work runs in.
#ifndef HALPOOL_RUNTIME_CUDA_DEVICES_HPP
#define HALPOOL_RUNTIME_CUDA_DEVICES_HPP

#include "cuda_driver.hpp"
#include "device_api.hpp"

#include <atomic>
#include <deque>
#include <mutex>
#include <string>

namespace halpool::cuda {

struct Device {
    int ordinal = 0;
    CUdevice handle = 0;
    std::string name;
    int capability_major = 0, capability_minor = 0;
    int threads = 0, shared_bytes = 0;  // of a block
    int block[3] = {}, grid[3] = {};

    // The one that the CUDA runtime, and so PyTorch and all others, work in. Retained on the first call and never
    // released: at exit the driver may be gone before us.
    CUcontext primary_context(const Driver &driver) const;

private:
    mutable std::atomic<CUcontext> primary{nullptr};
    mutable std::mutex retaining;
};

struct Installation {
    bool available = false;
    std::string reason;  // the devices, or what is missing
    Driver driver{};
    int version = 0;             // of CUDA, which the driver is for: 12040 is 12.4
    std::deque<Device> devices;  // those that CUDA_VISIBLE_DEVICES leaves

    // The device of the calling thread's current context, or the first one where there is no context.
    const Device &current_device() const;
};

// Probes on the first call. In a process forked from one that started CUDA nothing is available, since no CUDA
// driver survives fork(); there the driver is not called at all.
const Installation &installation();

// The same, or a Failure with the reason where no device is available.
const Installation &usable_installation();

// Whether this process was forked from one where probing started CUDA.
bool forked_after_start();

// Makes a context current for a scope and then the caller's again.
class CurrentContext {
public:
    CurrentContext(const Driver &driver, CUcontext context);
    ~CurrentContext();
    CurrentContext(const CurrentContext &) = delete;
    CurrentContext &operator=(const CurrentContext &) = delete;

private:
    const Driver &driver;
};

// Lets the calling thread do, for a scope, what a stream capture forbids it: load code, retain a context. Neither
// adds to the graph, and a caller's first call may well be inside a capture.
class OutsideCapture {
public:
    explicit OutsideCapture(const Driver &driver);
    ~OutsideCapture();
    OutsideCapture(const OutsideCapture &) = delete;
    OutsideCapture &operator=(const OutsideCapture &) = delete;

private:
    void exchange();
    const Driver &driver;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
};

}  // namespace halpool::cuda

#endif
