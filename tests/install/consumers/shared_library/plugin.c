#include <halpool/halpool.h>

#include <stdio.h>

/* Pools [1, channels, side, side] by 2x2 on `threads` threads of halpool's pool. */
int plugin_pool(const float *pixels, float *pooled, int64_t channels, int64_t side, int32_t threads) {
    const int64_t in_shape[4] = {1, channels, side, side}, out_shape[4] = {1, channels, side / 2, side / 2};
    const int64_t kernel_size = 2;
    const halpool_tensor_desc input = {HALPOOL_FLOAT32, 4, in_shape, NULL};
    const halpool_tensor_desc output = {HALPOOL_FLOAT32, 4, out_shape, NULL};
    halpool_avg_pool2d_options options = HALPOOL_AVG_POOL2D_OPTIONS_INIT;
    halpool_execution execution = HALPOOL_EXECUTION_INIT;
    halpool_plan *plan = NULL;
    halpool_error error;
    halpool_status status;

    options.kernel_size.data = &kernel_size;
    options.kernel_size.size = 1;
    execution.threads = threads;
    status = halpool_plan_create_avg_pool2d(&options, &input, &output, NULL, &plan, &error);
    if (status == HALPOOL_OK) status = halpool_plan_execute(plan, pixels, pooled, &execution, &error);
    if (status != HALPOOL_OK) fprintf(stderr, "%s\n", error.message);
    halpool_plan_destroy(plan);
    return status;
}
