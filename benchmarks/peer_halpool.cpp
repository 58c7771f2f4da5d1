// halpool as a peer of the benchmark: one plan a workload, executed with the threads asked for.
//   peer_halpool --threads N [--target NAME] [--kernel NAME]
#include "peer.hpp"

#include <halpool/halpool.hpp>

namespace {

halpool::DType dtype_of(const bench::Workload &w) {
    switch (w.dtype) {
        case bench::DType::f64: return halpool::DType::f64;
        case bench::DType::f16: return halpool::DType::f16;
        case bench::DType::bf16: return halpool::DType::bf16;
        case bench::DType::i8: return halpool::DType::i8;
        case bench::DType::u8: return halpool::DType::u8;
        default: return halpool::DType::f32;
    }
}

}  // namespace

int main(int argc, char **argv) {
    int threads = 1;
    halpool::PlanOptions forced;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string option = argv[i], value = argv[i + 1];
        if (option == "--threads") threads = std::stoi(value);
        if (option == "--target") forced.target = value;
        if (option == "--kernel") forced.kernel = value;
    }

    const auto plan = [&](const bench::Workload &w, const void *input, void *output) {
        const auto format = w.channels_last() ? halpool::MemoryFormat::channels_last
                                              : halpool::MemoryFormat::contiguous;
        halpool::AvgPool2dOptions options;
        options.stride = {w.stride_h, w.stride_w};
        options.padding = {w.pad_h, w.pad_w};
        options.count_include_pad = w.count_include_pad;
        options.ceil_mode = w.ceil_mode;
        options.allow_any_dtype = true;
        try {
            const halpool::TensorDesc whole({w.n, w.c, w.h, w.w}, dtype_of(w), format);
            const halpool::TensorDesc pooled({w.n, w.c, w.output_h(), w.output_w()}, dtype_of(w), format);
            const halpool::IntList kernel_size{w.kernel_h, w.kernel_w};
            std::shared_ptr<const halpool::Plan> pool;
            if (w.backward)
                pool = std::make_shared<halpool::AvgPool2dBackwardPlan>(pooled, whole, kernel_size, options, forced);
            else
                pool = std::make_shared<halpool::AvgPool2dPlan>(whole, pooled, kernel_size, options, forced);
            return std::vector<bench::Operation>{
                {pool->kernel(), [pool, input, output, threads] { pool->execute(input, output, threads); }}};
        } catch (const halpool::Error &error) {
            if (error.status() == HALPOOL_ERROR_UNSUPPORTED) throw bench::Unsupported(error.what());
            throw;
        }
    };
    return bench::Peer(plan, halpool_version()).serve();
}
