// cuDNN as a peer of the benchmark, loaded at run time: cudnnPoolingForward.
#include "cuda_device.hpp"

namespace {

// cudnn.h, the little that is used; the values are those of versions 8 and 9.
using Handle = void *;
enum { kFloat = 0, kNchw = 0, kNhwc = 1, kAverageIncludePadding = 1, kAverageExcludePadding = 2, kPropagateNan = 1 };

struct Cudnn {
    Cudnn() {
        void *library = nullptr;
        for (const char *name : {"libcudnn.so.9", "libcudnn.so.8", "libcudnn.so"})
            if (!library) library = dlopen(name, RTLD_NOW);
        if (!library) throw bench::Unsupported("libcudnn was not found");
        const auto create = bench::symbol<int (*)(Handle *)>(library, "cudnnCreate");
        create_tensor = bench::symbol<int (*)(Handle *)>(library, "cudnnCreateTensorDescriptor");
        set_tensor = bench::symbol<int (*)(Handle, int, int, int, int, int, int)>(library, "cudnnSetTensor4dDescriptor");
        create_pooling = bench::symbol<int (*)(Handle *)>(library, "cudnnCreatePoolingDescriptor");
        set_pooling = bench::symbol<int (*)(Handle, int, int, int, int, int, int, int, int)>(
            library, "cudnnSetPooling2dDescriptor");
        forward = bench::symbol<int (*)(Handle, Handle, const void *, Handle, const void *, const void *, Handle, void *)>(
            library, "cudnnPoolingForward");
        check(create(&handle), "cudnnCreate");
    }

    static void check(int status, const char *call) {
        if (status != 0) throw std::runtime_error(std::string(call) + " returned " + std::to_string(status));
    }

    Handle handle = nullptr;
    int (*create_tensor)(Handle *);
    int (*set_tensor)(Handle, int, int, int, int, int, int);
    int (*create_pooling)(Handle *);
    int (*set_pooling)(Handle, int, int, int, int, int, int, int, int);
    int (*forward)(Handle, Handle, const void *, Handle, const void *, const void *, Handle, void *);
};

}  // namespace

int main() {
    std::unique_ptr<bench::CudaDevice> device;
    std::unique_ptr<Cudnn> cudnn;
    const auto plan = [&](const bench::Workload &w, const void *input, void *output) {
        bench::need_f32(w);
        if (!device) device = std::make_unique<bench::CudaDevice>();
        if (!cudnn) cudnn = std::make_unique<Cudnn>();
        const int format = w.channels_last() ? kNhwc : kNchw;
        const auto number = [](std::int64_t value) { return static_cast<int>(value); };
        // A few descriptors a workload, kept until the process ends.
        Handle in = nullptr, out = nullptr, pooling = nullptr;
        Cudnn::check(cudnn->create_tensor(&in), "cudnnCreateTensorDescriptor");
        Cudnn::check(cudnn->create_tensor(&out), "cudnnCreateTensorDescriptor");
        Cudnn::check(cudnn->create_pooling(&pooling), "cudnnCreatePoolingDescriptor");
        Cudnn::check(cudnn->set_tensor(in, format, kFloat, number(w.n), number(w.c), number(w.h), number(w.w)), "input");
        Cudnn::check(cudnn->set_tensor(out, format, kFloat, number(w.n), number(w.c), number(w.output_h()), number(w.output_w())),
                     "output");
        Cudnn::check(cudnn->set_pooling(pooling, w.count_include_pad ? kAverageIncludePadding : kAverageExcludePadding,
                                        kPropagateNan, number(w.kernel_h), number(w.kernel_w), number(w.pad_h),
                                        number(w.pad_w), number(w.stride_h), number(w.stride_w)),
                     "pooling");
        const auto tensors = std::make_shared<bench::CudaTensors>(*device, w, input);
        const Cudnn *library = cudnn.get();
        return std::vector<bench::Operation>{tensors->operation(
            "cudnnPoolingForward",
            [=] {
                const float one = 1.0f, zero = 0.0f;
                Cudnn::check(library->forward(library->handle, pooling, &one, in, tensors->input.data(), &zero, out,
                                              tensors->output.data()),
                             "cudnnPoolingForward");
            },
            w, output, tensors)};
    };
    return bench::Peer(plan).serve();
}
