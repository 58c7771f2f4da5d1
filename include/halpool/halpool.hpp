// halpool: the C++17 wrapper over halpool.h. Header only; errors become halpool::Error.
//
//   std::vector<float> pixels = ...;                                          // [1, 3, 480, 640], planar
//   halpool::ConstTensorView input(pixels.data(), {1, 3, 480, 640});
//   halpool::Tensor pooled = halpool::avg_pool2d(input, 3, {/*stride*/ 2, /*padding*/ 1});
//
// For the hot path make a halpool::AvgPool2dPlan once and execute it. On a device other than the CPU:
//
//   halpool::PlanOptions on_vulkan;
//   on_vulkan.device = halpool::Device::vulkan;
//   const halpool::AvgPool2dPlan plan(input, pooled, 3, {/*stride*/ 2, /*padding*/ 1}, on_vulkan);
//   halpool::Memory in(plan.device(), in_bytes), out(plan.device(), out_bytes);
//   in.upload(pixels.data(), in_bytes);
//   plan.execute(in, out);
//   out.download(pooled.data(), out_bytes);
//
// Thread safety, units and ownership are those of halpool.h.
#ifndef HALPOOL_HALPOOL_HPP
#define HALPOOL_HALPOOL_HPP

#include <halpool/halpool.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace halpool {

class Error : public std::runtime_error {
public:
    explicit Error(const halpool_error &error) : std::runtime_error(error.message), status_(error.status) {}
    halpool_status status() const noexcept { return status_; }

private:
    halpool_status status_;
};

enum class DType { f32 = HALPOOL_FLOAT32, f64 = HALPOOL_FLOAT64, f16 = HALPOOL_FLOAT16, bf16 = HALPOOL_BFLOAT16,
                   i8 = HALPOOL_INT8, u8 = HALPOOL_UINT8, i16 = HALPOOL_INT16, i32 = HALPOOL_INT32,
                   i64 = HALPOOL_INT64, boolean = HALPOOL_BOOL, complex64 = HALPOOL_COMPLEX64,
                   complex128 = HALPOOL_COMPLEX128 };

// Bytes of an element.
constexpr std::size_t element_size(DType dtype) {
    switch (dtype) {
    case DType::i8:
    case DType::u8:
    case DType::boolean: return 1;
    case DType::f16:
    case DType::bf16:
    case DType::i16: return 2;
    case DType::f64:
    case DType::i64:
    case DType::complex64: return 8;
    case DType::complex128: return 16;
    default: return 4;
    }
}

enum class MemoryFormat { contiguous, channels_last };  // NCHW or NHWC memory; the shape reads N, C, H, W in both

using Shape = std::vector<std::int64_t>;

// One integer for both axes, or {height, width}.
class IntList {
public:
    IntList() = default;
    IntList(std::int64_t both) : values_{both} {}
    IntList(std::initializer_list<std::int64_t> values) : values_(values) {}
    IntList(std::vector<std::int64_t> values) : values_(std::move(values)) {}
    halpool_int_list list() const noexcept { return {values_.data(), values_.size()}; }

private:
    std::vector<std::int64_t> values_;
};

namespace detail {

inline void check(halpool_status status, const halpool_error &error) {
    if (status != HALPOOL_OK) throw Error(error);
}

template <class T>
struct LineAllocator {
    using value_type = T;
    static constexpr std::align_val_t line{64};
    LineAllocator() = default;
    template <class U>
    LineAllocator(const LineAllocator<U> &) noexcept {}
    T *allocate(std::size_t n) {
        if (n > SIZE_MAX / sizeof(T)) throw std::bad_alloc();
        return static_cast<T *>(::operator new(n * sizeof(T), line));
    }
    void deallocate(T *p, std::size_t) noexcept { ::operator delete(p, line); }
    template <class U>
    bool operator==(const LineAllocator<U> &) const noexcept { return true; }
    template <class U>
    bool operator!=(const LineAllocator<U> &) const noexcept { return false; }
};

// Strides of a dense tensor. Extents that overflow are refused later, by the library.
inline Shape dense_strides(const Shape &shape, MemoryFormat format) {
    Shape strides(shape.size());
    std::uint64_t next = 1;
    const auto place = [&](std::size_t axis) {
        strides[axis] = static_cast<std::int64_t>(next);
        next *= static_cast<std::uint64_t>(shape[axis] > 1 ? shape[axis] : 1);
    };
    if (format == MemoryFormat::channels_last && shape.size() >= 3) {
        const std::size_t channel = shape.size() - 3;
        place(channel);
        for (std::size_t axis = shape.size(); axis-- > channel + 1;) place(axis);
        for (std::size_t axis = channel; axis-- > 0;) place(axis);
    } else {
        for (std::size_t axis = shape.size(); axis-- > 0;) place(axis);
    }
    return strides;
}

}  // namespace detail

// Shape, strides (in elements) and dtype of a tensor, without its data.
class TensorDesc {
public:
    TensorDesc(Shape shape, DType dtype = DType::f32, MemoryFormat format = MemoryFormat::contiguous)
        : shape_(std::move(shape)), strides_(detail::dense_strides(shape_, format)), dtype_(dtype) {}
    // Any strides. strides.size() must equal shape.size().
    TensorDesc(Shape shape, Shape strides, DType dtype = DType::f32)
        : shape_(std::move(shape)), strides_(std::move(strides)), dtype_(dtype) {
        if (strides_.size() != shape_.size())
            throw std::invalid_argument("halpool: a tensor needs one stride for each dimension");
    }
    const Shape &shape() const noexcept { return shape_; }
    const Shape &strides() const noexcept { return strides_; }
    DType dtype() const noexcept { return dtype_; }
    halpool_tensor_desc desc() const noexcept {
        return {static_cast<std::int32_t>(dtype_), static_cast<std::int32_t>(shape_.size()), shape_.data(),
                strides_.data()};
    }

private:
    Shape shape_, strides_;
    DType dtype_;
};

// A view of memory the caller owns. data points at element [0, 0, 0, 0].
class ConstTensorView : public TensorDesc {
public:
    ConstTensorView(const void *data, TensorDesc desc) : TensorDesc(std::move(desc)), data_(data) {}
    ConstTensorView(const float *data, Shape shape, MemoryFormat format = MemoryFormat::contiguous)
        : TensorDesc(std::move(shape), DType::f32, format), data_(data) {}
    const void *data() const noexcept { return data_; }

private:
    const void *data_;
};

class TensorView : public TensorDesc {
public:
    TensorView(void *data, TensorDesc desc) : TensorDesc(std::move(desc)), data_(data) {}
    TensorView(float *data, Shape shape, MemoryFormat format = MemoryFormat::contiguous)
        : TensorDesc(std::move(shape), DType::f32, format), data_(data) {}
    void *data() const noexcept { return data_; }

private:
    void *data_;
};

// A dense tensor that owns its memory, which begins at a cache line: what the simple calls return. Zeros at first.
class Tensor : public TensorDesc {
public:
    explicit Tensor(Shape shape, MemoryFormat format = MemoryFormat::contiguous) : Tensor(std::move(shape), DType::f32, format) {}
    Tensor(Shape shape, DType dtype, MemoryFormat format = MemoryFormat::contiguous)
        : TensorDesc(std::move(shape), dtype, format), size_(count(this->shape())), bytes_(size_ * element_size(dtype)) {}
    // The elements: float's of a tensor of f32; of other dtypes by the type that holds them, std::uint16_t for f16 and bf16.
    float *data() noexcept { return data_as<float>(); }
    const float *data() const noexcept { return data_as<float>(); }
    template <class T>
    T *data_as() noexcept { return reinterpret_cast<T *>(bytes_.data()); }
    template <class T>
    const T *data_as() const noexcept { return reinterpret_cast<const T *>(bytes_.data()); }
    std::size_t size() const noexcept { return size_; }  // elements

private:
    static std::size_t count(const Shape &shape) {
        std::size_t n = 1;
        for (std::int64_t extent : shape) n *= static_cast<std::size_t>(extent);
        return n;
    }
    std::size_t size_;
    std::vector<unsigned char, detail::LineAllocator<unsigned char>> bytes_;
};

// See halpool_auto_pad and halpool_divisor_rule.
enum class AutoPad { none = HALPOOL_AUTO_PAD_NONE, same_upper = HALPOOL_AUTO_PAD_SAME_UPPER, same_lower = HALPOOL_AUTO_PAD_SAME_LOWER };
enum class DivisorRule { by_default = HALPOOL_DIVISOR_DEFAULT, window_clipped = HALPOOL_DIVISOR_WINDOW_CLIPPED,
                         window_full = HALPOOL_DIVISOR_WINDOW_FULL, valid_taps = HALPOOL_DIVISOR_VALID_TAPS };

// See halpool_quantization.
struct Quantization {
    double scale;
    std::int64_t zero_point;
};

// The arguments of torch.nn.functional.avg_pool2d after kernel_size, with its defaults.
struct AvgPool2dOptions {
    IntList stride = {};  // empty: kernel_size
    IntList padding = 0;
    bool ceil_mode = false;
    bool count_include_pad = true;
    std::optional<std::int64_t> divisor_override = std::nullopt;
    // Beyond PyTorch.
    IntList padding_end = {};        // empty: `padding` on both sides; else `padding` is top and left alone
    bool allow_any_padding = false;  // padding may exceed half the kernel
    bool allow_any_dtype = false;    // int8, uint8 and int32 too; see halpool_avg_pool2d_options
    AutoPad auto_pad = AutoPad::none;
    IntList dilation = 1;
    DivisorRule divisor_rule = DivisorRule::by_default;
    std::optional<Quantization> input_quantization = std::nullopt, output_quantization = std::nullopt;  // see halpool_avg_pool2d_options

    // The C structure; it points into *this and into kernel_size, which must outlive it.
    halpool_avg_pool2d_options c_options(const IntList &kernel_size) const noexcept {
        halpool_avg_pool2d_options c = HALPOOL_AVG_POOL2D_OPTIONS_INIT;
        c.kernel_size = kernel_size.list();
        c.stride = stride.list();
        c.padding = padding.list();
        c.ceil_mode = ceil_mode;
        c.count_include_pad = count_include_pad;
        c.has_divisor_override = divisor_override.has_value();
        c.divisor_override = divisor_override.value_or(0);
        c.padding_end = padding_end.list();
        c.allow_any_padding = allow_any_padding;
        c.allow_any_dtype = allow_any_dtype;
        c.auto_pad = static_cast<std::int32_t>(auto_pad);
        c.dilation = dilation.list();
        c.divisor_rule = static_cast<std::int32_t>(divisor_rule);
        if (input_quantization) c.input_quantization = {input_quantization->scale, input_quantization->zero_point};
        if (output_quantization) c.output_quantization = {output_quantization->scale, output_quantization->zero_point};
        return c;
    }
};

// ---- Devices ---------------------------------------------------------------------------------------------------

// Where tensors lie, and so where the work is done; see halpool_device. `automatic` is HALPOOL_DEVICE_AUTO.
enum class Device { automatic = HALPOOL_DEVICE_AUTO, cpu = HALPOOL_DEVICE_CPU, cuda = HALPOOL_DEVICE_CUDA,
                    vulkan = HALPOOL_DEVICE_VULKAN };

struct DeviceInfo {
    Device device;
    std::string name;    // "cpu", "cuda", "vulkan"
    bool available;
    std::string reason;  // which device it is, or what is missing
};

// The devices that this program links kernels for, the CPU first. The first call looks for drivers.
inline std::vector<DeviceInfo> devices() {
    std::vector<DeviceInfo> all;
    for (std::size_t i = 0; i < halpool_device_count(); ++i) {
        const halpool_device_info info = halpool_device_at(i);
        all.push_back({static_cast<Device>(info.device), info.name, info.available != 0, info.reason});
    }
    return all;
}

// Memory of a device that halpool allocated. Movable, not copyable; a Memory moved from has size 0 and may only be
// assigned to or destroyed. Any number of threads may use one at once, as far as their reads and writes do not
// meet. It must outlive the last execution that uses it: on CUDA, until the stream has been synchronised. All
// sizes and offsets count bytes.
class Memory {
public:
    // Uninitialised. Throws Error: HALPOOL_ERROR_UNSUPPORTED where the device is not available, with the reason;
    // HALPOOL_ERROR_OUT_OF_MEMORY; HALPOOL_ERROR_INVALID_ARGUMENT for Device::automatic.
    Memory(Device device, std::size_t bytes) {
        halpool_memory *memory = nullptr;
        halpool_error error;
        detail::check(halpool_memory_create(static_cast<std::int32_t>(device), bytes, &memory, &error), error);
        memory_.reset(memory);
    }

    // Copy [offset, offset + bytes) from and to host memory, and return when that is done; see
    // halpool_memory_upload. Throw Error when the range leaves the memory, or when the device fails.
    void upload(const void *from, std::size_t bytes, std::size_t offset = 0) {
        halpool_error error;
        detail::check(halpool_memory_upload(memory_.get(), offset, from, bytes, &error), error);
    }
    void download(void *to, std::size_t bytes, std::size_t offset = 0) const {
        halpool_error error;
        detail::check(halpool_memory_download(memory_.get(), offset, to, bytes, &error), error);
    }

    std::size_t size() const noexcept { return halpool_memory_size(memory_.get()); }
    Device device() const noexcept { return static_cast<Device>(halpool_memory_device(memory_.get())); }
    // A host pointer (CPU), a device pointer (CUDA), null (Vulkan). The memory stays this object's.
    void *pointer() const noexcept { return halpool_memory_pointer(memory_.get()); }
    halpool_memory *get() noexcept { return memory_.get(); }
    const halpool_memory *get() const noexcept { return memory_.get(); }

private:
    struct Destroy {
        void operator()(halpool_memory *memory) const noexcept { halpool_memory_destroy(memory); }
    };
    std::unique_ptr<halpool_memory, Destroy> memory_;
};

// ---- Plans -----------------------------------------------------------------------------------------------------

// Which kernel a plan may choose; see halpool_plan_options.
struct PlanOptions {
    // By name; empty: the environment variables HALPOOL_TARGET and HALPOOL_KERNEL, else the best for the device.
    std::string target, kernel;
    Device device = Device::automatic;
    // These two count with Device::automatic alone.
    bool result_on_device = false;  // on the first device that can, else the CPU: AvgPool2dPlan::device() tells
    const void *data = nullptr;     // into the memory that the plan will work on; not read, not kept
};

namespace detail {

using CreatePlan = halpool_status (*)(const halpool_avg_pool2d_options *, const halpool_tensor_desc *, const halpool_tensor_desc *,
                                      const halpool_plan_options *, halpool_plan **, halpool_error *);

}  // namespace detail

inline Shape avg_pool2d_output_shape(const TensorDesc &input, const IntList &kernel_size,
                                     const AvgPool2dOptions &options = {}) {
    const halpool_avg_pool2d_options c = options.c_options(kernel_size);
    const halpool_tensor_desc desc = input.desc();
    std::int64_t shape[4] = {0, 0, 0, 0};
    halpool_error error;
    detail::check(halpool_avg_pool2d_output_shape(&c, &desc, shape, &error), error);
    return Shape(shape, shape + desc.rank);
}

// A problem with its kernel chosen. Immutable; execute it from any number of threads at once. Movable, not
// copyable.
class Plan {
public:
    // On pointers to element [0, 0, 0, 0] of tensors of the plan's shapes and strides: host pointers, or, for a
    // CUDA plan, device pointers: its work is queued on the default stream. threads: see halpool_execution. Throws
    // Error.
    void execute(const void *input, void *output, int threads = 1) const {
        halpool_execution execution = HALPOOL_EXECUTION_INIT;
        execution.threads = threads;
        execute(input, output, execution);
    }
    void execute(const void *input, void *output, const halpool_execution &execution) const {
        halpool_error error;
        detail::check(halpool_plan_execute(plan_.get(), input, output, &execution, &error), error);
    }
    // CUDA plans alone: queues the work on `stream`, a CUstream or cudaStream_t, and returns.
    void execute_on_stream(const void *input, void *output, void *stream) const {
        halpool_execution execution = HALPOOL_EXECUTION_INIT;
        execution.stream = stream;
        execute(input, output, execution);
    }
    // On memory of the plan's device, any device. The offsets, in bytes, are those of element [0, 0, 0, 0]; a
    // multiple of 256 suits every device. A Vulkan plan returns when the output is complete; a CUDA plan at once.
    void execute(const Memory &input, Memory &output, int threads = 1) const {
        halpool_execution execution = HALPOOL_EXECUTION_INIT;
        execution.threads = threads;
        execute(input, 0, output, 0, execution);
    }
    void execute(const Memory &input, std::size_t input_offset, Memory &output, std::size_t output_offset,
                 const halpool_execution &execution = HALPOOL_EXECUTION_INIT) const {
        halpool_error error;
        detail::check(halpool_plan_execute_memory(plan_.get(), input.get(), input_offset, output.get(),
                                                  output_offset, &execution, &error),
                      error);
    }
    // CPU plans alone: share `part` of `parts`, on the calling thread.
    void execute_part(const void *input, void *output, int part, int parts) const {
        halpool_error error;
        detail::check(halpool_plan_execute_part(plan_.get(), input, output, part, parts, &error), error);
    }

    std::string kernel() const { return halpool_plan_kernel(plan_.get()); }
    std::string target() const { return halpool_plan_target(plan_.get()); }
    Device device() const { return static_cast<Device>(halpool_plan_device(plan_.get())); }  // never automatic
    std::string describe() const { return halpool_plan_describe(plan_.get()); }
    const halpool_plan *get() const noexcept { return plan_.get(); }

protected:
    Plan(detail::CreatePlan create, const TensorDesc &input, const TensorDesc &output, const IntList &kernel_size,
         const AvgPool2dOptions &options, const PlanOptions &plan_options) {
        const halpool_avg_pool2d_options c = options.c_options(kernel_size);
        const halpool_tensor_desc in = input.desc(), out = output.desc();
        halpool_plan_options p = HALPOOL_PLAN_OPTIONS_INIT;
        p.target = plan_options.target.empty() ? nullptr : plan_options.target.c_str();
        p.kernel = plan_options.kernel.empty() ? nullptr : plan_options.kernel.c_str();
        p.device = static_cast<std::int32_t>(plan_options.device);
        p.result_on_device = plan_options.result_on_device;
        p.data = plan_options.data;
        halpool_plan *plan = nullptr;
        halpool_error error;
        detail::check(create(&c, &in, &out, &p, &plan, &error), error);
        plan_.reset(plan);
    }

private:
    struct Destroy {
        void operator()(halpool_plan *plan) const noexcept { halpool_plan_destroy(plan); }
    };
    std::unique_ptr<halpool_plan, Destroy> plan_;
};

// The forward pass: from `input` to `output`.
class AvgPool2dPlan : public Plan {
public:
    AvgPool2dPlan(const TensorDesc &input, const TensorDesc &output, const IntList &kernel_size,
                  const AvgPool2dOptions &options = {}, const PlanOptions &plan_options = {})
        : Plan(halpool_plan_create_avg_pool2d, input, output, kernel_size, options, plan_options) {}
};

// The backward pass: execute() takes the gradient of the output, and computes that of the input.
class AvgPool2dBackwardPlan : public Plan {
public:
    AvgPool2dBackwardPlan(const TensorDesc &grad_output, const TensorDesc &grad_input, const IntList &kernel_size,
                          const AvgPool2dOptions &options = {}, const PlanOptions &plan_options = {})
        : Plan(halpool_plan_create_avg_pool2d_backward, grad_output, grad_input, kernel_size, options, plan_options) {}
};

// The gradient of the input, into memory the caller owns: grad_input has the shape of the tensor that was pooled.
inline void avg_pool2d_backward(const ConstTensorView &grad_output, const TensorView &grad_input, const IntList &kernel_size,
                                const AvgPool2dOptions &options = {}) {
    const halpool_avg_pool2d_options c = options.c_options(kernel_size);
    const halpool_tensor_desc in = grad_output.desc(), out = grad_input.desc();
    halpool_error error;
    detail::check(halpool_avg_pool2d_backward(&c, &in, grad_output.data(), &out, grad_input.data(), &error), error);
}

// Pools into memory the caller owns.
inline void avg_pool2d(const ConstTensorView &input, const TensorView &output, const IntList &kernel_size,
                       const AvgPool2dOptions &options = {}) {
    const halpool_avg_pool2d_options c = options.c_options(kernel_size);
    const halpool_tensor_desc in = input.desc(), out = output.desc();
    halpool_error error;
    detail::check(halpool_avg_pool2d(&c, &in, input.data(), &out, output.data(), &error), error);
}

// The operator: returns a new tensor, channels-last where the input is channels-last memory and not also planar.
inline Tensor avg_pool2d(const ConstTensorView &input, const IntList &kernel_size,
                         const AvgPool2dOptions &options = {}) {
    const Shape shape = avg_pool2d_output_shape(input, kernel_size, options);
    const bool planar = input.strides() == detail::dense_strides(input.shape(), MemoryFormat::contiguous);
    const bool channels_last =
        input.strides() == detail::dense_strides(input.shape(), MemoryFormat::channels_last);
    Tensor output(shape, input.dtype(), channels_last && !planar ? MemoryFormat::channels_last : MemoryFormat::contiguous);
    avg_pool2d(input, TensorView(static_cast<void *>(output.data_as<unsigned char>()), output), kernel_size, options);
    return output;
}

}  // namespace halpool

#endif  // HALPOOL_HALPOOL_HPP
