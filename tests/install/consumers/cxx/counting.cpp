#include <halpool/halpool.hpp>

#include <numeric>
#include <string>
#include <vector>

halpool::Tensor pool(const halpool::ConstTensorView &image);

halpool::Tensor pool_sixteen_numbers() {
    std::vector<float> pixels(16);
    std::iota(pixels.begin(), pixels.end(), 1.0f);
    return pool(halpool::ConstTensorView(pixels.data(), {1, 1, 4, 4}));
}

bool compiled_kernels_are_linked() { return halpool_kernel_at(0).window != std::string("any"); }
