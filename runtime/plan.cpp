#include "plan.hpp"

#include "failure.hpp"
#include "reference_kernel.hpp"
#include "thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

namespace halpool {

Plan::Plan(const Problem &problem, Demand demand)
    : problem_(problem), demand_(std::move(demand)), choice_(select_kernel(problem_, demand_)) {
    if (choice_.row && problem_.output.elements() > 0) {
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
                       choice_.target() + ")\n";
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

void Plan::check_data(const void *input, void *output) const {
    require(input != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "the input's data is a null pointer");
    require(output != nullptr, HALPOOL_ERROR_INVALID_ARGUMENT, "the output's data is a null pointer");
    const auto in = reinterpret_cast<std::uintptr_t>(input), out = reinterpret_cast<std::uintptr_t>(output);
    require(in % alignof(float) == 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the input's data is not aligned to ",
            alignof(float), " bytes");
    require(out % alignof(float) == 0, HALPOOL_ERROR_INVALID_ARGUMENT, "the output's data is not aligned to ",
            alignof(float), " bytes");
    const auto at = [](std::uintptr_t base, std::int64_t element) {
        return base + static_cast<std::uintptr_t>(element) * sizeof(float);
    };
    const bool apart = at(in, problem_.input.highest()) < at(out, problem_.output.lowest()) ||
                       at(out, problem_.output.highest()) < at(in, problem_.input.lowest());
    require(apart, HALPOOL_ERROR_INVALID_ARGUMENT, "the input and the output overlap in memory");
}

void Plan::execute(const void *input, void *output, const halpool_execution &execution) const {
    require(execution.threads >= 1, HALPOOL_ERROR_INVALID_ARGUMENT, "threads is ", execution.threads,
            "; it must be at least 1");
    if (problem_.output.elements() == 0) return;
    check_data(input, output);
    const std::int64_t tiles = outer_ * ((rows_ + tile_rows_ - 1) / tile_rows_);

    struct Shares {
        const Plan *plan;
        const float *input;
        float *output;
        std::int32_t parts;
        std::atomic<std::int32_t> run{0};
        std::atomic<int> status{0};
    } shares{this, static_cast<const float *>(input), static_cast<float *>(output),
             static_cast<std::int32_t>(std::min<std::int64_t>(execution.threads, tiles))};

    if (shares.parts == 1 && !execution.parallel_for) {
        shares.status = run_share(shares.input, shares.output, 0, 1);
    } else {
        const halpool_task task = [](void *context, std::int32_t index) {
            auto &all = *static_cast<Shares *>(context);
            if (index < 0 || index >= all.parts) return;
            const int status = all.plan->run_share(all.input, all.output, index, all.parts);
            if (status != 0) all.status = status;
            all.run.fetch_add(1);
        };
        if (execution.parallel_for) {
            const int refused = execution.parallel_for(execution.parallel_for_context, shares.parts, task, &shares);
            require(refused == 0, HALPOOL_ERROR_INTERNAL, "the caller's parallel_for returned ", refused,
                    "; the output may be partly written");
            require(shares.run == shares.parts, HALPOOL_ERROR_INTERNAL, "the caller's parallel_for ran ",
                    shares.run.load(), " of ", shares.parts, " tasks; the output may be partly written");
        } else {
            run_on_pool(shares.parts, task, &shares);
        }
    }
    require(shares.status == 0, HALPOOL_ERROR_INTERNAL, "kernel ", choice_.kernel(), " failed with code ",
            shares.status.load());
}

void Plan::execute_part(const void *input, void *output, std::int32_t part, std::int32_t parts) const {
    require(part >= 0 && part < parts, HALPOOL_ERROR_INVALID_ARGUMENT, "part ", part, " of ", parts,
            " does not exist: it must lie in [0, parts)");
    if (problem_.output.elements() == 0) return;
    check_data(input, output);
    const int status = run_share(static_cast<const float *>(input), static_cast<float *>(output), part, parts);
    require(status == 0, HALPOOL_ERROR_INTERNAL, "kernel ", choice_.kernel(), " failed with code ", status);
}

// The output is a sequence of tiles, tile_rows_ rows each, slice after slice; a share is a run of them.
int Plan::run_share(const float *input, float *output, std::int64_t part, std::int64_t parts) const {
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
