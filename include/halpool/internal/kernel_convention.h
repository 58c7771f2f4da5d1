// The one thing generators/ and runtime/ share: how a kernel is called, and what a table row says of it.
// Internal: not installed.
#ifndef HALPOOL_INTERNAL_KERNEL_CONVENTION_H
#define HALPOOL_INTERNAL_KERNEL_CONVENTION_H

#include <cstddef>
#include <cstdint>

namespace halpool {

// halide_buffer_t and halide_dimension_t of Halide 21, so that the runtime needs no Halide to be compiled; the
// generators hold these against the real ones with static_assert.
struct KernelDimension {
    std::int32_t min, extent, stride;
    std::uint32_t flags;
};

struct KernelType {
    std::uint8_t code, bits;
    std::uint16_t lanes;
};
inline constexpr KernelType kKernelFloat32{2, 32, 1}, kKernelFloat64{2, 64, 1}, kKernelInt64{0, 64, 1},
    kKernelUInt16{1, 16, 1};

struct KernelBuffer {
    std::uint64_t device;
    const void *device_interface;
    void *host;
    std::uint64_t flags;
    KernelType type;
    std::int32_t dimensions;
    KernelDimension *dim;
    void *padding;
};

// Halide addresses with 32 bits; sums of coordinates and window must fit as well: of a call's planes, or images channels-last, no
// more are in one call of a kernel than have so many elements.
inline constexpr std::int64_t kMostElements = (std::int64_t{1} << 30) - 1;

// Where the windows of one call lie, as the plan found out.
enum class Border : std::int32_t {
    none = 0,     // every window of the box lies inside the input: nothing is masked
    rows = 1,     // windows may leave the input above and below, not beside it
    masked = 2,   // windows may leave the input anywhere. Taps beside a row may be read (memory of the same tensor lies
                  // there) and are then masked to zero
    clamped = 3,  // the same, but taps beside a row may lie outside the tensor: never read them
    narrow = 4,   // as clamped, for boxes of fewer columns than a vector has, in kernels that walk down the plane
};

// The arguments of every kernel's _argv entry: pointers to these, in this order. Buffers are four-dimensional, innermost
// first: (x, y, c, n) planar, (c, x, y, n) channels-last; a global kernel sees the plane as one row (extent of y = 1).
// A call computes the box that the output's mins and extents describe.
enum KernelArgument : int {
    kUserContext,   // void *: WindowClass::large: the workspace
    kInput,         // KernelBuffer
    kKernelH,       // int32: window extents, strides and the padding before the first row and column
    kKernelW,
    kStrideH,
    kStrideW,
    kPadTop,
    kPadLeft,
    kDilationH,     // of WindowClass::generic, else 1
    kDilationW,
    kBorder,        // int32: Border
    kUniform,       // int32: 1 when all windows have one divisor
    kPitch,         // int32: WindowClass::lines: floats from a column to the next
    kInputZero,     // int32: Problem::input_zero: what an element that is zero has
    kOutputZero,
    kPositiveZero,  // factor (see Factors): +0.0, added last so that a sum of -0.0 gives +0.0 (a constant would be folded away)
    kDivisorX,      // KernelBuffer factor[output width]; a window's divisor is divisor_y[y] * divisor_x[x]
    kDivisorY,      // KernelBuffer factor[output height]
    kReciprocal,    // KernelBuffer factor[height class][output width]: 1 / (divisor_x[x] * d) in row d - 1, where d is
                    // divisor_y[y], a small integer. For kernels with `needs_reciprocal` alone, else one row;
                    // kernels of windows known at run time have one row as well where kUniform is 1
    kOutput,        // KernelBuffer
    kKernelArgumentCount
};
inline constexpr const char *kKernelArgumentNames[kKernelArgumentCount] = {
    "user_context", "input",  "kernel_h",      "kernel_w",  "stride_h",  "stride_w",   "pad_top", "pad_left",
    "dilation_h", "dilation_w", "border",       "uniform", "pitch", "input_zero", "output_zero", "positive_zero", "divisor_x", "divisor_y", "reciprocal", "output"};


// The arguments of a kernel that runs on another device than the CPU. Divisors are computed from integers in the kernel:
// tables would be buffers for the device to hold. A window's divisor is
//     own_divisor * (factor along y * factor along x) + fixed_divisor,
// where own_divisor is 1 and fixed_divisor 0, or, where all windows have one divisor, the other way round; the factor of
// the window that starts at s is the number of its taps in [divisor_begin, divisor_end), or 1. No condition decides:
// Halide passes loop-invariant conditions as bools, which SPIR-V's uniform buffers cannot hold.
enum DeviceKernelArgument : int {
    // kUserContext to kBorder as above; Border is none or clamped
    kOwnDivisor = kBorder + 1,  // int32: 0 or 1
    kDevicePositiveZero,        // float
    kDivisorBeginH,  // int32
    kDivisorBeginW,
    kDivisorEndH,
    kDivisorEndW,
    kFixedDivisor,      // float, of elements that are summed in float
    kFixedDivisorLow,   // int32: the same as an integer of 64 bits, for others; bytes take the lower half alone
    kFixedDivisorHigh,
    kDeviceScale,   // float: Problem::scale; of bytes whose means are real numbers, as what follows
    kDeviceInputZero,  // int32: Problem::input_zero
    kDeviceOutputZero,
    kOne,           // float: 1, unknown to the device's compiler (see compensated_add in pool_algorithm.cpp)
    kDeviceOutput,
    kDeviceKernelArgumentCount
};
inline constexpr const char *kDeviceKernelArgumentNames[kDeviceKernelArgumentCount] = {
    "user_context",    "input",         "kernel_h",      "kernel_w",      "stride_h",      "stride_w",
    "pad_top",         "pad_left",      "dilation_h",    "dilation_w",    "border",        "own_divisor",   "positive_zero", "divisor_begin_h",
    "divisor_begin_w", "divisor_end_h", "divisor_end_w", "fixed_divisor", "fixed_divisor_low", "fixed_divisor_high",
    "scale",           "input_zero",    "output_zero",   "one",           "output"};

// The arguments of kernels of the backward pass, for the CPU. They add up, for each element of their output, the gradient of the
// pooled tensor, their input, over the windows [first, end) that cover it, each divided as in the forward pass. Buffers as
// above; a global kernel sees the plane as one row.
enum BackwardKernelArgument : int {
    // kUserContext and kInput as above
    kBackwardPadTop = kInput + 1,  // int32: the padding before the first row and column
    kBackwardPadLeft,
    kBackwardBorder,       // int32: of planar kernels for fixed windows, masked or clamped, as above: what is read beside a row
    kBackwardUniform,      // int32: 1 when all windows have one divisor
    kWindowsH,             // int32: the most windows that cover one row, and one column
    kWindowsW,
    kStepH,                // int32: from one of them to the next
    kStepW,
    kBackwardKernelW,      // int32: a window's columns, and from one window to the next
    kBackwardStrideW,
    kBackwardPitch,        // int32: WindowClass::lines: elements from a column to the next
    kBackwardPositiveZero, // factor
    kFirstX,               // KernelBuffer int32[output width]: the first window over a column, and the one behind the last
    kEndX,
    kFirstY,               // KernelBuffer int32[output height]
    kEndY,
    kBackwardDivisorX,     // KernelBuffer factor[input width]
    kBackwardDivisorY,     // KernelBuffer factor[input height]
    kBackwardReciprocal,   // KernelBuffer factor[height class][input width]
    kBackwardOutput,
    kBackwardKernelArgumentCount
};
inline constexpr const char *kBackwardKernelArgumentNames[kBackwardKernelArgumentCount] = {
    "user_context", "input",   "pad_top", "pad_left", "border", "uniform",   "windows_h", "windows_w",  "step_h", "step_w", "kernel_w", "stride_w", "pitch", "positive_zero",
    "first_x",      "end_x",   "first_y", "end_y",    "divisor_x", "divisor_y", "reciprocal", "output"};

// Channels of a block of a channels-last device kernel whose threads are channels x something (separable, global).
inline constexpr int kChannelLanes = 32;

// WindowClass::large. Output rows are computed in blocks of kLargeBlock, and calls begin at one. Where channels-last memory has
// at least as many channels as a vector has lanes, these are taken in strips of so many; other memory is lines of floats
// whose neighbouring columns lie `step` apart: 1, or all the channels. A call needs a workspace of large_workspace() floats,
// aligned to kWorkspaceAlignment bytes; what it holds before does not matter. Here for std::int64_t and for Halide's Expr.
inline constexpr int kLargeBlock = 8;
inline constexpr int kWorkspaceAlignment = 64;

// No fewer than the whole blocks of a window along one axis, and at least 1.
template <class Int>
Int large_wholes(Int kernel, Int stride) {
    return kernel / (kLargeBlock * stride) + 1;
}
// Floats from a row to the next, in the workspace: whole vectors that do not all fall into the same sets of the cache, with
// room for vectors that begin behind the last tap, or before the first one.
template <class Int>
Int large_line_pitch(Int columns, Int kernel, Int stride, Int step) {
    return (((columns - 1) * stride + kernel) * step + 8 * step + 256 + 31) / 32 * 32 + 16;
}
template <class Int>
Int large_strip_pitch(Int columns, Int kernel, Int stride, Int lanes) {
    return ((columns - 1) * stride + kernel + 4 * kLargeBlock * stride) * lanes;
}
// Rows of the pitch, in lines: sums of a block's rows, and what else generators/large_window.cpp keeps.
template <class Int>
Int large_lines(Int kernel_h, Int stride_h) {
    return kLargeBlock + 9 + large_wholes(kernel_h, stride_h);
}
inline std::int64_t large_workspace(std::int64_t columns, std::int64_t kernel_h, std::int64_t kernel_w, std::int64_t stride_h,
                                    std::int64_t stride_w, std::int64_t step, std::int64_t lanes) {
    if (step < lanes) return large_line_pitch(columns, kernel_w, stride_w, step) * large_lines(kernel_h, stride_h);
    const std::int64_t wholes_w = large_wholes(kernel_w, stride_w), block = kLargeBlock * stride_w * lanes;
    return large_strip_pitch(columns, kernel_w, stride_w, lanes) * (large_wholes(kernel_h, stride_h) + 4) +
           block * (kLargeBlock * (wholes_w + 3) + 1) + kLargeBlock * lanes * (wholes_w + 5);
}
inline constexpr int kLeastBlocks = 4;

// WindowClass::lines. To the kernel rows are lines of floats, planar: channels-last ones are columns of kPitch floats, all the
// channels. At most kLineFloats of a line lie below the output columns of one call, and calls begin at multiples of kLineRows.
inline constexpr int kLineFloats = 3968, kLineRows = 4, kLineKernel = 64;  // the largest kernel
// In the backward pass, by generators/gradient_lines.cpp: the windows over a piece of a row of the output lie in a line of so many floats;
// planar windows have strides up to this along x.
inline constexpr int kGradientLineFloats = 8448, kMostPlanarStride = 4;
inline constexpr int kMostStreamedWindows = 2;  // over a pixel along an axis, where such pixels are streamed: without a line

// What generators/ and the runtime both conclude of a fixed window. Planar ones that overlap along a row walk down the plane
// (generators/window_walk.hpp), in strips that may not leave the row as other kernels do (Border::narrow); bytes with masked
// loads alone: their vectors are wider than most rows, which without are read a lane at a time.
constexpr bool walks_down(bool planar, int kernel_w, int stride_w, std::size_t element_bytes, bool masked_loads) {
    return planar && (stride_w == 1 || kernel_w > stride_w) && (element_bytes > 1 || masked_loads);
}
// They read vectors of neighbouring columns, of which each window takes its own, where that saves reading, or widening, an element
// for each of its windows (generators/dense_columns.hpp).
constexpr bool reads_dense_columns(int stride_w, std::size_t element_bytes) { return stride_w > 1 || element_bytes == 2; }
// Planes of windows side by side that no window leaves are one high plane.
constexpr bool lie_side_by_side(int kernel_h, int kernel_w, int stride_h, int stride_w) {
    return kernel_h == stride_h && kernel_w == stride_w;
}

// Of what type divisors and reciprocals are: the one in which sums of floats are divided. Integers are divided by way of
// floats that make their quotients exact, but those of 64 bits as they are, and sums of few bytes by 16-bit reciprocals.
enum class Factors : std::uint8_t { f32, f64, i64, u16 };

// Factors::u16: a sum of s >= 0, divided by d, is (2 s + 1) * round(2^15 / d) / 2^16, as long as (s + 1/2) d < 2^15: that of
// kMostByteTaps bytes, by at most kMostByteDivisor.
inline constexpr int kMostByteTaps = 9, kMostByteDivisor = 14;
// Of bytes in pairs: from the number of a window's taps on, so that bytes hold all means, and up to this: signed ones are s + 128 d.
inline constexpr int kMostPairDivisor = 12;

constexpr bool same_name(const char *a, const char *b) {
    while (*a && *a == *b) ++a, ++b;
    return *a == *b;
}

// What generators/ and the runtime both conclude of an arithmetic (KernelRow::dtype): of elements of one dtype ("u8"), of
// quantized ones ("qu8"), or of some that become others ("u8_f32"). fixed: of kernels for fixed windows, of bytes
// at most kMostByteTaps.
constexpr bool are_bytes(const char *dtype) { return same_name(dtype, "i8") || same_name(dtype, "u8"); }

constexpr Factors factors_of(const char *dtype, bool fixed) {
    if (same_name(dtype, "i64")) return Factors::i64;
    if (are_bytes(dtype)) return fixed ? Factors::u16 : Factors::f64;
    return same_name(dtype, "f64") || same_name(dtype, "i32") ? Factors::f64 : Factors::f32;
}

// Of bytes whose means are real numbers.
constexpr bool are_real_bytes(const char *dtype) {
    return same_name(dtype, "qi8") || same_name(dtype, "qu8") || same_name(dtype, "i8_f32") || same_name(dtype, "u8_f32");
}

// Taps that a window's sum may have: bytes are summed in 32 bits, and sums of int32 below 2^50 are divided exactly. 0: any.
constexpr std::int64_t most_taps(const char *dtype) {
    return same_name(dtype, "i32") ? std::int64_t{1} << 19 : are_bytes(dtype) || are_real_bytes(dtype) ? std::int64_t{1} << 23 : 0;
}

using KernelEntry = int (*)(void **arguments);

enum class KernelLayout : std::uint8_t { nchw, nhwc };

// Which windows a kernel takes.
enum class WindowClass : std::uint8_t {
    generic,    // any
    small,      // at most the row's kernel_h x kernel_w
    separable,  // at most the row's kernel_h x kernel_w, at most its stride_w
    lines,      // at most the row's kernel_h x kernel_w, of at most kLineFloats floats a row; one kernel for both layouts
    large,      // at most the row's kernel_h x kernel_w and strides
    blocks,     // side by side: kernel_w = stride_w, at most the row's kernel_h x kernel_w; stride_w: exactly so, 0: any.
                // They lie inside the input, at least kLeastBlocks in a row
    fixed,      // exactly the row's kernel and stride, padding smaller than the kernel
    global,     // one output a plane, no padding, the window is the plane
};

// One problem up to its batch size, which a user's workloads have listed. All 0: no such.
struct ExactProblem {
    std::int32_t channels, input_h, input_w, output_h, output_w;
    std::int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
};

struct KernelRow {
    const char *name;
    const char *op;
    const char *dtype;
    const char *window_name;
    KernelLayout layout;
    WindowClass window;
    bool needs_reciprocal;
    std::int32_t kernel_h, kernel_w, stride_h, stride_w;
    std::int32_t channels;   // exactly so many, with vectors along the row (nhwc); 0: any number
    // Of bfloat16 and bytes, fixed windows: the input, and of nhwc the output, are words of two neighbours to the kernel. Channels,
    // or of nchw the input's columns, are then even.
    bool pairs;
    ExactProblem exact;      // taken alone
    std::int32_t plane_h, plane_w, padding;  // exactly these planes, padded so on all sides; 0: any
    // What is preferred, not what is possible: below these a kernel further down the table is faster.
    std::int32_t min_channels;
    std::int32_t min_taps;                   // of the window
    std::int32_t most_columns;               // output columns, above which another is faster; 0: any number
    std::int32_t tile_rows;  // output rows the kernel computes together; shares are cut at multiples of it
    std::int32_t lanes;      // output columns of one vector (of planes walked down: of the widest); see KernelCall::run
    bool masked_loads;       // the target has them: masked taps are not read
    bool streams;            // writes its output past the caches
    // Elements: the innermost extents and the data's addresses must be multiples of it; of kernels that stream, the output's.
    std::int32_t alignment;
    // Of device kernels.
    std::int32_t threads;    // of a block
    std::int32_t tile_columns;  // of a block, where a block computes a tile (separable)
    KernelEntry entry;
};

// One per target: constant data, generated; rows in order of preference.
struct KernelTable {
    const char *target;
    const char *const *required_features;  // names of host_capabilities.hpp, ended by a null pointer
    const KernelRow *rows;
    std::size_t row_count;
};

// What a program links as one component: the tables of one instruction-set family, or of one device. Null tables: the
// component was built, but the program does not link it.
struct DeviceApi;
struct KernelComponent {
    const DeviceApi *device;  // null: the CPU
    const KernelTable *const *tables;  // best first, ended by a null pointer
};

}  // namespace halpool

#endif  // HALPOOL_INTERNAL_KERNEL_CONVENTION_H
