#include <halpool/halpool.hpp>

halpool::Tensor pool(const halpool::ConstTensorView &image) {
    return halpool::avg_pool2d(image, 3, {/*stride*/ 2, /*padding*/ 1, /*ceil_mode*/ true});
}
