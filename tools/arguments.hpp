// avg_pool2d's arguments on the command line, typed as in a call of torch.nn.functional.avg_pool2d.
#ifndef HALPOOL_TOOLS_ARGUMENTS_HPP
#define HALPOOL_TOOLS_ARGUMENTS_HPP

#include <halpool/halpool.hpp>

#include <CLI/CLI.hpp>

#include <string>

namespace halpool::cli {

struct AvgPool2dArguments {
    std::string kernel_size, stride, padding = "0", padding_end, dilation = "1", divisor_override = "None", auto_pad, divisor_rule;
    bool ceil_mode = false, no_count_include_pad = false, any_padding = false, any_dtype = false;
    std::string dtype, output_dtype;  // empty: not said
    double input_scale = 0, output_scale = 0;  // 0: not quantized
    std::int64_t input_zero_point = 0, output_zero_point = 0;
    std::string layout, target, kernel, device = "auto";

    // These three refuse what is no integer, in PyTorch's words, by throwing std::runtime_error.
    IntList kernel_size_list() const;
    AvgPool2dOptions options() const;
    // For `auto`, the device of the kernel or the target that is named, by option or by environment variable.
    PlanOptions plan_options() const;
    DType result_dtype(DType input) const;
};

void add_avg_pool2d_arguments(CLI::App &command, AvgPool2dArguments &arguments);

// "1,3,224,224"
Shape parse_shape(const std::string &text);

}  // namespace halpool::cli

#endif
