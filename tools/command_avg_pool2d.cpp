#include "arguments.hpp"
#include "array_file.hpp"
#include "commands.hpp"
#include "report.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

namespace halpool::cli {

namespace {

struct PoolArguments {
    const char *op;
    AvgPool2dArguments pool;
    std::string input, input_shape;  // input_shape: of the backward pass, what was pooled
    std::vector<std::string> outputs;
    int threads = 1;
    bool json = false;
};

struct Speed {
    double seconds;  // of one execution, in the fastest sample
    int samples;
};

// Waits for what was queued on the memory. Only CUDA plans queue, and downloads wait for them.
void finish(const Memory &output) {
    unsigned char byte;
    if (output.device() == Device::cuda && output.size() > 0) output.download(&byte, 1);
}

// Executes the plan (so the output is complete) and times it: a warm-up, then samples long enough for the clock.
Speed execute_and_time(const Plan &plan, const Memory &input, Memory &output, int threads) {
    using Clock = std::chrono::steady_clock;
    constexpr double enough = 0.1, too_much = 2.0;
    constexpr int least_samples = 3;
    // The wait for a queue takes some microseconds, which are not the kernel's.
    const double sample_target = plan.device() == Device::cuda ? 5e-3 : 50e-6;
    const auto timed = [&](int executions) {
        const Clock::time_point start = Clock::now();
        for (int i = 0; i < executions; ++i) plan.execute(input, output, threads);
        finish(output);
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    timed(1);
    int executions = 1;
    double total = timed(executions);
    Speed speed{total, 1};
    while (total < enough || (speed.samples < least_samples && total < too_much)) {
        const double sample = timed(executions);
        total += sample;
        speed.seconds = std::min(speed.seconds, sample / executions);
        ++speed.samples;
        if (sample < sample_target) executions *= 2;
    }
    return speed;
}

// What the kernel reads and writes: the layout that was asked for, else the file's own.
TensorDesc desc_for_kernel(const TensorDesc &input, const std::string &layout) {
    if (layout.empty()) return input;
    return TensorDesc(input.shape(), input.dtype(),
                      layout == "nhwc" ? MemoryFormat::channels_last : MemoryFormat::contiguous);
}

std::string chosen_reason(const Plan &plan) {
    for (std::size_t i = 0; i < halpool_plan_candidate_count(plan.get()); ++i) {
        const halpool_candidate candidate = halpool_plan_candidate_at(plan.get(), i);
        if (candidate.chosen) return candidate.reason;
    }
    return "";
}

std::string duration_text(double seconds) {
    char text[32];
    if (seconds < 1e-3) std::snprintf(text, sizeof text, "%.3g us", seconds * 1e6);
    else if (seconds < 1) std::snprintf(text, sizeof text, "%.3g ms", seconds * 1e3);
    else std::snprintf(text, sizeof text, "%.3g s", seconds);
    return text;
}

// What is computed: the result's tensor, and the plan.
struct Pass {
    TensorDesc output;
    std::unique_ptr<const Plan> plan;
};

Pass forward(const PoolArguments &arguments, const TensorDesc &input, MemoryFormat format) {
    const IntList kernel_size = arguments.pool.kernel_size_list();
    const AvgPool2dOptions options = arguments.pool.options();
    const TensorDesc output(avg_pool2d_output_shape(input, kernel_size, options), arguments.pool.result_dtype(input.dtype()), format);
    return {output, std::make_unique<AvgPool2dPlan>(input, output, kernel_size, options, arguments.pool.plan_options())};
}

Pass backward(const PoolArguments &arguments, const TensorDesc &grad_output, MemoryFormat format) {
    const IntList kernel_size = arguments.pool.kernel_size_list();
    const TensorDesc grad_input(parse_shape(arguments.input_shape), grad_output.dtype(), format);
    return {grad_input, std::make_unique<AvgPool2dBackwardPlan>(grad_output, grad_input, kernel_size, arguments.pool.options(),
                                                                arguments.pool.plan_options())};
}

void pool(const PoolArguments &arguments) {
    const std::string &dtype = arguments.pool.dtype;
    Array input = read_array(arguments.input, dtype.empty() ? std::nullopt : std::optional(dtype_named(dtype)));
    const TensorDesc input_desc = desc_for_kernel(input.desc, arguments.pool.layout);
    const MemoryFormat format = layout_name(input_desc) == "nhwc" ? MemoryFormat::channels_last : MemoryFormat::contiguous;
    const Pass pass = arguments.input_shape.empty() ? forward(arguments, input_desc, format) : backward(arguments, input_desc, format);
    const TensorDesc &output_desc = pass.output;
    const Plan &plan = *pass.plan;
    for (const std::string &path : arguments.outputs) check_array_file(path, output_desc);

    const std::size_t input_bytes = element_count(input_desc) * element_size(input_desc.dtype());
    const std::size_t output_bytes = element_count(output_desc) * element_size(output_desc.dtype());
    if (input.desc.strides() != input_desc.strides()) input = repacked(input, input_desc);
    Memory input_memory(plan.device(), input_bytes);
    input_memory.upload(input.data(), input_bytes);
    input.bytes = {};
    Array output = make_array(output_desc);
    Memory output_memory(plan.device(), output_bytes);
    const Speed speed = execute_and_time(plan, input_memory, output_memory, arguments.threads);
    output_memory.download(output.data(), output_bytes);
    write_array(arguments.outputs, output);

    const double bytes = static_cast<double>(input_bytes) + static_cast<double>(output_bytes);
    const double gigabytes_per_second = bytes / std::max(speed.seconds, 1e-9) / 1e9;
    if (arguments.json) {
        print(Json{{"op", arguments.op},
                   {"input", arguments.input},
                   {"outputs", arguments.outputs},
                   {"input_shape", input_desc.shape()},
                   {"output_shape", output_desc.shape()},
                   {"dtype", dtype_name(input_desc.dtype())},
                   {"output_dtype", dtype_name(output_desc.dtype())},
                   {"layout", layout_name(input_desc)},
                   {"kernel", plan.kernel()},
                   {"target", plan.target()},
                   {"device", device_name(plan.device())},
                   {"reason", chosen_reason(plan)},
                   {"threads", arguments.threads},
                   {"seconds", speed.seconds},
                   {"samples", speed.samples},
                   {"gigabytes_per_second", gigabytes_per_second}});
        return;
    }
    char rate[32];
    std::snprintf(rate, sizeof rate, "%.3g GB/s", gigabytes_per_second);
    std::string text = "input   " + shape_text(input_desc.shape()) + " " + layout_name(input_desc) + "  " +
                       arguments.input + "\n";
    text += "output  " + shape_text(output_desc.shape()) + " " + layout_name(output_desc) + " ";
    for (const std::string &path : arguments.outputs) text += " " + path;
    text += "\nkernel  " + plan.kernel() + "\ntarget  " + plan.target() + "\ndevice  " +
            device_name(plan.device()) + "\nwhy     " + chosen_reason(plan) +
            "\nspeed   " + duration_text(speed.seconds) + ", " + rate + " (" + std::to_string(arguments.threads) +
            (arguments.threads == 1 ? " thread" : " threads") + ", the best of " + std::to_string(speed.samples) +
            ")\n";
    print(text);
}

CLI::App &add_command(CLI::App &program, const char *op, const char *description, const std::shared_ptr<PoolArguments> &arguments) {
    arguments->op = op;
    CLI::App &command = *program.add_subcommand(op, description);
    command.callback([arguments] { pool(*arguments); });
    return command;
}

void add_output_and_options(CLI::App &command, PoolArguments &arguments) {
    command.add_option("OUT", arguments.outputs, "The result: .npy, .png or .jpg; several get the same result")
        ->required()
        ->type_name("");
    add_avg_pool2d_arguments(command, arguments.pool);
    command.add_option("--threads", arguments.threads, "How many threads may work; default: 1")
        ->check(CLI::Range(1, 1024))
        ->type_name("N");
    command.add_flag("--json", arguments.json, "Print JSON");
}

}  // namespace

void add_avg_pool2d_command(CLI::App &program) {
    const auto arguments = std::make_shared<PoolArguments>();
    CLI::App &command = add_command(program, "avg_pool2d", "Pool a file's array and say how fast it was", arguments);
    command.add_option("IN", arguments->input, "A .npy array [N, C, H, W] or [C, H, W], or a .png or .jpg picture")
        ->required()
        ->type_name("");
    add_output_and_options(command, *arguments);
}

void add_avg_pool2d_backward_command(CLI::App &program) {
    const auto arguments = std::make_shared<PoolArguments>();
    CLI::App &command = add_command(program, "avg_pool2d_backward",
                                    "The gradient of what was pooled, from a file's gradient of the result", arguments);
    command.add_option("GRAD_OUTPUT", arguments->input, "A .npy array: the gradient of avg_pool2d's result")
        ->required()
        ->type_name("");
    command.add_option("--input-shape", arguments->input_shape, "The shape of what was pooled, and of the gradient that is written")
        ->required()
        ->type_name("N,C,H,W");
    add_output_and_options(command, *arguments);
}

}  // namespace halpool::cli
