// What every generator does so that the runtime can call its kernels.
#ifndef HALPOOL_GENERATORS_CONVENTION_HPP
#define HALPOOL_GENERATORS_CONVENTION_HPP

#include "Halide.h"

#include <cstddef>
#include <vector>

namespace halpool {

// arguments: a generator's arginfos(). Refuses to emit where they are not those of kernel_convention.h; the first of these, the
// user context, is a target feature.
template <std::size_t count>
void check_convention(const std::vector<Halide::Internal::AbstractGenerator::ArgInfo> &arguments, const char *const (&names)[count]) {
    _halide_user_assert(arguments.size() + 1 == count) << "the arguments must be those of kernel_convention.h\n";
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        _halide_user_assert(arguments[i].name == names[i + 1])
            << arguments[i].name << " must be " << names[i + 1] << " (kernel_convention.h)\n";
    }
}

// A tensor on a device: all of it, dense; innermost extents and addresses are multiples of `alignment` elements.
template <class Tensor>
void set_dense(Tensor &tensor, const Halide::Type &element, int alignment) {
    tensor.set_host_alignment(alignment * element.bytes());
    Halide::Expr stride = 1;
    for (int i = 0; i < 4; ++i) {
        tensor.dim(i).set_min(0).set_stride(stride);
        Halide::Expr extent = tensor.dim(i).extent();
        if (i == 0 && alignment > 1) extent = extent / alignment * alignment;
        stride = stride * extent;
    }
}

}  // namespace halpool

#endif
