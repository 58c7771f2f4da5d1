#include <halpool/halpool.h>

#include <stdio.h>

static halpool_status execute(const halpool_plan *plan, const float *pixels, size_t pixel_bytes, float *pooled,
                              size_t pooled_bytes, const halpool_execution *execution, halpool_error *error) {
    const int32_t device = halpool_plan_device(plan);
    halpool_memory *in = NULL, *out = NULL;
    halpool_status status = halpool_memory_create(device, pixel_bytes, &in, error);
    if (status == HALPOOL_OK) status = halpool_memory_create(device, pooled_bytes, &out, error);
    if (status == HALPOOL_OK) status = halpool_memory_upload(in, 0, pixels, pixel_bytes, error);
    if (status == HALPOOL_OK) status = halpool_plan_execute_memory(plan, in, 0, out, 0, execution, error);
    if (status == HALPOOL_OK) status = halpool_memory_download(out, 0, pooled, pooled_bytes, error);
    halpool_memory_destroy(in);
    halpool_memory_destroy(out);
    return status;
}

/* Pools [1, channels, side, side] by 2x2 on a halpool_device; on the CPU, on `threads` threads of halpool's pool. */
int plugin_pool(int32_t device, const float *pixels, float *pooled, int64_t channels, int64_t side, int32_t threads) {
    const int64_t in_shape[4] = {1, channels, side, side}, out_shape[4] = {1, channels, side / 2, side / 2};
    const int64_t kernel_size = 2;
    const halpool_tensor_desc input = {HALPOOL_FLOAT32, 4, in_shape, NULL};
    const halpool_tensor_desc output = {HALPOOL_FLOAT32, 4, out_shape, NULL};
    halpool_avg_pool2d_options options = HALPOOL_AVG_POOL2D_OPTIONS_INIT;
    halpool_execution execution = HALPOOL_EXECUTION_INIT;
    halpool_plan_options plan_options = HALPOOL_PLAN_OPTIONS_INIT;
    halpool_plan *plan = NULL;
    halpool_error error;
    halpool_status status;

    options.kernel_size.data = &kernel_size;
    options.kernel_size.size = 1;
    execution.threads = threads;
    plan_options.device = device;
    status = halpool_plan_create_avg_pool2d(&options, &input, &output, &plan_options, &plan, &error);
    if (status == HALPOOL_OK)
        status = execute(plan, pixels, (size_t)(channels * side * side) * sizeof(float), pooled,
                         (size_t)(channels * side * side / 4) * sizeof(float), &execution, &error);
    if (status != HALPOOL_OK) fprintf(stderr, "%s\n", error.message);
    halpool_plan_destroy(plan);
    return status;
}
