// halpool as a peer of the benchmark: one plan a workload, executed with the threads asked for.
#ifndef HALPOOL_BENCHMARKS_HALPOOL_PEER_HPP
#define HALPOOL_BENCHMARKS_HALPOOL_PEER_HPP

#include "peer.hpp"

#include <halpool/halpool.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bench {

inline halpool::DType dtype_of(const Workload &w) {
    switch (w.dtype) {
        case DType::f64: return halpool::DType::f64;
        case DType::f16: return halpool::DType::f16;
        case DType::bf16: return halpool::DType::bf16;
        case DType::i8: return halpool::DType::i8;
        case DType::u8: return halpool::DType::u8;
        default: return halpool::DType::f32;
    }
}

// --threads N [--target NAME] [--kernel NAME]
inline int serve_halpool(int argc, char **argv, Peer::Commands others = {}) {
    int threads = 1;
    halpool::PlanOptions forced;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string option = argv[i], value = argv[i + 1];
        if (option == "--threads") threads = std::stoi(value);
        if (option == "--target") forced.target = value;
        if (option == "--kernel") forced.kernel = value;
    }

    const auto plan = [&](const Workload &w, const void *input, void *output) {
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
            return std::vector<Operation>{
                {pool->kernel(), [pool, input, output, threads] { pool->execute(input, output, threads); }}};
        } catch (const halpool::Error &error) {
            if (error.status() == HALPOOL_ERROR_UNSUPPORTED) throw Unsupported(error.what());
            throw;
        }
    };
    return Peer(plan, halpool_version(), std::move(others)).serve();
}

}  // namespace bench

#endif
