// Pools with halpool what a Halide kernel of the program's own computed, both on threads of their own.
#include "ramp.h"

#include <HalideBuffer.h>
#include <HalideRuntime.h>
#include <halpool/halpool.hpp>

#include <cstdio>

int main() {
    Halide::Runtime::Buffer<float> pixels(4, 4);
    if (ramp(1.0f, pixels) != 0) return 1;

    const halpool::ConstTensorView image(pixels.data(), {1, 1, 4, 4});
    halpool::Tensor pooled({1, 1, 3, 3});
    const halpool::AvgPool2dPlan plan(image, pooled, 3, {/*stride*/ 2, /*padding*/ 1, /*ceil_mode*/ true});
    plan.execute(pixels.data(), pooled.data(), /*threads*/ 3);
    for (int row = 0; row < 3; ++row) {
        const float *values = pooled.data() + 3 * row;
        std::printf("%.4f %.4f %.4f\n", values[0], values[1], values[2]);
    }

    halide_shutdown_thread_pool();
    return plan.target() == "portable";
}
