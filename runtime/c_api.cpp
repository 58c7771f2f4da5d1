// The C ABI of halpool.h: turns Failures and exceptions into statuses, and reads structures of older callers.
#include <halpool/halpool.h>

#include "failure.hpp"
#include "host_capabilities.hpp"
#include "kernel_registry.hpp"
#include "memory.hpp"
#include "plan.hpp"
#include "streaming.hpp"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <new>

struct halpool_plan {
    halpool::Plan plan;
};

struct halpool_memory {
    halpool::Memory memory;
};

namespace {

using namespace halpool;

// A caller's structure, with defaults for the fields its header did not know.
template <class Structure>
Structure read(const Structure *given, Structure defaults, const char *name) {
    if (!given) return defaults;
    require(given->struct_size >= sizeof(std::size_t) && given->struct_size <= 4096, HALPOOL_ERROR_INVALID_ARGUMENT,
            name, ".struct_size is ", given->struct_size, "; initialise the structure with its _INIT macro");
    if (given->struct_size == sizeof(Structure)) return *given;
    std::memcpy(&defaults, given, std::min(given->struct_size, sizeof(Structure)));
    return defaults;
}

halpool_avg_pool2d_options read_options(const halpool_avg_pool2d_options *options) {
    require(options != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "options is a null pointer");
    return read(options, halpool_avg_pool2d_options HALPOOL_AVG_POOL2D_OPTIONS_INIT, "halpool_avg_pool2d_options");
}

const halpool_tensor_desc &read_desc(const halpool_tensor_desc *desc, const char *name) {
    require(desc != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, name, " is a null pointer");
    return *desc;
}

const Plan &read_plan(const halpool_plan *plan) {
    require(plan != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "plan is a null pointer");
    return plan->plan;
}

std::string demanded(const char *given, const char *variable) {
    const char *name = given ? given : std::getenv(variable);
    return name ? name : "";
}

std::int32_t read_device(const halpool_plan_options &options, const Problem &problem) {
    if (options.device == HALPOOL_DEVICE_AUTO) {
        return automatic_device(problem, options.data, options.result_on_device != 0);
    }
    require(device_name(options.device) != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "device ", options.device,
            " is none that this library knows");
    if (options.device != HALPOOL_DEVICE_CPU) require_device(options.device);
    return options.device;
}

std::int64_t read_streaming_bytes() {
    constexpr const char *variable = "HALPOOL_STREAMING_BYTES";
    const char *const given = std::getenv(variable);
    if (!given || !*given) return least_streaming_bytes();
    std::int64_t bytes = 0;
    const char *const end = given + std::strlen(given);
    const auto [stop, error] = std::from_chars(given, end, bytes);
    require(error == std::errc() && stop == end && bytes >= 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the environment variable ", variable,
            " is '", given, "'; it must be a number of bytes");
    return bytes;
}

Demand read_demand(const halpool_plan_options *given, const Problem &problem) {
    const auto options = read(given, halpool_plan_options HALPOOL_PLAN_OPTIONS_INIT, "halpool_plan_options");
    return {demanded(options.target, "HALPOOL_TARGET"), demanded(options.kernel, "HALPOOL_KERNEL"),
            read_device(options, problem), read_streaming_bytes()};
}

bool has_reference(const Arithmetic &arithmetic, Op op) {
    return arithmetic.references[static_cast<int>(op)] && arithmetic_built_in(arithmetic) && op_built_in(op);
}

template <class MemoryType>
auto &read_memory(MemoryType *memory, const char *name) {
    require(memory != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, name, " is a null pointer");
    return memory->memory;
}

halpool_execution read_execution(const halpool_execution *execution) {
    return read(execution, halpool_execution HALPOOL_EXECUTION_INIT, "halpool_execution");
}

Problem read_problem(Op op, const halpool_avg_pool2d_options *options, const halpool_tensor_desc *input,
                     const halpool_tensor_desc *output) {
    if (op == Op::avg_pool2d) return avg_pool2d_problem(read_options(options), read_desc(input, "input"), read_desc(output, "output"));
    return avg_pool2d_backward_problem(read_options(options), read_desc(input, "grad_output"), read_desc(output, "grad_input"));
}

halpool_status execute_once(Op op, const halpool_avg_pool2d_options *options, const halpool_tensor_desc *input, const void *input_data,
                            const halpool_tensor_desc *output, void *output_data, halpool_error *error) {
    return guarded(error, [&] {
        const Problem problem = read_problem(op, options, input, output);
        halpool_plan_options plan_options = HALPOOL_PLAN_OPTIONS_INIT;
        plan_options.data = output_data;
        const Plan plan(problem, read_demand(&plan_options, problem));
        plan.execute(input_data, output_data, halpool_execution HALPOOL_EXECUTION_INIT);
    });
}

halpool_status create_plan(Op op, const halpool_avg_pool2d_options *options, const halpool_tensor_desc *input,
                           const halpool_tensor_desc *output, const halpool_plan_options *plan_options, halpool_plan **plan,
                           halpool_error *error) {
    if (plan) *plan = nullptr;
    return guarded(error, [&] {
        require(plan != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "plan is a null pointer");
        const Problem problem = read_problem(op, options, input, output);
        *plan = new halpool_plan{Plan(problem, read_demand(plan_options, problem))};
    });
}

}  // namespace

extern "C" {

#define HALPOOL_STRING_(x) #x
#define HALPOOL_STRING(x) HALPOOL_STRING_(x)
const char *halpool_version(void) {
    return HALPOOL_STRING(HALPOOL_VERSION_MAJOR) "." HALPOOL_STRING(HALPOOL_VERSION_MINOR) "." HALPOOL_STRING(
        HALPOOL_VERSION_PATCH);
}

halpool_status halpool_avg_pool2d_output_shape(const halpool_avg_pool2d_options *options,
                                               const halpool_tensor_desc *input, int64_t *output_shape,
                                               halpool_error *error) {
    return guarded(error, [&] {
        require(output_shape != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "output_shape is a null pointer");
        const halpool_tensor_desc &desc = read_desc(input, "input");
        const auto shape = avg_pool2d_shape(read_options(options), desc);
        std::copy(shape.begin(), shape.begin() + desc.rank, output_shape);
    });
}

halpool_status halpool_avg_pool2d(const halpool_avg_pool2d_options *options, const halpool_tensor_desc *input,
                                  const void *input_data, const halpool_tensor_desc *output, void *output_data,
                                  halpool_error *error) {
    return execute_once(Op::avg_pool2d, options, input, input_data, output, output_data, error);
}

halpool_status halpool_avg_pool2d_backward(const halpool_avg_pool2d_options *options, const halpool_tensor_desc *grad_output,
                                           const void *grad_output_data, const halpool_tensor_desc *grad_input,
                                           void *grad_input_data, halpool_error *error) {
    return execute_once(Op::avg_pool2d_backward, options, grad_output, grad_output_data, grad_input, grad_input_data, error);
}

halpool_status halpool_plan_create_avg_pool2d(const halpool_avg_pool2d_options *options,
                                              const halpool_tensor_desc *input, const halpool_tensor_desc *output,
                                              const halpool_plan_options *plan_options, halpool_plan **plan,
                                              halpool_error *error) {
    return create_plan(Op::avg_pool2d, options, input, output, plan_options, plan, error);
}

halpool_status halpool_plan_create_avg_pool2d_backward(const halpool_avg_pool2d_options *options,
                                                       const halpool_tensor_desc *grad_output,
                                                       const halpool_tensor_desc *grad_input,
                                                       const halpool_plan_options *plan_options, halpool_plan **plan,
                                                       halpool_error *error) {
    return create_plan(Op::avg_pool2d_backward, options, grad_output, grad_input, plan_options, plan, error);
}

void halpool_plan_destroy(halpool_plan *plan) { delete plan; }

halpool_status halpool_plan_execute(const halpool_plan *plan, const void *input_data, void *output_data,
                                    const halpool_execution *execution, halpool_error *error) {
    return guarded(error, [&] {
        read_plan(plan).execute(input_data, output_data, read_execution(execution));
    });
}

halpool_status halpool_plan_execute_memory(const halpool_plan *plan, const halpool_memory *input, size_t input_offset,
                                           halpool_memory *output, size_t output_offset,
                                           const halpool_execution *execution, halpool_error *error) {
    return guarded(error, [&] {
        read_plan(plan).execute_memory(read_memory(input, "input"), input_offset, read_memory(output, "output"),
                                       output_offset, read_execution(execution));
    });
}

halpool_status halpool_plan_execute_part(const halpool_plan *plan, const void *input_data, void *output_data,
                                         int32_t part, int32_t parts, halpool_error *error) {
    return guarded(error, [&] { read_plan(plan).execute_part(input_data, output_data, part, parts); });
}

const char *halpool_plan_kernel(const halpool_plan *plan) { return plan ? plan->plan.choice().kernel() : ""; }

const char *halpool_plan_target(const halpool_plan *plan) { return plan ? plan->plan.choice().target() : ""; }

int32_t halpool_plan_device(const halpool_plan *plan) { return plan ? plan->plan.device() : HALPOOL_DEVICE_AUTO; }

const char *halpool_plan_describe(const halpool_plan *plan) {
    const char *out = "";
    guarded(nullptr, [&] {
        if (plan) out = plan->plan.description().c_str();
    });
    return out;
}

size_t halpool_plan_candidate_count(const halpool_plan *plan) {
    size_t count = 0;
    guarded(nullptr, [&] {
        if (plan) count = plan->plan.candidates().size();
    });
    return count;
}

halpool_candidate halpool_plan_candidate_at(const halpool_plan *plan, size_t index) {
    halpool_candidate out = {nullptr, nullptr, 0, nullptr};
    guarded(nullptr, [&] {
        if (!plan || index >= plan->plan.candidates().size()) return;
        const Candidate &c = plan->plan.candidates()[index];
        out = {c.kernel, c.target, c.chosen ? 1 : 0, c.reason.c_str()};
    });
    return out;
}

size_t halpool_target_count(void) {
    size_t count = 0;
    guarded(nullptr, [&] { count = linked_tables().size() + 1; });  // and the reference kernel's
    return count;
}

halpool_target_info halpool_target_at(size_t index) {
    halpool_target_info out = {nullptr, 0, nullptr, HALPOOL_DEVICE_AUTO};
    guarded(nullptr, [&] {
        // Made once: what the host has does not change while the program runs.
        static const std::vector<std::string> objections = [] {
            std::vector<std::string> made;
            for (const LinkedTable &linked : linked_tables()) made.push_back(target_objection(linked));
            return made;
        }();
        const std::vector<LinkedTable> &tables = linked_tables();
        if (index == tables.size()) {
            out = {kReferenceTarget, 1, "plain C++, runs everywhere", HALPOOL_DEVICE_CPU};
        } else if (index < tables.size()) {
            const bool available = objections[index].empty();
            const char *has_all = tables[index].device ? "the device has all it needs" : "the host has all it needs";
            out = {tables[index].table->target, available ? 1 : 0, available ? has_all : objections[index].c_str(),
                   device_of(tables[index].device)};
        }
    });
    return out;
}

size_t halpool_kernel_count(void) {
    size_t count = 0;
    guarded(nullptr, [&] {
        for (std::size_t i = 0; const Arithmetic *arithmetic = arithmetic_at(i); ++i) {
            for (const Op op : {Op::avg_pool2d, Op::avg_pool2d_backward}) count += has_reference(*arithmetic, op) ? 1 : 0;
        }
        for (const LinkedTable &linked : linked_tables()) count += linked.table->row_count;
    });
    return count;
}

halpool_kernel_info halpool_kernel_at(size_t index) {
    halpool_kernel_info out = {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
    guarded(nullptr, [&] {
        for (const LinkedTable &linked : linked_tables()) {
            if (index >= linked.table->row_count) {
                index -= linked.table->row_count;
                continue;
            }
            const KernelRow &row = linked.table->rows[index];
            out = {row.name,  linked.table->target, row.op,
                   row.dtype, row.layout == KernelLayout::nhwc ? "nhwc" : "nchw", row.window_name};
            return;
        }
        for (std::size_t i = 0; const Arithmetic *arithmetic = arithmetic_at(i); ++i) {
            for (const Op op : {Op::avg_pool2d, Op::avg_pool2d_backward}) {
                if (!has_reference(*arithmetic, op) || index-- > 0) continue;
                out = {arithmetic->references[static_cast<int>(op)], kReferenceTarget, op_name(op), arithmetic->name, "any", "any"};
                return;
            }
        }
    });
    return out;
}

size_t halpool_device_count(void) {
    size_t count = 0;
    guarded(nullptr, [&] { count = linked_devices().size() + 1; });
    return count;
}

halpool_device_info halpool_device_at(size_t index) {
    halpool_device_info out = {HALPOOL_DEVICE_AUTO, nullptr, 0, nullptr};
    guarded(nullptr, [&] {
        if (index == 0) {
            out = {HALPOOL_DEVICE_CPU, device_name(HALPOOL_DEVICE_CPU), 1, host_features().c_str()};
        } else if (index <= linked_devices().size()) {
            const DeviceApi &api = *linked_devices()[index - 1];
            const char *reason = nullptr;
            const bool available = api.available(&reason);
            out = {api.device, device_name(api.device), available ? 1 : 0, reason};
        }
    });
    return out;
}

halpool_status halpool_memory_create(int32_t device, size_t bytes, halpool_memory **memory, halpool_error *error) {
    if (memory) *memory = nullptr;
    return guarded(error, [&] {
        require(memory != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "memory is a null pointer");
        *memory = new halpool_memory{{device, bytes}};
    });
}

void halpool_memory_destroy(halpool_memory *memory) { delete memory; }

size_t halpool_memory_size(const halpool_memory *memory) { return memory ? memory->memory.size() : 0; }

int32_t halpool_memory_device(const halpool_memory *memory) {
    return memory ? memory->memory.device() : HALPOOL_DEVICE_AUTO;
}

void *halpool_memory_pointer(const halpool_memory *memory) { return memory ? memory->memory.pointer() : nullptr; }

halpool_status halpool_memory_upload(halpool_memory *memory, size_t offset, const void *from, size_t bytes,
                                     halpool_error *error) {
    return guarded(error, [&] { read_memory(memory, "memory").upload(offset, from, bytes); });
}

halpool_status halpool_memory_download(const halpool_memory *memory, size_t offset, void *to, size_t bytes,
                                       halpool_error *error) {
    return guarded(error, [&] { read_memory(memory, "memory").download(offset, to, bytes); });
}

const char *halpool_host_features(void) {
    const char *out = "";
    guarded(nullptr, [&] { out = host_features().c_str(); });
    return out;
}

}  // extern "C"
