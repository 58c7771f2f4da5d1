#include "plan.hpp"

#include "backward_call.hpp"
#include "failure.hpp"
#include "gathered_call.hpp"
#include "kernel_call.hpp"
#include "reference_kernel.hpp"
#include "relaid_call.hpp"
#include "spread_call.hpp"
#include "thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

namespace halpool {
namespace {

// Bytes, read and written, that are worth a thread more: where the other thread is awake, sharing costs the caller 0.4 us,
// and from the second-level cache the fastest kernels take 32 KiB in 0.7 us.
constexpr std::int64_t kShareBytes = 32 * 1024;

}  // namespace

Plan::Plan(const Problem &problem, Demand demand)
    : problem_(problem),
      demand_(std::move(demand)),
      choice_(select_kernel(problem_, demand_)),
      empty_(problem_.output.elements() == 0),
      input_reach_(reach(problem_.input)),
      output_reach_(reach(problem_.output)) {
    if (empty_) return;
    if (choice_.row && choice_.row->alignment > 1) unaligned_choice_ = select_unaligned(problem_, demand_, choice_);
    const KernelRow *const row = choice_.row, *const unaligned = unaligned_choice_.row;
    if (choice_.linked.device) {
        const auto call = [&](const Choice &of) {
            return std::make_unique<const DeviceCall>(of.forward ? *of.forward : problem_, *of.row, *choice_.linked.device);
        };
        device_call_ = call(choice_);
        if (unaligned) unaligned_device_call_ = call(unaligned_choice_);
        return;
    }
    const auto call = [&](const Choice &of) -> std::unique_ptr<const CpuCall> {
        if (of.forward) return std::make_unique<const KernelCall>(*of.forward, *of.row);
        if (of.spread) return std::make_unique<const SpreadCall>(problem_, *of.spread, *of.row);
        if (of.gathered) return std::make_unique<const GatheredCall>(problem_, *of.gathered, *of.row);
        if (of.relaid) return std::make_unique<const RelaidCall>(problem_, *of.relaid, *of.row);
        if (problem_.op == Op::avg_pool2d) return std::make_unique<const KernelCall>(problem_, *of.row);
        return std::make_unique<const BackwardCall>(problem_, *of.row);
    };
    if (row) call_ = call(choice_);
    if (unaligned) unaligned_call_ = call(unaligned_choice_);
    shares_ = Shares(problem_.output.shape[0] * problem_.output.shape[1], problem_.output.shape[2], 1, 1);
    const std::int64_t worth = problem_.bytes() / kShareBytes;
    worthwhile_shares_ = std::clamp<std::int64_t>(worth, 1, (call_ ? call_->shares() : shares_).most());
}

const std::vector<Candidate> &Plan::candidates() const {
    std::call_once(explained_, [this] {
        candidates_ = explain_selection(problem_, demand_, choice_);
        description_ = "problem: " + problem_.describe() + "\nkernel:  " + choice_.kernel() + " (target " +
                       choice_.target() + ", device " + device_name(device()) + ")\n";
        if (unaligned_choice_.row) {
            description_ += text("         for data not aligned to ", alignment_bytes(), " bytes: ",
                                 unaligned_choice_.row->name, "\n");
        }
        const char *const layout = problem_.input.is_planar() ? "nchw" : problem_.input.is_channels_last() ? "nhwc" : nullptr;
        if (layout && !is_among(built_layouts, layout)) {
            description_ += text("         kernels for ", layout, " memory were not built in; built in: ", joined(built_layouts), "\n");
        }
        for (const Candidate &c : candidates_) {
            description_ += std::string(c.chosen ? "  * " : "    ") + c.kernel + ": " + c.reason + "\n";
        }
    });
    return candidates_;
}

const std::string &Plan::description() const {
    candidates();
    return description_;
}

std::size_t Plan::alignment_bytes() const { return static_cast<std::size_t>(choice_.row->alignment) * problem_.output.dtype->bytes; }

Plan::Reach Plan::reach(const TensorGeometry &tensor) const {
    const auto bytes = [&](std::int64_t elements) {
        return static_cast<std::intptr_t>(elements) * static_cast<std::intptr_t>(tensor.dtype->bytes);
    };
    return tensor.elements() == 0 ? Reach{0, 0} : Reach{bytes(tensor.lowest()), bytes(tensor.highest() + 1)};
}

void Plan::check_execution(const halpool_execution &execution) const {
    require(execution.threads >= 1, HALPOOL_ERROR_INVALID_ARGUMENT, "threads is ", execution.threads,
            "; it must be at least 1");
    if (!choice_.linked.device) {
        require(!execution.stream, HALPOOL_ERROR_INVALID_ARGUMENT, "stream is set, but this plan runs on the CPU");
    } else if (!choice_.linked.device->owns) {
        throw Failure{HALPOOL_ERROR_INVALID_ARGUMENT,
                      text("this plan works on ", device_name(device()),
                           " memory, which has no pointers: use halpool_plan_execute_memory")};
    }
}

void Plan::check_data(const void *input, void *output) const {
    require(input != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "the input's data is a null pointer");
    require(output != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "the output's data is a null pointer");
    const auto in = reinterpret_cast<std::uintptr_t>(input), out = reinterpret_cast<std::uintptr_t>(output);
    const auto aligned = [](std::uintptr_t address, const TensorGeometry &tensor, const char *what) {
        require(address % tensor.dtype->bytes == 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", what, "'s data is not aligned to ", tensor.dtype->bytes, " bytes");
    };
    aligned(in, problem_.input, "input");
    aligned(out, problem_.output, "output");
    const auto at = [](std::uintptr_t base, std::intptr_t bytes) { return base + static_cast<std::uintptr_t>(bytes); };
    const bool apart = at(in, input_reach_.end) <= at(out, output_reach_.begin) ||
                       at(out, output_reach_.end) <= at(in, input_reach_.begin);
    require(apart, HALPOOL_ERROR_INVALID_ARGUMENT, "the input and the output overlap in memory");
    if (!call_ || unaligned_call_) return;
    require(call_->takes_output(output), HALPOOL_ERROR_INVALID_ARGUMENT, "the output's data is not aligned to ",
            alignment_bytes(), " bytes, which the demanded kernel ", choice_.kernel(), " needs");
}

void Plan::check_kernel(int status) const {
    if (status == 0) return;
    throw Failure{HALPOOL_ERROR_INTERNAL, text("kernel ", choice_.kernel(), " failed with code ", status)};
}

void Plan::execute(const void *input, void *output, const halpool_execution &execution) const {
    check_execution(execution);
    if (empty_) return;
    check_data(input, output);
    const bool on_device = choice_.linked.device != nullptr;
    if (on_device) {
        const auto range = [&](const void *data, const TensorGeometry &tensor) {
            return DeviceRange{nullptr, reinterpret_cast<std::uintptr_t>(data), 0,
                               static_cast<std::uint64_t>(tensor.bytes())};
        };
        execute_on_device(range(input, problem_.input), range(output, problem_.output), execution);
        return;
    }
    auto parts = static_cast<std::int32_t>(std::min<std::int64_t>(execution.threads, worthwhile_shares_));
    if (!execution.parallel_for) parts = std::min(parts, kMostPoolTasks);
    if (parts == 1 && !execution.parallel_for) {
        check_kernel(run_share(input, output, 0, 1));
        return;
    }

    struct Shares {
        const Plan *plan;
        const void *input;
        void *output;
        std::int32_t parts;
        std::atomic<std::int32_t> run{0};
        std::atomic<int> status{0};
    } shares{this, input, output, parts};
    const halpool_task task = [](void *context, std::int32_t index) {
        auto &all = *static_cast<Shares *>(context);
        if (index < 0 || index >= all.parts) return;
        const int status = all.plan->run_share(all.input, all.output, index, all.parts);
        if (status != 0) all.status = status;
        all.run.fetch_add(1);
    };
    if (execution.parallel_for) {
        const int refused = execution.parallel_for(execution.parallel_for_context, parts, task, &shares);
        require(refused == 0, HALPOOL_ERROR_INTERNAL, "the caller's parallel_for returned ", refused,
                "; the output may be partly written");
        require(shares.run == parts, HALPOOL_ERROR_INTERNAL, "the caller's parallel_for ran ", shares.run.load(),
                " of ", parts, " tasks; the output may be partly written");
    } else {
        run_on_pool(parts, task, &shares);
    }
    check_kernel(shares.status);
}

void Plan::execute_memory(const Memory &input, std::size_t input_offset, Memory &output, std::size_t output_offset,
                          const halpool_execution &execution) const {
    const struct {
        const char *name;
        const Memory &memory;
        std::size_t offset;
        const TensorGeometry &tensor;
    } sides[] = {{"input", input, input_offset, problem_.input}, {"output", output, output_offset, problem_.output}};
    for (const auto &side : sides) {
        require(side.memory.device() == device(), HALPOOL_ERROR_INVALID_ARGUMENT, "the ", side.name, "'s memory is ",
                device_name(side.memory.device()), " memory; this plan works on ", device_name(device()), " memory");
        if (side.tensor.elements() == 0) continue;
        const std::size_t below = static_cast<std::size_t>(-side.tensor.lowest()) * side.tensor.dtype->bytes;
        const std::size_t above = (static_cast<std::size_t>(side.tensor.highest()) + 1) * side.tensor.dtype->bytes;
        require(side.offset <= side.memory.size() && below <= side.offset && above <= side.memory.size() - side.offset,
                HALPOOL_ERROR_INVALID_ARGUMENT, "the ", side.name, " needs ", above, " bytes from offset ", side.offset,
                "; its memory has ", side.memory.size());
    }
    if (empty_) return;
    if (!choice_.linked.device) {
        execute(static_cast<const char *>(input.pointer()) + input_offset, static_cast<char *>(output.pointer()) + output_offset,
                execution);
        return;
    }
    const DeviceLimits limits = choice_.linked.device->limits();
    const auto range = [&](const auto &side) {
        require(side.offset % limits.offset_alignment == 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the ", side.name, "'s offset ",
                side.offset, " is not a multiple of ", limits.offset_alignment, ", as the device needs");
        return DeviceRange{side.memory.device_memory(), 0, side.offset,
                           static_cast<std::uint64_t>(side.tensor.bytes())};
    };
    const DeviceRange in = range(sides[0]), out = range(sides[1]);
    const bool apart = &input != &output || in.offset + in.bytes <= out.offset || out.offset + out.bytes <= in.offset;
    require(apart, HALPOOL_ERROR_INVALID_ARGUMENT, "the input and the output overlap in memory");
    execute_on_device(in, out, execution);
}

void Plan::execute_on_device(const DeviceRange &input, const DeviceRange &output, const halpool_execution &execution) const {
    const auto takes = [&](const DeviceCall *call) {
        return call && call->takes_address(input.address + input.offset) && call->takes_address(output.address + output.offset);
    };
    const DeviceCall *call = takes(device_call_.get()) ? device_call_.get() : unaligned_device_call_.get();
    require(takes(call), HALPOOL_ERROR_INVALID_ARGUMENT, "the data is not aligned to ",
            alignment_bytes(), " bytes, which the demanded kernel ", choice_.kernel(), " needs");
    call->run(input, output, execution.stream);
}

void Plan::execute_part(const void *input, void *output, std::int32_t part, std::int32_t parts) const {
    require(part >= 0 && part < parts, HALPOOL_ERROR_INVALID_ARGUMENT, "part ", part, " of ", parts,
            " does not exist: it must lie in [0, parts)");
    require(!choice_.linked.device, HALPOOL_ERROR_INVALID_ARGUMENT, "this plan runs on ", device_name(device()),
            ", which shares the work out itself: use halpool_plan_execute");
    if (empty_) return;
    check_data(input, output);
    check_kernel(run_share(input, output, part, parts));
}

const CpuCall *Plan::call_for(const void *output) const {
    return call_ && !call_->takes_output(output) ? unaligned_call_.get() : call_.get();
}

int Plan::run_share(const void *input, void *output, std::int64_t part, std::int64_t parts) const {
    const CpuCall *const call = call_for(output);
    if (call && parts == 1) return call->run(input, output);
    return (call ? call->shares() : shares_).for_each_box(part, parts, [&](const Box &box) {
        if (call) return call->run(input, output, box);
        reference_kernel(problem_, input, output, box.outer_begin, box.outer_end, box.row_begin, box.row_end);
        return 0;
    });
}

}  // namespace halpool
