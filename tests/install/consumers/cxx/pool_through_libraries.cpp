#include <halpool/halpool.hpp>

#include <cstdio>

halpool::Tensor pool_sixteen_numbers();
bool compiled_kernels_are_linked();

int main() {
    const halpool::Tensor pooled = pool_sixteen_numbers();
    for (int row = 0; row < 3; ++row) {
        const float *values = pooled.data() + 3 * row;
        std::printf("%.4f %.4f %.4f\n", values[0], values[1], values[2]);
    }
    return compiled_kernels_are_linked() ? 0 : 1;
}
