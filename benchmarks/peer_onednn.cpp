// oneDNN as a peer of the benchmark. Its primitive is created outside the clock, and executed through the C API,
// which is cheaper than the C++ one. The threads are OpenMP's: OMP_NUM_THREADS.
#include "peer.hpp"

#include <oneapi/dnnl/dnnl.hpp>

namespace {

// dnnl::error's text alone says little: "could not execute a primitive".
void check(dnnl_status_t status) {
    if (status != dnnl_success) throw std::runtime_error("oneDNN: status " + std::to_string(status));
}

dnnl::memory::data_type type_of(const bench::Workload &w) {
    using type = dnnl::memory::data_type;
    switch (w.dtype) {
        case bench::DType::f64: return type::f64;
        case bench::DType::f16: return type::f16;
        case bench::DType::bf16: return type::bf16;
        case bench::DType::i8: return type::s8;
        case bench::DType::u8: return type::u8;
        default: return type::f32;
    }
}

struct Pooling {
    dnnl::memory input, output;
    dnnl::primitive primitive;
    dnnl::stream stream;
    std::vector<dnnl_exec_arg_t> arguments;

    void execute() const {
        check(dnnl_primitive_execute(primitive.get(), stream.get(), static_cast<int>(arguments.size()),
                                     arguments.data()));
        check(dnnl_stream_wait(stream.get()));
    }
};

}  // namespace

int main() {
    dnnl::engine engine(dnnl::engine::kind::cpu, 0);

    const auto plan = [&](const bench::Workload &w, const void *input, void *output) {
        const auto tag = w.channels_last() ? dnnl::memory::format_tag::nhwc : dnnl::memory::format_tag::nchw;
        const dnnl::memory::desc source({w.n, w.c, w.h, w.w}, type_of(w), tag);
        const dnnl::memory::desc destination({w.n, w.c, w.output_h(), w.output_w()}, type_of(w), tag);
        const auto algorithm = w.count_include_pad ? dnnl::algorithm::pooling_avg_include_padding
                                                   : dnnl::algorithm::pooling_avg_exclude_padding;
        // Empty where oneDNN has none: f64 is for GPUs, f16 for CPUs that compute with it.
        const auto prop_kind = w.backward ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
        const dnnl::pooling_forward::primitive_desc chosen(
            engine, prop_kind, algorithm, source, destination, {w.stride_h, w.stride_w},
            {w.kernel_h, w.kernel_w}, {0, 0}, {w.pad_h, w.pad_w}, {w.pad_h, w.pad_w}, dnnl::primitive_attr(),
            /*allow_empty*/ true);
        if (!chosen) throw bench::Unsupported("oneDNN has no such pooling on this CPU");

        const auto pool = std::make_shared<Pooling>();
        if (w.backward) {
            const dnnl::pooling_backward::primitive_desc gradient(
                engine, algorithm, source, destination, {w.stride_h, w.stride_w}, {w.kernel_h, w.kernel_w}, {0, 0},
                {w.pad_h, w.pad_w}, {w.pad_h, w.pad_w}, chosen, dnnl::primitive_attr(), /*allow_empty*/ true);
            if (!gradient) throw bench::Unsupported("oneDNN has no such gradient on this CPU");
            pool->input = dnnl::memory(destination, engine, const_cast<void *>(input));
            pool->output = dnnl::memory(source, engine, output);
            pool->primitive = dnnl::pooling_backward(gradient);
            pool->stream = dnnl::stream(engine);
            pool->arguments = {{DNNL_ARG_DIFF_DST, pool->input.get()}, {DNNL_ARG_DIFF_SRC, pool->output.get()}};
            return std::vector<bench::Operation>{{gradient.impl_info_str(), [pool] { pool->execute(); }}};
        }
        pool->input = dnnl::memory(source, engine, const_cast<void *>(input));
        pool->output = dnnl::memory(destination, engine, output);
        pool->primitive = dnnl::pooling_forward(chosen);
        pool->stream = dnnl::stream(engine);
        pool->arguments = {{DNNL_ARG_SRC, pool->input.get()}, {DNNL_ARG_DST, pool->output.get()}};
        return std::vector<bench::Operation>{{chosen.impl_info_str(), [pool] { pool->execute(); }}};
    };
    const dnnl_version_t &v = *dnnl_version();
    const auto version = std::to_string(v.major) + "." + std::to_string(v.minor) + "." + std::to_string(v.patch);
    return bench::Peer(plan, version).serve();
}
