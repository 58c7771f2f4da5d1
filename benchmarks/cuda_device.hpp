// The GPU as the CUDA peers of the benchmark see it: the driver, loaded at run time, the primary context, and buffers.
#ifndef HALPOOL_BENCHMARKS_CUDA_DEVICE_HPP
#define HALPOOL_BENCHMARKS_CUDA_DEVICE_HPP

#include "peer.hpp"

#include <dlfcn.h>

namespace bench {

// A function of a library, by name; throws when it is missing.
template <class Function>
Function symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) throw Unsupported(std::string(name) + " is missing");
    return reinterpret_cast<Function>(found);
}

class CudaDevice {
public:
    using Pointer = unsigned long long;

    // Device 0, whose primary context becomes current: that is where the CUDA runtime, cuDNN and halpool work.
    CudaDevice() {
        void *driver = dlopen("libcuda.so.1", RTLD_NOW);
        if (!driver) throw Unsupported("libcuda.so.1 was not found");
        const auto init = symbol<int (*)(unsigned)>(driver, "cuInit");
        const auto retain = symbol<int (*)(void **, int)>(driver, "cuDevicePrimaryCtxRetain");
        const auto set_current = symbol<int (*)(void *)>(driver, "cuCtxSetCurrent");
        allocate_ = symbol<int (*)(Pointer *, std::size_t)>(driver, "cuMemAlloc_v2");
        free_ = symbol<int (*)(Pointer)>(driver, "cuMemFree_v2");
        upload_ = symbol<int (*)(Pointer, const void *, std::size_t)>(driver, "cuMemcpyHtoD_v2");
        download_ = symbol<int (*)(void *, Pointer, std::size_t)>(driver, "cuMemcpyDtoH_v2");
        copy_ = symbol<int (*)(Pointer, Pointer, std::size_t, void *)>(driver, "cuMemcpyDtoDAsync_v2");
        synchronize_ = symbol<int (*)()>(driver, "cuCtxSynchronize");
        void *context = nullptr;
        check(init(0), "cuInit");
        check(retain(&context, 0), "cuDevicePrimaryCtxRetain");
        check(set_current(context), "cuCtxSetCurrent");
    }

    void synchronize() const { check(synchronize_(), "cuCtxSynchronize"); }
    void copy(Pointer to, Pointer from, std::size_t bytes) const { check(copy_(to, from, bytes, nullptr), "cuMemcpyDtoDAsync"); }

    class Buffer {
    public:
        Buffer(const CudaDevice &device, std::size_t bytes) : device_(device) {
            check(device.allocate_(&pointer_, bytes), "cuMemAlloc");
        }
        ~Buffer() { device_.free_(pointer_); }
        Buffer(const Buffer &) = delete;
        Buffer &operator=(const Buffer &) = delete;

        Pointer address() const { return pointer_; }
        void *data() const { return reinterpret_cast<void *>(pointer_); }
        void upload(const void *from, std::size_t bytes) const { check(device_.upload_(pointer_, from, bytes), "cuMemcpyHtoD"); }
        void download(void *to, std::size_t bytes) const { check(device_.download_(to, pointer_, bytes), "cuMemcpyDtoH"); }

    private:
        const CudaDevice &device_;
        Pointer pointer_ = 0;
    };

private:
    static void check(int result, const char *call) {
        if (result != 0) throw std::runtime_error(std::string(call) + " returned " + std::to_string(result));
    }

    int (*allocate_)(Pointer *, std::size_t);
    int (*free_)(Pointer);
    int (*upload_)(Pointer, const void *, std::size_t);
    int (*download_)(void *, Pointer, std::size_t);
    int (*copy_)(Pointer, Pointer, std::size_t, void *);
    int (*synchronize_)();
};

// The tensors of a workload on the device.
struct CudaTensors {
    CudaTensors(const CudaDevice &device, const Workload &w, const void *values)
        : device(device), input(device, w.input_bytes()), output(device, w.output_bytes()) {
        input.upload(values, w.input_bytes());
    }

    // launch queues the work on the default stream.
    Operation operation(std::string name, std::function<void()> launch, const Workload &w, void *host_output,
                        std::shared_ptr<CudaTensors> self) const {
        return {std::move(name), std::move(launch), [self] { self->device.synchronize(); },
                [self, host_output, bytes = w.output_bytes()] { self->output.download(host_output, bytes); }};
    }

    const CudaDevice &device;
    CudaDevice::Buffer input, output;
};

}  // namespace bench

#endif  // HALPOOL_BENCHMARKS_CUDA_DEVICE_HPP
