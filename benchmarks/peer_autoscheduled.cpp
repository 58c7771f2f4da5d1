// Kernels of one of Halide's autoschedulers as a peer of autoschedulers.py, which emits them and writes their table.
//   peer_autoscheduled AUTOSCHEDULER VARIANT
#include "peer.hpp"

#include <HalideRuntime.h>

// KERNEL("<autoscheduler> <variant> <problem as in the command setup>", function)
#define KERNEL(key, function) extern "C" int function(halide_buffer_t *input, halide_buffer_t *output);
#include "autoscheduled_kernels.inc"
#undef KERNEL

namespace {

struct Kernel {
    const char *key;
    int (*function)(halide_buffer_t *, halide_buffer_t *);
};

const std::vector<Kernel> kKernels = {
#define KERNEL(key, function) {key, function},
#include "autoscheduled_kernels.inc"
#undef KERNEL
};

// A dense tensor; not to be copied: the buffer points into it.
struct Tensor {
    Tensor(const bench::Workload &w, const void *data, std::int64_t height, std::int64_t width) {
        const std::int64_t planar[] = {width, height, w.c, w.n}, channels_last[] = {w.c, width, height, w.n};
        std::int64_t stride = 1;
        for (int i = 0; i < 4; ++i) {
            const std::int64_t extent = (w.channels_last() ? channels_last : planar)[i];
            dimensions[i] = halide_dimension_t(0, static_cast<std::int32_t>(extent), static_cast<std::int32_t>(stride));
            stride *= extent;
        }
        buffer.host = static_cast<std::uint8_t *>(const_cast<void *>(data));
        buffer.type = halide_type_of<float>();
        buffer.dimensions = 4;
        buffer.dim = dimensions;
    }
    Tensor(const Tensor &) = delete;

    halide_dimension_t dimensions[4];
    halide_buffer_t buffer{};
};

}  // namespace

int main(int argc, char **argv) {
    if (argc != 3) {
        std::cerr << "peer_autoscheduled AUTOSCHEDULER VARIANT\n";
        return 2;
    }
    const std::string prefix = std::string(argv[1]) + ' ' + argv[2] + ' ';
    const auto plan = [&](const bench::Workload &w, const void *input, void *output) {
        bench::need_f32(w);
        std::ostringstream key;
        key << prefix << w.layout;
        for (const std::int64_t number : {w.n, w.c, w.h, w.w, w.kernel_h, w.kernel_w, w.stride_h, w.stride_w, w.pad_h, w.pad_w})
            key << ' ' << number;
        key << ' ' << w.count_include_pad;
        for (const Kernel &kernel : kKernels) {
            if (kernel.key != key.str()) continue;
            const auto x = std::make_shared<Tensor>(w, input, w.h, w.w);
            const auto y = std::make_shared<Tensor>(w, output, w.output_h(), w.output_w());
            // Memory that is out is the only error left: the kernels are emitted without assertions.
            if (const int status = kernel.function(&x->buffer, &y->buffer))
                throw std::runtime_error("the kernel returned " + std::to_string(status));
            return std::vector<bench::Operation>{{argv[2], [x, y, &kernel] { kernel.function(&x->buffer, &y->buffer); }}};
        }
        throw bench::Unsupported("no such kernel was emitted");
    };
    return bench::Peer(plan).serve();
}
