// halpool on CUDA as a peer of the benchmark: one plan a workload, on the default stream.
//   peer_halpool_cuda [--target NAME] [--kernel NAME]
#include "cuda_device.hpp"

#include <halpool/halpool.hpp>

int main(int argc, char **argv) {
    halpool::PlanOptions plan_options;
    plan_options.device = halpool::Device::cuda;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string option = argv[i], value = argv[i + 1];
        if (option == "--target") plan_options.target = value;
        if (option == "--kernel") plan_options.kernel = value;
    }

    std::unique_ptr<bench::CudaDevice> device;
    const auto plan = [&](const bench::Workload &w, const void *input, void *output) {
        bench::need_f32(w);
        if (!device) device = std::make_unique<bench::CudaDevice>();
        const auto format = w.channels_last() ? halpool::MemoryFormat::channels_last
                                              : halpool::MemoryFormat::contiguous;
        halpool::AvgPool2dOptions options;
        options.stride = {w.stride_h, w.stride_w};
        options.padding = {w.pad_h, w.pad_w};
        options.count_include_pad = w.count_include_pad;
        try {
            const auto pool = std::make_shared<halpool::AvgPool2dPlan>(
                halpool::TensorDesc({w.n, w.c, w.h, w.w}, halpool::DType::f32, format),
                halpool::TensorDesc({w.n, w.c, w.output_h(), w.output_w()}, halpool::DType::f32, format),
                halpool::IntList{w.kernel_h, w.kernel_w}, options, plan_options);
            const auto tensors = std::make_shared<bench::CudaTensors>(*device, w, input);
            return std::vector<bench::Operation>{tensors->operation(
                pool->kernel(), [pool, tensors] { pool->execute(tensors->input.data(), tensors->output.data()); }, w, output,
                tensors)};
        } catch (const halpool::Error &error) {
            if (error.status() == HALPOOL_ERROR_UNSUPPORTED) throw bench::Unsupported(error.what());
            throw;
        }
    };
    return bench::Peer(plan, halpool_version()).serve();
}
