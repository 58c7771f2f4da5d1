// The bound of the CUDA benchmark: a device-to-device copy that reads and writes as many bytes, together, as the workload
// reads and writes. halpool's time over this one's is the copy's bandwidth over halpool's.
#include "cuda_device.hpp"

int main() {
    std::unique_ptr<bench::CudaDevice> device;
    const auto plan = [&](const bench::Workload &w, const void *, void *) {
        if (!device) device = std::make_unique<bench::CudaDevice>();
        const std::size_t bytes = (w.input_bytes() + w.output_bytes()) / 2;
        const auto from = std::make_shared<bench::CudaDevice::Buffer>(*device, bytes);
        const auto to = std::make_shared<bench::CudaDevice::Buffer>(*device, bytes);
        const bench::CudaDevice *gpu = device.get();
        return std::vector<bench::Operation>{{"cuMemcpyDtoDAsync",
                                              [=] { gpu->copy(to->address(), from->address(), bytes); },
                                              [=] { gpu->synchronize(); },
                                              {}}};
    };
    return bench::Peer(plan).serve();
}
