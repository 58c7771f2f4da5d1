#include <halpool/halpool.h>

#include <stdio.h>
#include <string.h>

int main(void) {
    const int64_t in_shape[4] = {1, 1, 4, 4}, kernel_size = 3, stride = 2, padding = 1;
    int64_t out_shape[4];
    float pixels[16], pooled[9];
    halpool_avg_pool2d_options options = HALPOOL_AVG_POOL2D_OPTIONS_INIT;
    halpool_tensor_desc input = {HALPOOL_FLOAT32, 4, NULL, NULL}, output = {HALPOOL_FLOAT32, 4, NULL, NULL};
    halpool_plan *plan = NULL;
    halpool_error error;
    int i, compiled;

    for (i = 0; i < 16; ++i) pixels[i] = (float)(i + 1);
    input.shape = in_shape;
    output.shape = out_shape;
    options.kernel_size.data = &kernel_size;
    options.kernel_size.size = 1;
    options.stride.data = &stride;
    options.stride.size = 1;
    options.padding.data = &padding;
    options.padding.size = 1;
    options.ceil_mode = 1;

    if (halpool_avg_pool2d_output_shape(&options, &input, out_shape, &error) != HALPOOL_OK ||
        halpool_plan_create_avg_pool2d(&options, &input, &output, NULL, &plan, &error) != HALPOOL_OK ||
        halpool_plan_execute(plan, pixels, pooled, NULL, &error) != HALPOOL_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    for (i = 0; i < 9; ++i) printf("%.4f%c", pooled[i], i % 3 == 2 ? '\n' : ' ');

    compiled = strcmp(halpool_plan_target(plan), "portable") != 0;
    if (!compiled) fprintf(stderr, "no compiled kernel was linked:\n%s\n", halpool_plan_describe(plan));
    halpool_plan_destroy(plan);
    return compiled ? 0 : 1;
}
