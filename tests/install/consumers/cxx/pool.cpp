#include <halpool/halpool.hpp>

#include <cstdio>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

// Parts of the C++ library that halpool's runtime is made with too: both copies must fit into one program.
static std::string text(std::size_t number) {
    std::ostringstream stream;
    stream << std::to_string(number) << ' ' << number;
    return stream.str();
}

int main() {
    std::vector<float> pixels(16);
    std::iota(pixels.begin(), pixels.end(), 1.0f);
    const halpool::ConstTensorView image(pixels.data(), {1, 1, 4, 4});
    const halpool::IntList kernel_size = 3;
    const halpool::AvgPool2dOptions options{/*stride*/ 2, /*padding*/ 1, /*ceil_mode*/ true};

    const halpool::Tensor pooled = halpool::avg_pool2d(image, kernel_size, options);
    for (int row = 0; row < 3; ++row) {
        const float *values = pooled.data() + 3 * row;
        std::printf("%.4f %.4f %.4f\n", values[0], values[1], values[2]);
    }

    const halpool::AvgPool2dPlan plan(image, pooled, kernel_size, options);
    if (plan.target() == "portable") {
        const std::string kernels = text(halpool_kernel_count());
        std::fprintf(stderr, "none of %s kernels:\n%s\n", kernels.c_str(), plan.describe().c_str());
        return 1;
    }
}
