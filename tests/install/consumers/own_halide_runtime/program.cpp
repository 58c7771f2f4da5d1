// Pools with halpool what a Halide kernel of the program's own computed, both on threads of their own, or both on the
// device that the argument names, each through a runtime of its own.
#include "ramp_cuda.h"
#include "ramp_host.h"
#include "ramp_vulkan.h"

#include <HalideBuffer.h>
#include <HalideRuntime.h>
#include <halpool/halpool.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>

namespace {

using Ramp = int (*)(float, halide_buffer_t *);

struct Place {
    halpool::Device device;
    Ramp ramp;
};

Place place_of(const std::string &name) {
    if (name == "cuda") return {halpool::Device::cuda, ramp_cuda};
    if (name == "vulkan") return {halpool::Device::vulkan, ramp_vulkan};
    return {halpool::Device::cpu, ramp_host};
}

void require(int status, const char *what) {
    if (status != 0) throw std::runtime_error(what);
}

}  // namespace

int main(int argc, char **argv) try {
    const Place place = place_of(argc > 1 ? argv[1] : "cpu");
    const halpool::TensorDesc image({1, 1, 4, 4});
    halpool::Tensor pooled({1, 1, 3, 3});
    halpool::PlanOptions on_device;
    on_device.device = place.device;
    const halpool::AvgPool2dPlan plan(image, pooled, 3, {/*stride*/ 2, /*padding*/ 1, /*ceil_mode*/ true}, on_device);
    halpool::Memory input(place.device, 16 * sizeof(float)), output(place.device, 9 * sizeof(float));

    // Twice, in turns: neither runtime may leave the device in a state that the other does not expect.
    for (int round = 0; round < 2; ++round) {
        Halide::Runtime::Buffer<float> pixels(4, 4);
        require(place.ramp(1.0f, pixels), "the program's own kernel runs");
        require(pixels.copy_to_host(), "its result comes back");
        input.upload(pixels.data(), input.size());
        plan.execute(input, output, /*threads*/ 3);
        output.download(pooled.data(), output.size());
    }
    for (int row = 0; row < 3; ++row) {
        const float *values = pooled.data() + 3 * row;
        std::printf("%.4f %.4f %.4f\n", values[0], values[1], values[2]);
    }

    halide_shutdown_thread_pool();
    return plan.target() == "portable";
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
