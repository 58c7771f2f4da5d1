#include "arguments.hpp"
#include "array.hpp"
#include "commands.hpp"
#include "report.hpp"

#include <memory>

namespace halpool::cli {

namespace {

struct ExplainArguments {
    AvgPool2dArguments pool;
    std::string op = "avg_pool2d", shape;
    bool json = false;
};

void explain(const ExplainArguments &arguments) {
    const IntList kernel_size = arguments.pool.kernel_size_list();
    const AvgPool2dOptions options = arguments.pool.options();
    const MemoryFormat format =
        arguments.pool.layout == "nhwc" ? MemoryFormat::channels_last : MemoryFormat::contiguous;
    const DType dtype = arguments.pool.dtype.empty() ? DType::f32 : dtype_named(arguments.pool.dtype);
    const TensorDesc input(parse_shape(arguments.shape), dtype, format);
    const TensorDesc output(avg_pool2d_output_shape(input, kernel_size, options), arguments.pool.result_dtype(dtype), format);
    const PlanOptions plan_options = arguments.pool.plan_options();
    const auto made = [&]() -> std::unique_ptr<const Plan> {
        if (arguments.op == "avg_pool2d") return std::make_unique<AvgPool2dPlan>(input, output, kernel_size, options, plan_options);
        return std::make_unique<AvgPool2dBackwardPlan>(output, input, kernel_size, options, plan_options);
    }();
    const Plan &plan = *made;
    if (!arguments.json) {
        const std::string text = plan.describe();
        print(!text.empty() && text.back() == '\n' ? text : text + "\n");
        return;
    }
    Json candidates = Json::array();
    for (std::size_t i = 0; i < halpool_plan_candidate_count(plan.get()); ++i) {
        const halpool_candidate candidate = halpool_plan_candidate_at(plan.get(), i);
        candidates.push_back({{"kernel", candidate.kernel},
                              {"target", candidate.target},
                              {"chosen", candidate.chosen != 0},
                              {"reason", candidate.reason}});
    }
    print(Json{{"op", arguments.op},
               {"input_shape", input.shape()},
               {"output_shape", output.shape()},
               {"dtype", dtype_name(dtype)},
               {"output_dtype", dtype_name(output.dtype())},
               {"layout", format == MemoryFormat::channels_last ? "nhwc" : "nchw"},
               {"kernel", plan.kernel()},
               {"target", plan.target()},
               {"device", device_name(plan.device())},
               {"candidates", candidates}});
}

}  // namespace

void add_explain_command(CLI::App &program) {
    const auto arguments = std::make_shared<ExplainArguments>();
    CLI::App &command =
        *program.add_subcommand("explain", "Say which kernel an operator would run, and why not the others");
    command.add_option("--shape", arguments->shape, "The input's shape")->required()->type_name("N,C,H,W");
    command.add_option("--op", arguments->op, "The operator; default: avg_pool2d. The shape is that of what is, or was, pooled")
        ->check(CLI::IsMember({"avg_pool2d", "avg_pool2d_backward"}));
    add_avg_pool2d_arguments(command, arguments->pool);
    command.add_flag("--json", arguments->json, "Print JSON");
    command.callback([arguments] { explain(*arguments); });
}

}  // namespace halpool::cli
