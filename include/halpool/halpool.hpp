// halpool: the C++17 wrapper over halpool.h. Header only; errors become halpool::Error.
//
//   std::vector<float> pixels = ...;                                          // [1, 3, 480, 640], planar
//   halpool::ConstTensorView input(pixels.data(), {1, 3, 480, 640});
//   halpool::Tensor pooled = halpool::avg_pool2d(input, 3, {/*stride*/ 2, /*padding*/ 1});
//
// For the hot path make a halpool::AvgPool2dPlan once and execute it. Thread safety, units and ownership are those of
// halpool.h.
#ifndef HALPOOL_HALPOOL_HPP
#define HALPOOL_HALPOOL_HPP

#include <halpool/halpool.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
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

// A dense f32 tensor that owns its memory: what the simple calls return.
class Tensor : public TensorDesc {
public:
    explicit Tensor(Shape shape, MemoryFormat format = MemoryFormat::contiguous)
        : TensorDesc(std::move(shape), DType::f32, format), values_(count(this->shape())) {}
    float *data() noexcept { return values_.data(); }
    const float *data() const noexcept { return values_.data(); }
    std::size_t size() const noexcept { return values_.size(); }

private:
    static std::size_t count(const Shape &shape) {
        std::size_t n = 1;
        for (std::int64_t extent : shape) n *= static_cast<std::size_t>(extent);
        return n;
    }
    std::vector<float> values_;
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
        return c;
    }
};

// Force a target or a kernel by name; empty: the environment variables, else the best for this host.
struct PlanOptions {
    std::string target, kernel;
};

inline Shape avg_pool2d_output_shape(const TensorDesc &input, const IntList &kernel_size,
                                     const AvgPool2dOptions &options = {}) {
    const halpool_avg_pool2d_options c = options.c_options(kernel_size);
    const halpool_tensor_desc desc = input.desc();
    std::int64_t shape[4] = {0, 0, 0, 0};
    halpool_error error;
    detail::check(halpool_avg_pool2d_output_shape(&c, &desc, shape, &error), error);
    return Shape(shape, shape + desc.rank);
}

// A problem with its kernel chosen. Immutable; execute it from any number of threads at once. Movable, not copyable.
class AvgPool2dPlan {
public:
    AvgPool2dPlan(const TensorDesc &input, const TensorDesc &output, const IntList &kernel_size,
                  const AvgPool2dOptions &options = {}, const PlanOptions &plan_options = {}) {
        const halpool_avg_pool2d_options c = options.c_options(kernel_size);
        const halpool_tensor_desc in = input.desc(), out = output.desc();
        halpool_plan_options p = HALPOOL_PLAN_OPTIONS_INIT;
        p.target = plan_options.target.empty() ? nullptr : plan_options.target.c_str();
        p.kernel = plan_options.kernel.empty() ? nullptr : plan_options.kernel.c_str();
        halpool_plan *plan = nullptr;
        halpool_error error;
        detail::check(halpool_plan_create_avg_pool2d(&c, &in, &out, &p, &plan, &error), error);
        plan_.reset(plan);
    }

    // threads: see halpool_execution. The pointers are to tensors of the plan's shapes and strides.
    void execute(const void *input, void *output, int threads = 1) const {
        halpool_execution execution = HALPOOL_EXECUTION_INIT;
        execution.threads = threads;
        execute(input, output, execution);
    }
    void execute(const void *input, void *output, const halpool_execution &execution) const {
        halpool_error error;
        detail::check(halpool_plan_execute(plan_.get(), input, output, &execution, &error), error);
    }
    void execute_part(const void *input, void *output, int part, int parts) const {
        halpool_error error;
        detail::check(halpool_plan_execute_part(plan_.get(), input, output, part, parts, &error), error);
    }

    std::string kernel() const { return halpool_plan_kernel(plan_.get()); }
    std::string target() const { return halpool_plan_target(plan_.get()); }
    std::string describe() const { return halpool_plan_describe(plan_.get()); }
    const halpool_plan *get() const noexcept { return plan_.get(); }

private:
    struct Destroy {
        void operator()(halpool_plan *plan) const noexcept { halpool_plan_destroy(plan); }
    };
    std::unique_ptr<halpool_plan, Destroy> plan_;
};

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
    const bool channels_last = input.strides() == detail::dense_strides(input.shape(), MemoryFormat::channels_last);
    Tensor output(shape, channels_last && !planar ? MemoryFormat::channels_last : MemoryFormat::contiguous);
    avg_pool2d(input, TensorView(output.data(), output), kernel_size, options);
    return output;
}

}  // namespace halpool

#endif  // HALPOOL_HALPOOL_HPP
