/* halpool: average pooling kernels, compiled ahead of time with Halide. The C ABI.
 *
 * What every function here promises
 *   - No C++ exception and no abort() crosses it. A call that can fail returns a halpool_status and, when
 *     `error` is not NULL, fills it with the same status and a message for people.
 *   - A call that fails writes nothing to the output tensor (HALPOOL_ERROR_INTERNAL and _DEVICE excepted).
 *   - Sizes, shapes and strides count elements, never bytes, unless a name says bytes.
 *   - Pointers passed in stay the caller's and are not kept after the call, plans included.
 *   - All functions may be called from any thread at once. A plan is immutable: any number of threads may
 *     execute the same plan at the same time, on different outputs.
 *
 * Structures that may grow begin with struct_size: set it with the HALPOOL_..._INIT macro. A field added
 * later takes its default for a caller compiled against an older header.
 *
 * Results, shapes and error texts are those of torch.nn.functional.avg_pool2d.
 */
#ifndef HALPOOL_HALPOOL_H
#define HALPOOL_HALPOOL_H

#include <stddef.h>
#include <stdint.h>

#define HALPOOL_VERSION_MAJOR 0
#define HALPOOL_VERSION_MINOR 1
#define HALPOOL_VERSION_PATCH 0

#if defined(__GNUC__)
#define HALPOOL_API __attribute__((visibility("default")))
#else
#define HALPOOL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status ------------------------------------------------------------------------------------------------ */

typedef enum halpool_status {
    HALPOOL_OK = 0,
    HALPOOL_ERROR_INVALID_ARGUMENT = 1, /* a value PyTorch refuses with RuntimeError, or a bad pointer, shape, view */
    HALPOOL_ERROR_OUT_OF_RANGE = 2,     /* PyTorch's IndexError: too few dimensions */
    HALPOOL_ERROR_NOT_IMPLEMENTED = 3,  /* PyTorch's NotImplementedError: a dtype the operator does not have */
    HALPOOL_ERROR_UNSUPPORTED = 4,      /* valid, but not in this build or on this machine; the message says why */
    HALPOOL_ERROR_OUT_OF_MEMORY = 5,
    HALPOOL_ERROR_INTERNAL = 6, /* a bug in halpool, or a kernel that failed; the output may be partly written */
    HALPOOL_ERROR_DEVICE = 7    /* a device or its driver failed: a lost GPU, a failed launch; the output may be partly
                                   written. The message has the driver's words */
} halpool_status;

#define HALPOOL_MESSAGE_SIZE 512

/* Filled by the call it is passed to. `message` is UTF-8, ends in NUL, and is empty on success. */
typedef struct halpool_error {
    halpool_status status;
    char message[HALPOOL_MESSAGE_SIZE];
} halpool_error;

/* "0.1.0": the version of the library that is linked (the macros are the header's). Static storage. */
HALPOOL_API const char *halpool_version(void);

/* ---- Tensors ----------------------------------------------------------------------------------------------- */

typedef enum halpool_dtype {
    HALPOOL_FLOAT32 = 0,
    HALPOOL_FLOAT64 = 1,
    HALPOOL_FLOAT16 = 2,
    HALPOOL_BFLOAT16 = 3,
    HALPOOL_INT8 = 4,
    HALPOOL_UINT8 = 5,
    HALPOOL_INT16 = 6,
    HALPOOL_INT32 = 7,
    HALPOOL_INT64 = 8,
    HALPOOL_BOOL = 9,
    HALPOOL_COMPLEX64 = 10,
    HALPOOL_COMPLEX128 = 11
} halpool_dtype;

/* What a tensor looks like. shape is [N, C, H, W] or [C, H, W] whatever the memory format: channels-last memory is
 * the same shape with other strides. strides are in elements; NULL means C-contiguous (planar, "NCHW"). */
typedef struct halpool_tensor_desc {
    int32_t dtype; /* a halpool_dtype; an integer here, so that any value a caller passes is read as it is */
    int32_t rank;
    const int64_t *shape;
    const int64_t *strides;
} halpool_tensor_desc;

/* ---- Devices ----------------------------------------------------------------------------------------------- */

/* Where the tensors lie, and so where the work is done: pooling is bound by memory bandwidth, and moving tensors to
 * another device for it never pays.
 *   CPU     host memory.
 *   CUDA    the caller's CUDA memory, on the caller's stream, in the device's primary context; asynchronous.
 *   VULKAN  halpool_memory alone.
 *   AUTO    in halpool_plan_options: see there. */
typedef enum halpool_device {
    HALPOOL_DEVICE_AUTO = 0,
    HALPOOL_DEVICE_CPU = 1,
    HALPOOL_DEVICE_CUDA = 2,
    HALPOOL_DEVICE_VULKAN = 3
} halpool_device;

typedef struct halpool_device_info {
    int32_t device; /* a halpool_device */
    const char *name; /* "cpu", "cuda", "vulkan" */
    int32_t available;
    const char *reason; /* which device it is, or what is missing */
} halpool_device_info;

/* The devices that this program links kernels for, the CPU first. Static strings; an index out of range gives NULLs.
 * The first call looks for drivers, which may take a second; later calls return what it found. */
HALPOOL_API size_t halpool_device_count(void);
HALPOOL_API halpool_device_info halpool_device_at(size_t index);

/* Memory of a device, allocated by halpool. May be used by any number of threads at once, as far as their reads and
 * writes do not meet. Destroy it after the last execution that uses it has finished. */
typedef struct halpool_memory halpool_memory;

/* `bytes` of uninitialised memory on `device` (not AUTO). *memory is NULL on failure. */
HALPOOL_API halpool_status halpool_memory_create(int32_t device, size_t bytes, halpool_memory **memory,
                                                 halpool_error *error);
HALPOOL_API void halpool_memory_destroy(halpool_memory *memory); /* NULL is allowed */
HALPOOL_API size_t halpool_memory_size(const halpool_memory *memory);   /* bytes; 0 for NULL */
HALPOOL_API int32_t halpool_memory_device(const halpool_memory *memory); /* a halpool_device; AUTO for NULL */
/* The address of the first byte: a host pointer (CPU), a device pointer (CUDA), NULL (Vulkan). */
HALPOOL_API void *halpool_memory_pointer(const halpool_memory *memory);
/* Copy between host memory and [offset, offset + bytes) of the memory. They wait for the work that was queued on the
 * device before, and return when the copy is done. */
HALPOOL_API halpool_status halpool_memory_upload(halpool_memory *memory, size_t offset, const void *from, size_t bytes,
                                                 halpool_error *error);
HALPOOL_API halpool_status halpool_memory_download(const halpool_memory *memory, size_t offset, void *to, size_t bytes,
                                                   halpool_error *error);

/* ---- The operator ------------------------------------------------------------------------------------------ */

/* A list of integers: PyTorch takes one integer or [height, width]. data may be NULL when size is 0. */
typedef struct halpool_int_list {
    const int64_t *data;
    size_t size;
} halpool_int_list;

/* Padding computed from the shape, as by ONNX and TensorFlow: so much that there are ceil(input / stride) windows along each axis. */
typedef enum halpool_auto_pad {
    HALPOOL_AUTO_PAD_NONE = 0,       /* `padding` says */
    HALPOOL_AUTO_PAD_SAME_UPPER = 1, /* as much on both sides; an odd one at the end */
    HALPOOL_AUTO_PAD_SAME_LOWER = 2  /* an odd one at the beginning */
} halpool_auto_pad;

/* What a window's sum is divided by. */
typedef enum halpool_divisor_rule {
    HALPOOL_DIVISOR_DEFAULT = 0,        /* by count_include_pad and divisor_override, as PyTorch */
    HALPOOL_DIVISOR_WINDOW_CLIPPED = 1, /* its elements and what it has of the padding: PyTorch's count_include_pad, ONNX >= 19 */
    HALPOOL_DIVISOR_WINDOW_FULL = 2,    /* kernel height * width, of windows that ceil_mode cuts too: oneDNN, ONNX 7 to 18 */
    HALPOOL_DIVISOR_VALID_TAPS = 3      /* its elements alone */
} halpool_divisor_rule;

/* What an integer q of a quantized tensor stands for: scale * (q - zero_point). scale 0: the tensor is not quantized. */
typedef struct halpool_quantization {
    double scale;       /* positive and finite */
    int64_t zero_point; /* a value of the dtype */
} halpool_quantization;

typedef struct halpool_avg_pool2d_options {
    size_t struct_size;
    halpool_int_list kernel_size; /* 1 or 2 integers */
    halpool_int_list stride;      /* 0 (= kernel_size), 1 or 2 integers */
    halpool_int_list padding;     /* 1 or 2 integers: zeros on both sides of an axis; 0 integers means no padding */
    int32_t ceil_mode;            /* 0: round the output size down; else up */
    int32_t count_include_pad;    /* 0: divide by the taps inside the image; else padding counts too */
    int32_t has_divisor_override; /* 0: divisor_override is not looked at */
    int64_t divisor_override;     /* not zero; may be negative, as in PyTorch */
    /* Beyond PyTorch; the defaults are PyTorch's. */
    halpool_int_list padding_end;  /* 0 integers: the same as `padding`, which else means top and left alone */
    int32_t allow_any_padding;     /* not 0: padding may exceed half the kernel; a window wholly in padding gives 0 */
    int32_t reserved;              /* 0; what lies here in structures of older callers is not read */
    int32_t allow_any_dtype;       /* not 0: int8, uint8 and int32 too, which PyTorch refuses. Means of integers are truncated,
                                      as PyTorch's of int64; one that does not fit is the largest or least value */
    int32_t reserved_too;          /* as `reserved` */
    halpool_int_list dilation;     /* from one element of a window to the next: 1 or 2 integers; 0 integers mean 1 */
    int32_t auto_pad;              /* a halpool_auto_pad; padding is 0 then */
    int32_t divisor_rule;          /* a halpool_divisor_rule; no divisor_override then */
    /* Of int8 and uint8, forward: means are means of real numbers, and padding is zero. To int8 or uint8 they are rounded to the nearest
     * (ties to even) and saturate; without output_quantization the output's is the input's, as PyTorch's. To float32 they are
     * what they are; there, int8 and uint8 that are not quantized stand for themselves. */
    halpool_quantization input_quantization;
    halpool_quantization output_quantization;
} halpool_avg_pool2d_options;

#define HALPOOL_AVG_POOL2D_OPTIONS_INIT                                                                              \
    { sizeof(halpool_avg_pool2d_options), {0, 0}, {0, 0}, {0, 0}, 0, 1, 0, 0, {0, 0}, 0, 0, 0, 0, {0, 0}, 0, 0, {0, 0}, {0, 0} }

/* The output's shape: checks the arguments as the operator does and writes input->rank extents to output_shape
 * (room for 4). No kernel is chosen. */
HALPOOL_API halpool_status halpool_avg_pool2d_output_shape(const halpool_avg_pool2d_options *options,
                                                           const halpool_tensor_desc *input, int64_t *output_shape,
                                                           halpool_error *error);

/* One call: plan, execute, forget: on the calling thread, or, where output_data is CUDA memory, on the default stream.
 * input_data and output_data point at element [0, 0, 0, 0] of their tensors, aligned to the element; the tensors must not
 * overlap. For the hot path make a plan once. */
HALPOOL_API halpool_status halpool_avg_pool2d(const halpool_avg_pool2d_options *options,
                                              const halpool_tensor_desc *input, const void *input_data,
                                              const halpool_tensor_desc *output, void *output_data,
                                              halpool_error *error);

/* The backward pass: the gradient of the input, from that of the output. grad_input has the shape of the tensor that was pooled,
 * grad_output that of halpool_avg_pool2d_output_shape of it; neither tensor's values are needed. Each element is the sum of the
 * gradients of the windows that cover it, each divided as in the forward pass: gathered, in one order, never scattered. float16 and
 * bfloat16 are summed in float32 and rounded once; of integers each quotient is truncated before the sum. Else as
 * halpool_avg_pool2d. */
HALPOOL_API halpool_status halpool_avg_pool2d_backward(const halpool_avg_pool2d_options *options,
                                                       const halpool_tensor_desc *grad_output, const void *grad_output_data,
                                                       const halpool_tensor_desc *grad_input, void *grad_input_data,
                                                       halpool_error *error);

/* ---- Plans ------------------------------------------------------------------------------------------------- */

typedef struct halpool_plan halpool_plan;

typedef struct halpool_plan_options {
    size_t struct_size;
    /* Force a target or a kernel by name (halpool_kernel_at lists them). NULL: the environment variables
     * HALPOOL_TARGET and HALPOOL_KERNEL, and where these are unset or empty, the best kernel for this host. Forcing
     * what cannot run is HALPOOL_ERROR_UNSUPPORTED with the reason, never a silent other kernel.
     * Without a kernel forced, calls that read and write at least 3/4 of what the last-level cache holds, or 24 MiB, get kernels
     * that write their output past the caches, where the host has some; the environment variable HALPOOL_STREAMING_BYTES says
     * from how many bytes on (0: always; 9223372036854775807: never). They take outputs aligned to 64 bytes; for others a plan
     * has the next kernel ready, which gives the same bits. */
    const char *target;
    const char *kernel;
    /* A halpool_device: the plan's memory is this device's, or the plan is refused with the reason. AUTO: the place of
     * `data` decides; without `data`, or where it is host memory, the CPU, unless result_on_device is set. */
    int32_t device;
    /* AUTO only. Not 0: the result is wanted on a device other than the CPU, and the caller will bring the input there:
     * the first available one that has a kernel for the problem, else the CPU (halpool_plan_device tells). */
    int32_t result_on_device;
    /* AUTO only, may be NULL: a pointer into the memory that the plan will work on. Never read or kept. */
    const void *data;
} halpool_plan_options;

#define HALPOOL_PLAN_OPTIONS_INIT                                                                                    \
    { sizeof(halpool_plan_options), 0, 0, HALPOOL_DEVICE_AUTO, 0, 0 }

/* Checks the problem, chooses the kernel and prepares everything that does not depend on the data. `output` must have
 * the shape of halpool_avg_pool2d_output_shape and the input's dtype; or it is float16 or bfloat16 of a float32 input, which is
 * rounded once, or float32 of an int8 or uint8 input, whose means it holds. plan_options may be NULL. *plan is NULL on failure; destroy it with halpool_plan_destroy. */
HALPOOL_API halpool_status halpool_plan_create_avg_pool2d(const halpool_avg_pool2d_options *options,
                                                          const halpool_tensor_desc *input,
                                                          const halpool_tensor_desc *output,
                                                          const halpool_plan_options *plan_options,
                                                          halpool_plan **plan, halpool_error *error);

/* The same for the backward pass (halpool_avg_pool2d_backward). Such a plan's input is grad_output, its output grad_input. */
HALPOOL_API halpool_status halpool_plan_create_avg_pool2d_backward(const halpool_avg_pool2d_options *options,
                                                                   const halpool_tensor_desc *grad_output,
                                                                   const halpool_tensor_desc *grad_input,
                                                                   const halpool_plan_options *plan_options,
                                                                   halpool_plan **plan, halpool_error *error);

HALPOOL_API void halpool_plan_destroy(halpool_plan *plan); /* NULL is allowed */

/* The caller's own parallel loop: call task(task_context, i) once for each i in [0, tasks), on any threads, and
 * return when all have returned: 0, or another value if not all were run. Must not throw. */
typedef void (*halpool_task)(void *task_context, int32_t index);
typedef int (*halpool_parallel_for)(void *context, int32_t tasks, halpool_task task, void *task_context);

typedef struct halpool_execution {
    size_t struct_size;
    int32_t threads; /* 1: the calling thread alone. n > 1: at most n shares, run by halpool's pool and the caller; fewer
                        where the work is not worth so many, and without the pool where it is worth one */
    halpool_parallel_for parallel_for; /* not NULL: runs the shares, even one alone, instead of halpool's pool */
    void *parallel_for_context;
    void *stream; /* CUDA plans: the CUstream (cudaStream_t) to work on; NULL: the default stream. Others: NULL.
                     Such plans make no use of the fields above. */
} halpool_execution;

#define HALPOOL_EXECUTION_INIT                                                                                       \
    { sizeof(halpool_execution), 1, 0, 0, 0 }

/* Computes the whole output. execution may be NULL (serial). Allocates nothing, except that the first use of
 * halpool's pool starts its threads. The bits of the result do not depend on the number of threads.
 * CUDA plans take device pointers, queue the work on the stream and return: no copy, no synchronisation. Vulkan plans
 * take halpool_memory alone (below). */
HALPOOL_API halpool_status halpool_plan_execute(const halpool_plan *plan, const void *input_data, void *output_data,
                                                const halpool_execution *execution, halpool_error *error);

/* The same on memory of halpool_memory_create, which must be of the plan's device. The tensors' elements [0, 0, 0, 0] lie
 * at these offsets, in bytes; multiples of 256 suit every device. A Vulkan plan returns when the output is complete. */
HALPOOL_API halpool_status halpool_plan_execute_memory(const halpool_plan *plan, const halpool_memory *input,
                                                       size_t input_offset, halpool_memory *output,
                                                       size_t output_offset, const halpool_execution *execution,
                                                       halpool_error *error);

/* CPU plans only. Computes share `part` of `parts` on the calling thread: touches no thread, lock or heap. The shares are disjoint,
 * cover the output and are near equal in bytes; when all `parts` calls have returned, in any order and on any
 * threads, the output is complete. 0 <= part < parts. */
HALPOOL_API halpool_status halpool_plan_execute_part(const halpool_plan *plan, const void *input_data,
                                                     void *output_data, int32_t part, int32_t parts,
                                                     halpool_error *error);

/* The name of the kernel that the plan runs, and of its target. Owned by the plan. "" for a NULL plan. */
HALPOOL_API const char *halpool_plan_kernel(const halpool_plan *plan);
HALPOOL_API const char *halpool_plan_target(const halpool_plan *plan);
/* The device whose memory the plan works on, never AUTO; AUTO for a NULL plan. */
HALPOOL_API int32_t halpool_plan_device(const halpool_plan *plan);

/* Text for people: the problem, the chosen kernel, and why each kernel before it was passed over. Owned by the plan. */
HALPOOL_API const char *halpool_plan_describe(const halpool_plan *plan);

/* Every kernel for the operator and the dtype, in the selector's order of preference. */
typedef struct halpool_candidate {
    const char *kernel;
    const char *target;
    int32_t chosen;     /* 1 for exactly one candidate of a plan */
    const char *reason; /* why it was chosen, or passed over */
} halpool_candidate;

HALPOOL_API size_t halpool_plan_candidate_count(const halpool_plan *plan);
/* index < halpool_plan_candidate_count(plan), else the fields are NULL. Strings are owned by the plan. */
HALPOOL_API halpool_candidate halpool_plan_candidate_at(const halpool_plan *plan, size_t index);

/* ---- What this library and this host have -------------------------------------------------------------------- */

typedef struct halpool_target_info {
    const char *name;
    int32_t available;  /* 1: kernels of this target can run here */
    const char *reason; /* why, or what is missing */
    int32_t device;     /* the halpool_device its kernels run on */
} halpool_target_info;

typedef struct halpool_kernel_info {
    const char *name;
    const char *target;
    const char *op;     /* "avg_pool2d", "avg_pool2d_backward" */
    const char *dtype;  /* "f32", "f64", "f16", "bf16", "i8", "u8", "i32", "i64"; quantized: "qi8", "qu8"; of one dtype that becomes
                           another: "i8_f32", "u8_f32", "f32_f16", "f32_bf16" */
    const char *layout; /* "nchw", "nhwc", or "any" */
    const char *window; /* "generic", "2x2s2", ..., "global", or "any" */
} halpool_kernel_info;

/* All strings are static. An index out of range gives NULL fields. */
HALPOOL_API size_t halpool_target_count(void);
HALPOOL_API halpool_target_info halpool_target_at(size_t index);
HALPOOL_API size_t halpool_kernel_count(void);
HALPOOL_API halpool_kernel_info halpool_kernel_at(size_t index);

/* The instruction-set features that CPU and operating system both allow, separated by spaces: "sse41 avx avx2 ...".
 * Static storage. */
HALPOOL_API const char *halpool_host_features(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* HALPOOL_HALPOOL_H */
