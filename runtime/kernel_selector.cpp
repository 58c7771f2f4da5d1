#include "kernel_selector.hpp"

#include "failure.hpp"

#include <limits>

namespace halpool {
namespace {

std::string by(std::int64_t a, std::int64_t b) { return std::to_string(a) + "x" + std::to_string(b); }

// Empty when the kernel computes this problem, else what speaks against it.
std::string problem_objection(const KernelRow &row, const Problem &p) {
    const bool nhwc = row.layout == KernelLayout::nhwc;
    const auto in_layout = [&](const TensorGeometry &g) { return nhwc ? g.is_channels_last() : g.is_planar(); };
    const char *memory = nhwc ? "dense channels-last (NHWC)" : "dense planar (NCHW)";
    if (!in_layout(p.input)) return text("needs ", memory, " memory, the input's is not");
    if (!in_layout(p.output)) return text("needs ", memory, " memory, the output's is not");
    if (row.channels != 0 && row.channels != p.input.shape[1]) return text("takes ", row.channels, " channels only");
    if (row.window == WindowClass::fixed) {
        if (row.kernel_h != p.y.kernel || row.kernel_w != p.x.kernel || row.stride_h != p.y.stride ||
            row.stride_w != p.x.stride) {
            return text("computes kernel ", by(row.kernel_h, row.kernel_w), " stride ",
                        by(row.stride_h, row.stride_w), " only");
        }
        if (p.y.pad_begin >= p.y.kernel || p.x.pad_begin >= p.x.kernel) {
            return "takes padding smaller than the kernel only";
        }
    }
    const bool limited = row.window == WindowClass::small || row.window == WindowClass::separable;
    if (limited && (p.y.kernel > row.kernel_h || p.x.kernel > row.kernel_w)) {
        return text("takes kernels of at most ", by(row.kernel_h, row.kernel_w));
    }
    if (row.window == WindowClass::separable && p.x.stride > row.stride_w) {
        return text("takes horizontal strides of at most ", row.stride_w);
    }
    if (row.window == WindowClass::global) {
        const bool whole_plane = p.output.shape[2] == 1 && p.output.shape[3] == 1 && !leaves_input(p.y, 0) &&
                                 !leaves_input(p.x, 0) && p.y.kernel == p.y.input && p.x.kernel == p.x.input;
        if (!whole_plane) return "takes windows that are exactly the whole plane only";
    }
    // Halide addresses with 32 bits; the sums of coordinates and window below must fit as well.
    constexpr std::int64_t limit = std::numeric_limits<std::int32_t>::max() / 2;
    if (p.input.elements() > limit || p.output.elements() > limit) {
        return text("takes tensors of at most ", limit, " elements");
    }
    for (const Axis &axis : {p.y, p.x}) {
        for (std::int64_t reach : {axis.kernel, axis.stride, axis.pad_begin, axis.pad_begin + axis.kernel + axis.input}) {
            if (reach > limit / 2) return text("takes window parameters of at most ", limit / 2);
        }
    }
    return "";
}

// Empty when the kernel is fast on this problem; else a kernel further down is the better choice, unless this one was
// demanded by name.
std::string preference_objection(const KernelRow &row, const Problem &p) {
    if (p.input.shape[1] < row.min_channels) return text("is slow below ", row.min_channels, " channels");
    if (p.output.shape[3] < row.min_columns) return text("is slow below ", row.min_columns, " output columns");
    if (p.y.kernel * p.x.kernel < row.min_taps) return text("is slow below ", row.min_taps, " taps");
    return "";
}

std::string demand_objection(const char *kernel, const char *target, const Demand &demand) {
    if (!demand.kernel.empty() && demand.kernel != kernel) return "kernel " + demand.kernel + " was demanded";
    if (!demand.target.empty() && demand.target != target) return "target " + demand.target + " was demanded";
    return "";
}

std::string host_objection(const KernelTable &table) {
    const std::string missing = missing_features(table);
    return missing.empty() ? "" : "this host lacks " + missing;
}

std::string objection(const KernelTable &table, const KernelRow &row, const Problem &problem, const Demand &demand) {
    std::string reason = demand_objection(row.name, table.target, demand);
    if (reason.empty()) reason = host_objection(table);
    if (reason.empty()) reason = problem_objection(row, problem);
    if (reason.empty() && demand.kernel.empty()) reason = preference_objection(row, problem);
    return reason;
}

// What the kernel was made for, in words: "3x3 windows of stride 2x2, channels-last (NHWC) memory of 3 channels".
std::string purpose(const KernelRow &row) {
    std::string out;
    switch (row.window) {
    case WindowClass::generic: out = "windows of any kind"; break;
    case WindowClass::global: out = "windows that are the whole plane"; break;
    case WindowClass::small:
    case WindowClass::separable: out = "windows up to " + by(row.kernel_h, row.kernel_w); break;
    case WindowClass::fixed:
        out = by(row.kernel_h, row.kernel_w) + " windows of stride " + by(row.stride_h, row.stride_w);
        break;
    }
    out += row.layout == KernelLayout::nhwc ? ", channels-last (NHWC) memory" : ", planar (NCHW) memory";
    return row.channels == 0 ? out : out + " of " + std::to_string(row.channels) + " channels";
}

// Why nothing met the demand: the objection to the demanded kernel, or to each of the demanded target's.
[[noreturn]] void refuse(const Problem &problem, const Demand &demand) {
    std::string why;
    bool target_exists = demand.target == kReferenceTarget, kernel_exists = demand.kernel == kReferenceName;
    for (const KernelTable *const *table = halpool_avg_pool2d_tables; *table; ++table) {
        target_exists |= demand.target == (*table)->target;
        for (std::size_t i = 0; i < (*table)->row_count; ++i) kernel_exists |= demand.kernel == (*table)->rows[i].name;
    }
    if (!demand.kernel.empty() && !kernel_exists) {
        throw Failure{HALPOOL_ERROR_UNSUPPORTED,
                      "kernel " + demand.kernel + " was demanded, but no kernel of that name was built in"};
    }
    if (!demand.target.empty() && !target_exists) {
        throw Failure{HALPOOL_ERROR_UNSUPPORTED,
                      "target " + demand.target + " was demanded, but no target of that name was built in"};
    }
    for (const KernelTable *const *table = halpool_avg_pool2d_tables; *table; ++table) {
        for (std::size_t i = 0; i < (*table)->row_count; ++i) {
            const KernelRow &row = (*table)->rows[i];
            if (!demand_objection(row.name, (*table)->target, demand).empty()) continue;
            std::string reason = host_objection(**table);
            const bool host = !reason.empty();
            if (!host) reason = problem_objection(row, problem);
            why += (why.empty() ? "" : "; ") + std::string(host ? (*table)->target : row.name) + ": " + reason;
            if (host) break;  // the same for every kernel of the target
        }
    }
    if (why.empty()) why = "kernel " + demand.kernel + " is not one of target " + demand.target;
    throw Failure{HALPOOL_ERROR_UNSUPPORTED,
                  "the demanded " + (demand.kernel.empty() ? "target " + demand.target : "kernel " + demand.kernel) +
                      " cannot run this problem here: " + why};
}

}  // namespace

Choice select_kernel(const Problem &problem, const Demand &demand) {
    for (const KernelTable *const *table = halpool_avg_pool2d_tables; *table; ++table) {
        if (!host_objection(**table).empty()) continue;
        for (std::size_t i = 0; i < (*table)->row_count; ++i) {
            const KernelRow &row = (*table)->rows[i];
            if (objection(**table, row, problem, demand).empty()) return {*table, &row};
        }
    }
    if (demand_objection(kReferenceName, kReferenceTarget, demand).empty()) return {nullptr, nullptr};
    refuse(problem, demand);
}

std::vector<Candidate> explain_selection(const Problem &problem, const Demand &demand, const Choice &choice) {
    std::vector<Candidate> candidates;
    const bool demanded = !demand.kernel.empty() || !demand.target.empty();
    const std::string chosen_because =
        text("chosen: ", choice.row ? purpose(*choice.row) + "; " : "",
             demanded ? "the first that meets the demand" : "the first in the order of preference that this host can run");
    bool before = true;
    for (const KernelTable *const *table = halpool_avg_pool2d_tables; *table; ++table) {
        for (std::size_t i = 0; i < (*table)->row_count; ++i) {
            const KernelRow &row = (*table)->rows[i];
            const bool chosen = choice.row == &row;
            if (chosen) before = false;
            std::string reason = chosen ? chosen_because : objection(**table, row, problem, demand);
            if (reason.empty() && !before) reason = std::string("could run, but ") + choice.kernel() + " comes first";
            candidates.push_back({row.name, (*table)->target, chosen, std::move(reason)});
        }
    }
    const bool chosen = choice.row == nullptr;
    std::string reason = chosen ? (demanded ? chosen_because : "chosen: takes every problem, and no other kernel takes this one")
                                : demand_objection(kReferenceName, kReferenceTarget, demand);
    if (reason.empty()) reason = std::string("could run, but ") + choice.kernel() + " comes first";
    candidates.push_back({kReferenceName, kReferenceTarget, chosen, std::move(reason)});
    return candidates;
}

}  // namespace halpool
