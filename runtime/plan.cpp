#include "plan.hpp"

#include "failure.hpp"
#include "reference_kernel.hpp"
#include "thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

namespace halpool {

Plan::Plan(const Problem &problem, Demand demand)
    : problem_(problem),
      demand_(std::move(demand)),
      choice_(select_kernel(problem_, demand_)),
      empty_(problem_.output.elements() == 0),
      input_reach_(reach(problem_.input)),
      output_reach_(reach(problem_.output)) {
    if (choice_.linked.device) {
        outer_ = rows_ = tile_rows_ = 1;
        if (empty_) return;
        device_call_ = std::make_unique<const DeviceCall>(problem_, *choice_.row, *choice_.linked.device);
        if (choice_.row->alignment == 1) return;
        unaligned_choice_ = select_unaligned(problem_, demand_, choice_);
        if (unaligned_choice_.row) {
            unaligned_call_ =
                std::make_unique<const DeviceCall>(problem_, *unaligned_choice_.row, *choice_.linked.device);
        }
    } else if (choice_.row && !empty_) {
        call_ = std::make_unique<const KernelCall>(problem_, *choice_.row);
        outer_ = call_->outer();
        rows_ = call_->rows();
        tile_rows_ = call_->tile_rows();
    } else {
        outer_ = problem_.output.shape[0] * problem_.output.shape[1];
        rows_ = problem_.output.shape[2];
        tile_rows_ = 1;
    }
}

const std::vector<Candidate> &Plan::candidates() const {
    std::call_once(explained_, [this] {
        candidates_ = explain_selection(problem_, demand_, choice_);
        description_ = "problem: " + problem_.describe() + "\nkernel:  " + choice_.kernel() + " (target " +
                       choice_.target() + ", device " + device_name(device()) + ")\n";
        if (unaligned_choice_.row) {
            description_ += text("         for data not aligned to ", choice_.row->alignment * sizeof(float), " bytes: ",
                                 unaligned_choice_.row->name, "\n");
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

Plan::Reach Plan::reach(const TensorGeometry &tensor) {
    const auto bytes = [](std::int64_t elements) { return static_cast<std::intptr_t>(elements) * std::intptr_t{sizeof(float)}; };
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
    require(in % alignof(float) == 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the input's data is not aligned to ",
            alignof(float), " bytes");
    require(out % alignof(float) == 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the output's data is not aligned to ",
            alignof(float), " bytes");
    const auto at = [](std::uintptr_t base, std::intptr_t bytes) { return base + static_cast<std::uintptr_t>(bytes); };
    const bool apart = at(in, input_reach_.end) <= at(out, output_reach_.begin) ||
                       at(out, output_reach_.end) <= at(in, input_reach_.begin);
    require(apart, HALPOOL_ERROR_INVALID_ARGUMENT, "the input and the output overlap in memory");
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
        const auto range = [](const void *data, const TensorGeometry &tensor) {
            return DeviceRange{nullptr, reinterpret_cast<std::uintptr_t>(data), 0,
                               static_cast<std::uint64_t>(tensor.elements()) * sizeof(float)};
        };
        execute_on_device(range(input, problem_.input), range(output, problem_.output), execution);
        return;
    }
    const std::int64_t tiles = outer_ * ((rows_ + tile_rows_ - 1) / tile_rows_);
    const auto parts = static_cast<std::int32_t>(std::min<std::int64_t>(execution.threads, tiles));
    if (parts == 1 && !execution.parallel_for) {
        check_kernel(run_whole(static_cast<const float *>(input), static_cast<float *>(output)));
        return;
    }

    struct Shares {
        const Plan *plan;
        const float *input;
        float *output;
        std::int32_t parts;
        std::atomic<std::int32_t> run{0};
        std::atomic<int> status{0};
    } shares{this, static_cast<const float *>(input), static_cast<float *>(output), parts};
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
        const std::size_t below = static_cast<std::size_t>(-side.tensor.lowest()) * sizeof(float);
        const std::size_t above = (static_cast<std::size_t>(side.tensor.highest()) + 1) * sizeof(float);
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
                           static_cast<std::uint64_t>(side.tensor.elements()) * sizeof(float)};
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
    const DeviceCall *call = takes(device_call_.get()) ? device_call_.get() : unaligned_call_.get();
    require(takes(call), HALPOOL_ERROR_INVALID_ARGUMENT, "the data is not aligned to ",
            choice_.row->alignment * sizeof(float), " bytes, which the demanded kernel ", choice_.kernel(), " needs");
    call->run(input, output, execution.stream);
}

void Plan::execute_part(const void *input, void *output, std::int32_t part, std::int32_t parts) const {
    require(part >= 0 && part < parts, HALPOOL_ERROR_INVALID_ARGUMENT, "part ", part, " of ", parts,
            " does not exist: it must lie in [0, parts)");
    require(!choice_.linked.device, HALPOOL_ERROR_INVALID_ARGUMENT, "this plan runs on ", device_name(device()),
            ", which shares the work out itself: use halpool_plan_execute");
    if (empty_) return;
    check_data(input, output);
    check_kernel(run_share(static_cast<const float *>(input), static_cast<float *>(output), part, parts));
}

int Plan::run_whole(const float *input, float *output) const {
    return call_ ? call_->run(input, output) : run_box(input, output, {0, outer_, 0, rows_});
}

// The output is a sequence of tiles, tile_rows_ rows each, slice after slice; a share is a run of them.
int Plan::run_share(const float *input, float *output, std::int64_t part, std::int64_t parts) const {
    if (parts == 1) return run_whole(input, output);
    const std::int64_t tiles_in_slice = (rows_ + tile_rows_ - 1) / tile_rows_;
    const std::int64_t tiles = outer_ * tiles_in_slice;
    // tiles * part may not fit 64 bits: tiles is below 2^63 and part below 2^31.
    const std::int64_t quotient = tiles / parts, remainder = tiles % parts;
    const auto cut = [&](std::int64_t p) { return quotient * p + remainder * p / parts; };
    std::int64_t at = cut(part);
    const std::int64_t end = cut(part + 1);
    const auto box = [&](std::int64_t outer_begin, std::int64_t outer_end, std::int64_t tile_begin,
                         std::int64_t tile_end) {
        return Box{outer_begin, outer_end, tile_begin * tile_rows_, std::min(tile_end * tile_rows_, rows_)};
    };
    while (at < end) {
        const std::int64_t slice = at / tiles_in_slice, tile = at % tiles_in_slice;
        std::int64_t slices = (end - at) / tiles_in_slice, count = 0;
        Box part_box{};
        if (tile != 0 || slices == 0) {
            count = std::min(tiles_in_slice - tile, end - at);
            part_box = box(slice, slice + 1, tile, tile + count);
        } else {
            count = slices * tiles_in_slice;
            part_box = box(slice, slice + slices, 0, tiles_in_slice);
        }
        const int status = run_box(input, output, part_box);
        if (status != 0) return status;
        at += count;
    }
    return 0;
}

int Plan::run_box(const float *input, float *output, const Box &box) const {
    if (call_) return call_->run(input, output, box);
    reference_avg_pool2d(problem_, input, output, box.outer_begin, box.outer_end, box.row_begin, box.row_end);
    return 0;
}

}  // namespace halpool
