// What kernels of devices are told beside the window (DeviceKernelArgument of kernel_convention.h), and what they divide by.
#ifndef HALPOOL_GENERATORS_DEVICE_ARGUMENTS_HPP
#define HALPOOL_GENERATORS_DEVICE_ARGUMENTS_HPP

#include "element_type.hpp"
#include "pool_algorithm.hpp"

#include <functional>
#include <vector>

namespace halpool {

// Inputs that configure() adds have values from generate() on.
class AddedInputs {
public:
    template <class Input>
    void add(Halide::Expr &value, Input *input) {
        reads_.push_back([&value, input] { value = *input; });
    }
    void read() {
        for (const auto &each : reads_) each();
    }

private:
    std::vector<std::function<void()>> reads_;
};

struct DeviceArguments {
    // add_int and add_float: a generator's add_input<int> and add_input<float>. In the convention's order, border left out.
    template <class AddInt, class AddFloat>
    void add(const AddInt &add_int, const AddFloat &add_float) {
        inputs_.add(own_divisor, add_int("own_divisor"));
        inputs_.add(positive_zero, add_float("positive_zero"));
        inputs_.add(begin_h, add_int("divisor_begin_h"));
        inputs_.add(begin_w, add_int("divisor_begin_w"));
        inputs_.add(end_h, add_int("divisor_end_h"));
        inputs_.add(end_w, add_int("divisor_end_w"));
        inputs_.add(fixed_divisor, add_float("fixed_divisor"));
        inputs_.add(fixed_divisor_low, add_int("fixed_divisor_low"));
        inputs_.add(fixed_divisor_high, add_int("fixed_divisor_high"));
        inputs_.add(scale, add_float("scale"));
        inputs_.add(input_zero, add_int("input_zero"));
        inputs_.add(output_zero, add_int("output_zero"));
        inputs_.add(one, add_float("one"));
    }
    void read() { inputs_.read(); }  // when generate() begins

    // As element.factor. dilated: whether the windows may be.
    Halide::Expr divisor(const ElementType &element, const WindowAxis &x, const WindowAxis &y, const Halide::Expr &ox, const Halide::Expr &oy, bool dilated) const;
    Halide::Expr fixed(const ElementType &element) const;  // where all windows have one, it

    Halide::Expr own_divisor, positive_zero, begin_h, begin_w, end_h, end_w, fixed_divisor, fixed_divisor_low, fixed_divisor_high, scale, input_zero, output_zero, one;

private:
    AddedInputs inputs_;
};

}  // namespace halpool

#endif
