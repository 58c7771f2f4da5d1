// A pooling problem: what is to be computed on tensors of what shape, checked; no data and no kernel yet.
#ifndef HALPOOL_RUNTIME_PROBLEM_HPP
#define HALPOOL_RUNTIME_PROBLEM_HPP

#include "dtype.hpp"
#include "window.hpp"

#include <halpool/halpool.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace halpool {

// The elements of a tensor that [n, c, h, w] reaches, rank 3 seen as a batch of one. Strides in elements.
struct TensorGeometry {
    std::array<std::int64_t, 4> shape;
    std::array<std::int64_t, 4> strides;
    const DTypeFacts *dtype;

    std::int64_t bytes() const { return elements() * static_cast<std::int64_t>(dtype->bytes); }
    std::int64_t elements() const { return shape[0] * shape[1] * shape[2] * shape[3]; }
    // Offsets, in elements from [0, 0, 0, 0], of the lowest and the highest element.
    std::int64_t lowest() const;
    std::int64_t highest() const;
    bool is_dense(const std::array<int, 4> &axes_from_outermost) const;
    bool is_planar() const { return is_dense({0, 1, 2, 3}); }         // NCHW memory
    bool is_channels_last() const { return is_dense({0, 2, 3, 1}); }  // NHWC memory
    bool make_dense(const std::array<int, 4> &axes_from_outermost);  // false: its bytes are too many to count
    // The same with gaps, as a slice of a larger tensor has: each axis steps over all that is inside it, the innermost by 1.
    bool is_nested(const std::array<int, 4> &axes_from_outermost) const;
};

// The operators, and what kernels call them (KernelRow::op).
enum class Op { avg_pool2d, avg_pool2d_backward };
const char *op_name(Op op);
bool op_built_in(Op op);

// Of the backward pass, `input` is the gradient of the pooled tensor, `output` that of the tensor that was pooled; the axes are
// those of the forward pass, from `output` to `input`.
struct Problem {
    Op op;
    const Arithmetic *arithmetic;
    TensorGeometry input, output;
    Axis y, x;
    DivisorRule rule;
    std::int64_t fixed_divisor;  // rule == fixed
    // Of integers that stand for real numbers, else 1 and 0: a mean of real numbers is scale times that of (element - input_zero);
    // in the output's elements, what it is above output_zero.
    double scale;
    std::int32_t input_zero, output_zero;

    std::int64_t bytes() const { return input.bytes() + output.bytes(); }
    // The extents of the pooled tensor.
    std::int64_t windows_h() const { return (op == Op::avg_pool2d ? output : input).shape[2]; }
    std::int64_t windows_w() const { return (op == Op::avg_pool2d ? output : input).shape[3]; }

    // Of the backward pass of floats with windows of stride 1 that have one divisor: the forward pass that computes the same, which pools
    // the gradient with what the windows leave of its padding. Nothing for others.
    std::optional<Problem> as_forward() const;

    // Of the backward pass of float32 and float64, of others than these: the forward pass with windows of stride 1 on the windows'
    // gradients, which then lie where the windows begin, zeros between them (SpreadCall): to planar memory; and of windows of stride 1,
    // whose divisors differ, to channels-last memory from such. fixed_divisor is 1 where each gradient is divided before. Nothing for others.
    std::optional<Problem> as_spread_forward() const;
    bool spreads_channels_last() const;  // the gradients of that

    // Of the forward pass, where input and output have other layouts: the same with a dense output of the input's, planar or
    // channels-last. Nothing where they have one layout, and where the input has neither.
    std::optional<Problem> in_input_layout() const;

    // Of the forward pass, of others than these: the same with a dense input of the output's layout, planar or channels-last. Nothing
    // where the input is that, where the output has neither layout, and where a window's rows are too large to be gathered.
    std::optional<Problem> with_dense_input() const;

    std::string describe() const;  // "[1, 64, 56, 56] -> [1, 64, 28, 28], kernel 2x2, stride 2x2, ..."
};

// Checks in PyTorch's order with PyTorch's words, and gives the output's shape (input.rank extents).
// Throws Failure.
std::array<std::int64_t, 4> avg_pool2d_shape(const halpool_avg_pool2d_options &options,
                                             const halpool_tensor_desc &input);

// The same, and checks the output against it. Throws Failure.
Problem avg_pool2d_problem(const halpool_avg_pool2d_options &options, const halpool_tensor_desc &input,
                           const halpool_tensor_desc &output);

// The backward pass: checks as PyTorch's does, and the gradients' shapes. Throws Failure.
Problem avg_pool2d_backward_problem(const halpool_avg_pool2d_options &options, const halpool_tensor_desc &grad_output,
                                    const halpool_tensor_desc &grad_input);

}  // namespace halpool

#endif
