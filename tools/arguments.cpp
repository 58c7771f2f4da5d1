#include "arguments.hpp"

#include "array.hpp"

#include "report.hpp"

#include <charconv>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace halpool::cli {

namespace {

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view space = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(space);
    return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

// One value or a sequence of them as Python writes it, brackets or not: "3", "3,3", "(3, 3)", "[]".
struct Sequence {
    std::vector<std::string_view> elements;
    const char *type;  // Python's name for what was typed; NULL: one bare element, which has a type of its own
};

[[noreturn]] void refuse(const char *argument, const std::string &cause) {
    throw std::runtime_error(std::string("avg_pool2d(): argument '") + argument + "' " + cause);
}

Sequence parse_sequence(const char *argument, std::string_view text) {
    text = trimmed(text);
    Sequence sequence{{}, nullptr};
    if (!text.empty() && (text.front() == '[' || text.front() == '(')) {
        sequence.type = text.front() == '[' ? "list" : "tuple";
        if (text.size() < 2 || text.back() != (text.front() == '[' ? ']' : ')'))
            refuse(argument, "has a bracket that is not closed: " + std::string(text));
        text = trimmed(text.substr(1, text.size() - 2));
    } else if (text.find(',') != text.npos) {
        sequence.type = "tuple";
    }
    while (!text.empty()) {
        const std::size_t comma = text.find(',');
        sequence.elements.push_back(trimmed(text.substr(0, comma)));
        if (sequence.elements.back().empty()) refuse(argument, "has an empty place between its commas");
        text = comma == text.npos ? "" : trimmed(text.substr(comma + 1));
    }
    return sequence;
}

// Python's name for the type of a literal.
const char *python_type(std::string_view literal) {
    if (literal == "None") return "NoneType";
    if (literal == "True" || literal == "False") return "bool";
    const std::size_t sign = literal.front() == '-' || literal.front() == '+' ? 1 : 0;
    if (literal.size() > sign && literal.find_first_not_of("0123456789", sign) == literal.npos) return "int";
    const std::string text(literal);
    char *end = nullptr;
    std::strtod(text.c_str(), &end);
    return end == text.c_str() + text.size() ? "float" : "str";
}

// Of a literal that python_type calls int.
std::int64_t to_integer(const char *argument, std::string_view literal) {
    if (literal.front() == '+') literal.remove_prefix(1);
    std::int64_t value = 0;
    if (std::from_chars(literal.data(), literal.data() + literal.size(), value).ec != std::errc())
        refuse(argument, "overflows 64 bits: " + std::string(literal));
    return value;
}

std::vector<std::int64_t> parse_integers(const char *argument, const std::string &text) {
    const Sequence sequence = parse_sequence(argument, text);
    std::vector<std::int64_t> integers;
    for (std::size_t i = 0; i < sequence.elements.size(); ++i) {
        const std::string type = python_type(sequence.elements[i]);
        if (type == "int") {
            integers.push_back(to_integer(argument, sequence.elements[i]));
            continue;
        }
        // PyTorch looks at the first element to recognise a tuple of ints, and at the others when it unpacks them.
        if (i == 0) refuse(argument, "must be tuple of ints, not " + (sequence.type ? sequence.type : type));
        refuse(argument, "failed to unpack the object at pos " + std::to_string(i + 1) +
                             " with error \"type must be tuple of ints,but got " + type + "\"");
    }
    return integers;
}

std::optional<std::int64_t> parse_optional_integer(const char *argument, const std::string &text) {
    const std::string_view literal = trimmed(text);
    if (literal == "None") return std::nullopt;
    const std::string type = literal.empty() ? "str" : python_type(literal);
    if (type != "int") refuse(argument, "must be int, not " + type);
    return to_integer(argument, literal);
}

// What forces a name: the option, else the environment variable.
std::string demanded(const std::string &option, const char *variable) {
    const char *const value = std::getenv(variable);
    return !option.empty() || value == nullptr ? option : value;
}

Device device_of_target(const std::string &name) {
    for (std::size_t i = 0; i < halpool_target_count(); ++i) {
        const halpool_target_info target = halpool_target_at(i);
        if (name == target.name) return static_cast<Device>(target.device);
    }
    return Device::automatic;  // an unknown name: the library says so
}

Device device_of_kernel(const std::string &name) {
    for (std::size_t i = 0; i < halpool_kernel_count(); ++i) {
        const halpool_kernel_info kernel = halpool_kernel_at(i);
        if (name == kernel.name) return device_of_target(kernel.target);
    }
    return Device::automatic;
}

}  // namespace

IntList AvgPool2dArguments::kernel_size_list() const { return parse_integers("kernel_size", kernel_size); }

AvgPool2dOptions AvgPool2dArguments::options() const {
    AvgPool2dOptions options;
    if (stride != "None") options.stride = parse_integers("stride", stride);
    options.padding = parse_integers("padding", padding);
    options.ceil_mode = ceil_mode;
    options.count_include_pad = !no_count_include_pad;
    options.divisor_override = parse_optional_integer("divisor_override", divisor_override);
    options.padding_end = parse_integers("padding_end", padding_end);
    options.allow_any_padding = any_padding;
    options.allow_any_dtype = any_dtype;
    if (input_scale != 0) options.input_quantization = Quantization{input_scale, input_zero_point};
    if (output_scale != 0) options.output_quantization = Quantization{output_scale, output_zero_point};
    options.dilation = parse_integers("dilation", dilation);
    if (!auto_pad.empty()) options.auto_pad = auto_pad == "same-upper" ? AutoPad::same_upper : AutoPad::same_lower;
    for (const auto &[name, rule] : {std::pair{"window-clipped", DivisorRule::window_clipped}, {"window-full", DivisorRule::window_full},
                                     {"valid-taps", DivisorRule::valid_taps}}) {
        if (divisor_rule == name) options.divisor_rule = rule;
    }
    return options;
}

DType AvgPool2dArguments::result_dtype(DType input) const { return output_dtype.empty() ? input : dtype_named(output_dtype); }

PlanOptions AvgPool2dArguments::plan_options() const {
    PlanOptions options;
    options.target = target;
    options.kernel = kernel;
    for (const Device named : {Device::cpu, Device::cuda, Device::vulkan})
        if (device == device_name(named)) options.device = named;
    const std::string kernel_name = demanded(kernel, "HALPOOL_KERNEL");
    const std::string target_name = demanded(target, "HALPOOL_TARGET");
    if (options.device == Device::automatic && !kernel_name.empty()) options.device = device_of_kernel(kernel_name);
    if (options.device == Device::automatic && !target_name.empty()) options.device = device_of_target(target_name);
    return options;
}

void add_avg_pool2d_arguments(CLI::App &command, AvgPool2dArguments &arguments) {
    command.add_option("--kernel-size", arguments.kernel_size, "The window: one integer, or height,width")
        ->required()
        ->type_name("K[,K]");
    command.add_option("--stride", arguments.stride, "The window's step; default: the kernel size")
        ->type_name("S[,S]");
    command.add_option("--padding", arguments.padding, "Zeros on both sides of an axis; default: 0")
        ->type_name("P[,P]");
    command
        .add_option("--padding-end", arguments.padding_end,
                    "Zeros at the bottom and the right, where they differ; then --padding is top and left alone")
        ->type_name("P[,P]");
    command.add_option("--auto-pad", arguments.auto_pad, "So much padding that there are ceil(input / stride) windows, an odd one at the end (upper) or the beginning")
        ->check(CLI::IsMember({"same-upper", "same-lower"}));
    command.add_option("--dilation", arguments.dilation, "From one element of a window to the next; default: 1")->type_name("D[,D]");
    command.add_flag("--any-padding", arguments.any_padding, "Allow a padding over half the kernel size");
    command
        .add_option("--dtype", arguments.dtype, "The elements' type; default: a file's own, else float32. A .npy file of bfloat16 holds uint16")
        ->check(CLI::IsMember(dtype_names()))
        ->type_name("DTYPE");
    command.add_flag("--any-dtype", arguments.any_dtype, "Allow int8, uint8 and int32, which PyTorch refuses");
    command.add_option("--output-dtype", arguments.output_dtype, "The result's type, where it differs: float16 or bfloat16 of float32, float32 of int8 or uint8")
        ->check(CLI::IsMember(dtype_names()))
        ->type_name("DTYPE");
    const auto add_quantization = [&](const std::string &tensor, double &scale, std::int64_t &zero_point) {
        CLI::Option *const option = command.add_option("--" + tensor + "-scale", scale, "The " + tensor + " is quantized: an element q stands for S * (q - Z)")
                                        ->check(CLI::PositiveNumber)
                                        ->type_name("S");
        command.add_option("--" + tensor + "-zero-point", zero_point, "See --" + tensor + "-scale; default: 0")->needs(option)->type_name("Z");
    };
    add_quantization("input", arguments.input_scale, arguments.input_zero_point);
    add_quantization("output", arguments.output_scale, arguments.output_zero_point);
    command.add_flag("--ceil-mode", arguments.ceil_mode, "Round the output size up, not down");
    command.add_flag("--no-count-include-pad", arguments.no_count_include_pad,
                     "Divide by the taps inside the image alone");
    command.add_option("--divisor-override", arguments.divisor_override, "Divide by D instead")->type_name("D");
    command
        .add_option("--divisor-rule", arguments.divisor_rule,
                    "What counts: the window with its padding, where it ends (as PyTorch; the default) or cut by nothing, or its elements")
        ->check(CLI::IsMember({"window-clipped", "window-full", "valid-taps"}));
    command.add_option("--layout", arguments.layout, "The memory that the kernel works on")
        ->check(CLI::IsMember({"nchw", "nhwc"}));
    command.add_option("--target", arguments.target, "Use a kernel of this target (see 'halpool info')")
        ->type_name("NAME");
    command.add_option("--kernel", arguments.kernel, "Use this kernel (see 'halpool info')")->type_name("NAME");
    command
        .add_option("--device", arguments.device,
                    "Where to work; auto, the default: the device of --target or --kernel, else the CPU")
        ->check(CLI::IsMember({"auto", "cpu", "cuda", "vulkan"}));
}

Shape parse_shape(const std::string &text) { return parse_integers("shape", text); }

}  // namespace halpool::cli
