#include "kernel_selector.hpp"

#include "device_call.hpp"
#include "failure.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

namespace halpool {
namespace {

std::string by(std::int64_t a, std::int64_t b) { return std::to_string(a) + "x" + std::to_string(b); }

std::string workload(const ExactProblem &e) {
    return text(e.channels, " channels of ", by(e.input_h, e.input_w), " to ", by(e.output_h, e.output_w), ", kernel ",
                by(e.kernel_h, e.kernel_w), " stride ", by(e.stride_h, e.stride_w), " padding ", by(e.pad_top, e.pad_left));
}

bool is_of_cpu(const KernelRow &row) { return row.threads == 0; }

std::array<int, 4> memory_order(bool nhwc) { return nhwc ? std::array{0, 2, 3, 1} : std::array{0, 1, 2, 3}; }  // axes from the outermost

// Whether its rows, or pixels, may lie anywhere.
bool is_of_any_rows(const KernelRow &row) { return row.window == WindowClass::generic || row.window == WindowClass::fixed || row.window == WindowClass::small; }

// Whether the kernel takes memory with gaps: rows, or pixels, that lie further apart than they are long.
bool takes_gaps(const KernelRow &row) {
    return is_of_any_rows(row) && is_of_cpu(row) && same_name(row.op, "avg_pool2d") && row.channels == 0 && row.plane_w == 0 && row.exact.channels == 0 &&
           !row.pairs && !row.streams;
}

// Images that lie anywhere, each of them dense. What streams needs an output that is aligned throughout.
bool takes_images_apart(const KernelRow &row, const TensorGeometry &tensor, bool is_output) {
    TensorGeometry image = tensor;
    image.shape[0] = 1;
    return is_of_cpu(row) && same_name(row.op, "avg_pool2d") && row.exact.channels == 0 && !row.pairs && !(row.streams && is_output) &&
           (row.layout == KernelLayout::nhwc ? image.is_channels_last() : image.is_planar());
}

// Of a plane, or an image, and from one to the next: kernels address with 32 bits.
bool is_addressable(const TensorGeometry &tensor, bool nhwc) {
    const auto reach = [&](std::size_t axis) { return (tensor.shape[axis] - 1) * std::abs(tensor.strides[axis]); };
    const std::size_t outer = nhwc ? 0 : 1;
    return reach(2) < kMostElements && reach(3) < kMostElements && (!nhwc || reach(1) < kMostElements) &&
           reach(2) + reach(3) + (nhwc ? reach(1) : 0) < kMostElements && (tensor.shape[outer] <= 1 || std::abs(tensor.strides[outer]) < kMostElements);
}

// A problem, and the forward pass that computes the same, where it is a backward pass and there is one, if need be of gradients that
// are spread out; or the same problem in its input's layout, or of an
// input that is gathered.
struct Question {
    explicit Question(const Problem &asked)
        : problem(asked),
          forward(asked.as_forward()),
          spread(asked.as_spread_forward()),
          relaid(asked.in_input_layout()),
          gathered(asked.with_dense_input()) {}
    const Problem &problem;
    std::optional<Problem> forward, spread, relaid, gathered;

    // What a kernel would compute; null: it is for another operator or another dtype.
    const Problem *for_row(const KernelRow &row) const {
        if (std::strcmp(row.dtype, problem.arithmetic->name) != 0) return nullptr;
        if (std::strcmp(row.op, op_name(problem.op)) == 0) {
            if (relaid && is_of_cpu(row)) return &*relaid;
            return gathered && is_of_cpu(row) && gathers(row) ? &*gathered : &problem;
        }
        if (std::strcmp(row.op, op_name(Op::avg_pool2d)) != 0) return nullptr;
        // In the layout that they are spread out in: of one channel, or one pixel, memory alone does not tell.
        if (spread && is_of_cpu(row)) return (row.layout == KernelLayout::nhwc) == problem.spreads_channels_last() ? &*spread : nullptr;
        return forward ? &*forward : nullptr;
    }
    // What else could take the input costs more than what gathers it.
    bool gathers(const KernelRow &row) const {
        const bool nhwc = row.layout == KernelLayout::nhwc;
        if (!problem.input.is_nested(memory_order(nhwc)) || !is_addressable(problem.input, nhwc)) return true;
        if (is_of_any_rows(row) || takes_images_apart(row, problem.input, false)) return false;
        return !nhwc || row.window == WindowClass::large || row.window == WindowClass::lines;
    }
    const char *reference() const { return problem.arithmetic->references[static_cast<int>(problem.op)]; }
    Choice choice(const LinkedTable &linked, const KernelRow &row) const {
        const Problem *const computed = for_row(row);
        const auto if_computed = [&](const std::optional<Problem> &which) { return which && computed == &*which ? which : std::nullopt; };
        return {linked, &row, reference(), if_computed(forward), if_computed(spread), if_computed(relaid), if_computed(gathered)};
    }
};

std::string memory_objection(const KernelRow &row, const Problem &p) {
    const bool nhwc = row.layout == KernelLayout::nhwc;
    for (const bool is_output : {false, true}) {
        const TensorGeometry &tensor = is_output ? p.output : p.input;
        const char *const name = is_output ? "output" : "input";
        const auto too_far = [nhwc = nhwc] { return text("takes ", nhwc ? "images" : "planes", " over at most ", kMostElements, " elements"); };
        if (nhwc ? tensor.is_channels_last() : tensor.is_planar()) continue;
        if (!takes_gaps(row) && !takes_images_apart(row, tensor, is_output)) return text("needs dense ", nhwc ? "channels-last (NHWC)" : "planar (NCHW)", " memory, the ", name, "'s is not");
        if (!tensor.is_nested(memory_order(nhwc))) return text("needs ", nhwc ? "channels-last (NHWC)" : "planar (NCHW)", " memory, the ", name, "'s is not");
        if (!is_addressable(tensor, nhwc)) return too_far();
    }
    return "";
}

// Empty when the kernel computes this problem, else what speaks against it.
std::string problem_objection(const LinkedTable &linked, const KernelRow &row, const Problem &p) {
    const bool nhwc = row.layout == KernelLayout::nhwc;
    if (std::string reason = memory_objection(row, p); !reason.empty()) return reason;
    if (row.channels != 0 && row.channels != p.input.shape[1]) return text("takes ", row.channels, " channels only");
    if (row.pairs && (nhwc ? p.input.shape[1] : p.input.shape[3]) % 2 != 0) {
        return text("takes an even number of ", nhwc ? "channels" : "columns", " only");
    }
    if (row.window != WindowClass::generic && (p.y.dilation != 1 || p.x.dilation != 1)) return "takes windows without dilation only";
    if (row.exact.channels != 0) {
        const ExactProblem &e = row.exact;
        const bool same = p.input.shape[1] == e.channels && p.y.input == e.input_h && p.x.input == e.input_w &&
                          p.output.shape[2] == e.output_h && p.output.shape[3] == e.output_w && p.y.kernel == e.kernel_h &&
                          p.x.kernel == e.kernel_w && p.y.stride == e.stride_h && p.x.stride == e.stride_w &&
                          p.y.pad_begin == e.pad_top && p.x.pad_begin == e.pad_left;
        if (!same) return "takes " + workload(e) + " only";
    }
    if (row.plane_w != 0) {
        const auto exact = [&](const Axis &axis, std::int32_t extent, std::int64_t output) {
            return axis.input == extent && output == extent && axis.pad_begin == row.padding;
        };
        if (!exact(p.y, row.plane_h, p.output.shape[2]) || !exact(p.x, row.plane_w, p.output.shape[3])) {
            return text("takes planes of ", by(row.plane_h, row.plane_w), " padded by ", row.padding, " only");
        }
    }
    if (row.window == WindowClass::fixed) {
        if (row.kernel_h != p.y.kernel || row.kernel_w != p.x.kernel || row.stride_h != p.y.stride ||
            row.stride_w != p.x.stride) {
            return text("computes kernel ", by(row.kernel_h, row.kernel_w), " stride ",
                        by(row.stride_h, row.stride_w), " only");
        }
        if (p.y.pad_begin >= p.y.kernel || p.x.pad_begin >= p.x.kernel) {
            return "takes padding smaller than the kernel only";
        }
        const int least = row.pairs ? row.kernel_h * row.kernel_w : 1, most = row.pairs ? kMostPairDivisor : kMostByteDivisor;
        if (are_bytes(row.dtype) && p.rule == DivisorRule::fixed && (p.fixed_divisor < least || p.fixed_divisor > most)) {
            return text("takes divisors of ", least, " to ", most, " only");
        }
    }
    const bool limited = row.window == WindowClass::small || row.window == WindowClass::separable || row.window == WindowClass::lines ||
                         row.window == WindowClass::large;
    if (limited && (p.y.kernel > row.kernel_h || p.x.kernel > row.kernel_w)) {
        return text("takes kernels of at most ", by(row.kernel_h, row.kernel_w));
    }
    if (row.window == WindowClass::separable && p.x.stride > row.stride_w) {
        return text("takes horizontal strides of at most ", row.stride_w);
    }
    const bool backward = same_name(row.op, "avg_pool2d_backward");
    if (row.window == WindowClass::lines && !backward && p.x.kernel * (nhwc ? p.input.shape[1] : 1) > kLineFloats) {
        return text("takes windows of at most ", kLineFloats, " floats a row");
    }
    if (row.window == WindowClass::lines && backward && row.streams) {
        const auto over = [](const Axis &axis) { return (axis.kernel - 1) / axis.stride + 1; };
        if (std::max(over(p.y), over(p.x)) > kMostStreamedWindows) return text("takes at most ", kMostStreamedWindows, " windows over an element along an axis");
    } else if (row.window == WindowClass::lines && backward) {
        const std::int64_t floats = nhwc ? p.input.shape[1] : 1;  // from a column to the next
        if (floats == 1 && (p.x.stride < 2 || p.x.stride > kMostPlanarStride)) return text("takes horizontal strides of 2 to ", kMostPlanarStride, " only");
        // A piece of a row, with room for a vector, or a pixel, and what its elements share with those before.
        const std::int64_t others = (p.x.kernel - 1) / p.x.stride + 3;
        if (floats > kGradientLineFloats / others) return text("takes at most ", kGradientLineFloats / others, " channels of such windows");
    }
    if (row.window == WindowClass::large) {
        if (p.y.stride > row.stride_h || p.x.stride > row.stride_w) {
            return text("takes strides of at most ", by(row.stride_h, row.stride_w));
        }
    }
    if (row.window == WindowClass::blocks) {
        if (p.x.kernel != p.x.stride || p.y.kernel > p.y.stride) return "takes windows that lie side by side only";
        if (row.stride_w != 0 && p.x.stride != row.stride_w) return text("takes windows of ", row.stride_w, " columns only");
        if (p.y.kernel > row.kernel_h || p.x.kernel > row.kernel_w) return text("takes kernels of at most ", by(row.kernel_h, row.kernel_w));
        if (p.x.kernel < 2) return "takes windows of at least 2 columns";
        if (p.output.shape[3] < kLeastBlocks) return text("takes at least ", kLeastBlocks, " output columns");
        for (const auto &[axis, extent] : {std::pair(p.y, p.output.shape[2]), std::pair(p.x, p.output.shape[3])}) {
            if (leaves_input(axis, 0) || leaves_input(axis, extent - 1)) return "takes windows inside the input only";
        }
    }
    if (row.window == WindowClass::global) {
        const bool whole_plane = p.windows_h() == 1 && p.windows_w() == 1 && !leaves_input(p.y, 0) &&
                                 !leaves_input(p.x, 0) && p.y.kernel == p.y.input && p.x.kernel == p.x.input;
        if (!whole_plane) return "takes windows that are exactly the whole plane only";
    }
    if (const std::int64_t most = most_taps(row.dtype)) {
        const auto taps = [](const Axis &axis) { return std::min(axis.kernel, axis.input); };
        if (taps(p.y) > most / taps(p.x)) return text("takes windows of at most ", most, " elements");
    }
    constexpr std::int64_t limit = kMostElements;
    for (const TensorGeometry *tensor : {&p.input, &p.output}) {
        const std::int64_t slice = tensor->shape[2] * tensor->shape[3] * (nhwc ? tensor->shape[1] : 1);
        if (!linked.device && slice > limit) return text("takes ", nhwc ? "images" : "planes", " of at most ", limit, " elements");
    }
    // Its table of reciprocals has a row for each divisor along y.
    const std::int64_t floats = p.windows_w() * (row.window == WindowClass::lines && nhwc ? p.input.shape[1] : 1);
    if (row.needs_reciprocal && floats > limit / std::max<std::int64_t>(p.y.kernel, 1)) {
        return text("takes at most ", limit / std::max<std::int64_t>(p.y.kernel, 1), " floats an output row for kernels of that height");
    }
    for (const Axis &axis : {p.y, p.x}) {
        for (std::int64_t reach : {axis.stride, axis.pad_begin + axis.reach() + axis.input + axis.pad_end}) {
            if (reach > limit / 2) return text("takes window parameters of at most ", limit / 2);
        }
    }
    if (row.alignment > 1) {
        const bool columns = !nhwc || row.channels != 0;
        const bool fits = columns ? (row.streams || p.input.shape[3] % row.alignment == 0) && p.output.shape[3] % row.alignment == 0
                                  : p.input.shape[1] % row.alignment == 0;
        if (!fits) {
            return text("takes multiples of ", row.alignment, !columns ? " channels only" : row.streams ? " output columns only" : " columns only");
        }
    }
    return linked.device ? limits_objection(row, p, linked.device->limits()) : "";
}

// What channels-last windows cost, in vectors read for each vector of outputs: taken tap by tap, and by lines, whose pieces sum the
// columns between them twice. The constants are those that chose best of 3000 measurements (AVX-512, AVX2, SSE4.1; docs/performance.md).
struct ChannelsLastCost {
    double taps, lines;
    explicit ChannelsLastCost(const Problem &p) {
        const double channels = static_cast<double>(p.input.shape[1]), kernel_h = static_cast<double>(p.y.kernel);
        const double kernel_w = static_cast<double>(p.x.kernel), stride = static_cast<double>(p.x.stride);
        const double row = static_cast<double>(p.output.shape[3]);
        const double wasted = channels < 4 ? 8 : channels < 8 ? 2 : 1;  // of a vector's lanes
        taps = kernel_h * kernel_w * wasted + (channels < 32 ? 6 : channels < 64 ? 5 : 3);
        const double pixels = std::floor(kLineFloats / channels), most = std::floor((pixels - kernel_w) / stride) + 1;
        const double outputs = std::min(most, row), again = std::ceil(row / std::max(outputs, 1.0)) * outputs / std::max(row, 1.0);
        const double columns = (kernel_w + (outputs - 1) * stride) / std::max(outputs, 1.0);
        // Pixels of whole vectors are summed where windows begin alone, others everywhere, and then picked out (line_window.cpp).
        const bool picked = stride > 1 && p.input.shape[1] % 4 == 0;
        lines = picked ? again * (kernel_h * columns + kernel_w / 2) + 12 : 1.4 * again * (kernel_h * columns + kernel_w * stride / 2) + (stride > 1 ? 24 : 3);
        if (outputs < 1) lines = std::numeric_limits<double>::infinity();
    }
};

std::string backward_preference_objection(const KernelRow &row, const Problem &p) {
    const std::int64_t strides = p.output.shape[3] / std::max(row.stride_w, 1);
    const auto windows_over = [](const Axis &axis) { return (axis.kernel - 1) / axis.stride + 1; };  // an element
    const std::int64_t most = std::max(windows_over(p.y), windows_over(p.x));
    switch (row.window) {
    case WindowClass::fixed:  // what else is summed by lines, which f64 has not
        if (row.stride_w > 1 && !same_name(row.dtype, "f64") && (strides * row.stride_w != p.output.shape[3] || strides < row.lanes)) {
            return text("is slow for rows of fewer than ", row.lanes, " whole strides");
        }
        return "";
    case WindowClass::lines:
        if (constexpr std::int64_t kMost = 8; most > kMost) return text("is slow above ", kMost, " windows over an element along an axis");
        if (p.as_forward()) return "is slow where a forward kernel computes the same";
        if (constexpr std::int64_t kMost = 3; p.y.stride == 1 && p.x.stride == 1 && most > kMost) return text("is slow for windows of stride 1 above ", by(kMost, kMost));
        return "";
    default: return "";
    }
}

// Empty when the kernel is fast on this problem; else a kernel further down is the better choice, unless this one was
// demanded by name.
std::string preference_objection(const KernelRow &row, const Problem &p, const Demand &demand) {
    if (p.input.shape[1] < row.min_channels) return text("is slow below ", row.min_channels, " channels");
    if (p.y.kernel * p.x.kernel < row.min_taps) return text("is slow below ", row.min_taps, " taps");
    if (row.most_columns != 0 && p.output.shape[3] > row.most_columns) return text("is slow above ", row.most_columns, " output columns");
    const bool nhwc = row.layout == KernelLayout::nhwc;
    if (row.window == WindowClass::large) {
        // Below kLargeBlock + 1 strides it adds tap by tap; without whole vectors of channels what it adds by are its taps.
        const std::int64_t least = nhwc && p.input.shape[1] < row.lanes ? 2 * kLargeBlock : kLargeBlock + 1;
        const bool by_blocks = p.y.kernel >= least * p.y.stride || p.x.kernel >= least * p.x.stride;
        const bool others_are_slower = !nhwc && std::max(p.y.kernel, p.x.kernel) > kLineKernel;
        if (!by_blocks && !others_are_slower) return text("is slow below ", least, " strides a window");
    }
    if (same_name(row.op, "avg_pool2d_backward")) {
        if (std::string reason = backward_preference_objection(row, p); !reason.empty()) return reason;
    } else if (row.window == WindowClass::lines && nhwc) {
        const ChannelsLastCost cost(p);
        if (cost.lines >= cost.taps) return text("is slow for so few taps of ", p.input.shape[1], " channels");
    }
    if (row.streams) {
        const std::int64_t bytes = p.bytes(), least = demand.streaming_bytes;
        if (bytes < least) return text("writes past the caches, which is for at least ", least, " bytes; these tensors have ", bytes);
    }
    return "";
}

std::string demand_objection(std::int32_t device, const char *kernel, const char *target, const Demand &demand) {
    if (!demand.kernel.empty() && demand.kernel != kernel) return "kernel " + demand.kernel + " was demanded";
    if (!demand.target.empty() && demand.target != target) return "target " + demand.target + " was demanded";
    if (demand.device != device) {
        return text("works on ", device_name(device), " memory; the tensors' is ", device_name(demand.device));
    }
    return "";
}

std::string demand_objection(const LinkedTable &linked, const KernelRow &row, const Demand &demand) {
    return demand_objection(device_of(linked.device), row.name, linked.table->target, demand);
}

std::string reference_objection(const Question &question, const Demand &demand) {
    return demand_objection(HALPOOL_DEVICE_CPU, question.reference(), kReferenceTarget, demand);
}

std::string problem_objection(const LinkedTable &linked, const KernelRow &row, const Question &question) {
    const Problem *const problem = question.for_row(row);
    if (!problem) return text("computes ", row.op, " of ", row.dtype, " elements only");
    if (row.streams && question.relaid && problem == &*question.relaid) return "writes past the caches, where what is laid out anew should stay";
    return problem_objection(linked, row, *problem);
}

std::string objection(const LinkedTable &linked, const KernelRow &row, const Question &question, const Demand &demand) {
    std::string reason = demand_objection(linked, row, demand);
    if (reason.empty()) reason = target_objection(linked);
    if (reason.empty()) reason = problem_objection(linked, row, question);
    if (reason.empty() && demand.kernel.empty()) reason = preference_objection(row, *question.for_row(row), demand);
    return reason;
}

// What the kernel was made for, in words: "3x3 windows of stride 2x2, channels-last (NHWC) memory of 3 channels".
std::string purpose(const KernelRow &row) {
    std::string out;
    switch (row.window) {
    case WindowClass::generic: out = "windows of any kind"; break;
    case WindowClass::global: out = "windows that are the whole plane"; break;
    case WindowClass::small:
    case WindowClass::separable:
    case WindowClass::lines:
    case WindowClass::large: out = "windows up to " + by(row.kernel_h, row.kernel_w); break;
    case WindowClass::blocks:
        out = "windows side by side, of at most " + by(row.kernel_h, row.kernel_w);
        break;
    case WindowClass::fixed:
        out = by(row.kernel_h, row.kernel_w) + " windows of stride " + by(row.stride_h, row.stride_w);
        break;
    }
    if (row.exact.channels != 0) out = "a workload of this build: " + workload(row.exact);
    out += row.layout == KernelLayout::nhwc ? ", channels-last (NHWC) memory" : ", planar (NCHW) memory";
    if (row.plane_w != 0) out += " of " + by(row.plane_h, row.plane_w) + " planes padded by " + std::to_string(row.padding);
    if (row.channels != 0) out += " of " + std::to_string(row.channels) + " channels";
    if (row.pairs) out += row.layout == KernelLayout::nhwc ? " of even channels" : " of even columns";
    if (row.alignment > 1) out += text(row.streams ? ", output aligned to " : ", aligned to ", row.alignment, " elements");
    if (row.streams) out += ", written past the caches";
    return out;
}

// Why nothing met the demand: the objection to the demanded kernel, or to each of the demanded target's or device's.
[[noreturn]] void refuse(const Question &question, const Demand &demand) {
    bool target_exists = demand.target == kReferenceTarget, kernel_exists = false;
    for (std::size_t i = 0; const Arithmetic *arithmetic = arithmetic_at(i); ++i) {
        for (const char *reference : arithmetic->references) kernel_exists |= reference && arithmetic_built_in(*arithmetic) && demand.kernel == reference;
    }
    for (const LinkedTable &linked : linked_tables()) {
        target_exists |= demand.target == linked.table->target;
        for (std::size_t i = 0; i < linked.table->row_count; ++i) kernel_exists |= demand.kernel == linked.table->rows[i].name;
    }
    require(demand.kernel.empty() || kernel_exists, HALPOOL_ERROR_UNSUPPORTED, "kernel ", demand.kernel,
            " was demanded, but no kernel of that name was built in");
    require(demand.target.empty() || target_exists, HALPOOL_ERROR_UNSUPPORTED, "target ", demand.target,
            " was demanded, but no target of that name was built in");

    const std::string demanded = !demand.kernel.empty()   ? "the demanded kernel " + demand.kernel
                                 : !demand.target.empty() ? "the demanded target " + demand.target
                                                          : std::string("device ") + device_name(demand.device);
    std::string why;
    const auto add = [&](const std::string &name, const std::string &reason) {
        why += (why.empty() ? "" : "; ") + name + ": " + reason;
    };
    for (const LinkedTable &linked : linked_tables()) {
        for (std::size_t i = 0; i < linked.table->row_count; ++i) {
            const KernelRow &row = linked.table->rows[i];
            Demand named = demand;
            if (!demand.kernel.empty() || !demand.target.empty()) named.device = device_of(linked.device);
            if (!demand_objection(linked, row, named).empty()) continue;
            std::string reason = demand_objection(linked, row, demand);  // of another device
            if (reason.empty()) reason = target_objection(linked);
            if (!reason.empty()) {  // the same for every kernel of the target
                add(linked.table->target, reason);
                break;
            }
            add(row.name, problem_objection(linked, row, question));
        }
    }
    if (why.empty()) {
        why = demand.device == HALPOOL_DEVICE_CPU ? "kernel " + demand.kernel + " is not one of target " + demand.target
                                                  : std::string(question.reference()) + ": " + reference_objection(question, demand);
    }
    throw Failure{HALPOOL_ERROR_UNSUPPORTED, demanded + " cannot run this problem here: " + why};
}

Choice first_choice(const Question &question, const Demand &demand) {
    for (const LinkedTable &linked : linked_tables()) {
        if (device_of(linked.device) != demand.device) continue;
        if (!target_objection(linked).empty()) continue;
        for (std::size_t i = 0; i < linked.table->row_count; ++i) {
            const KernelRow &row = linked.table->rows[i];
            if (question.for_row(row) && objection(linked, row, question, demand).empty()) return question.choice(linked, row);
        }
    }
    return {{nullptr, nullptr}, nullptr, question.reference()};
}

}  // namespace

Choice select_kernel(const Problem &problem, const Demand &demand) {
    const Question question(problem);
    const Choice choice = first_choice(question, demand);
    if (!choice.row && !reference_objection(question, demand).empty()) refuse(question, demand);
    return choice;
}

Choice select_unaligned(const Problem &problem, const Demand &demand, const Choice &choice) {
    if (!demand.kernel.empty()) return {};
    const Question question(problem);
    // One of the same class and operator first: it has the same sums, and so the same bits.
    for (const bool any_class : {false, true}) {
        bool behind = false;
        for (std::size_t i = 0; i < choice.linked.table->row_count; ++i) {
            const KernelRow &row = choice.linked.table->rows[i];
            const bool takes_any = behind && row.alignment == 1 && question.for_row(row) && (any_class || (row.window == choice.row->window && same_name(row.op, choice.row->op)));
            if (takes_any && objection(choice.linked, row, question, demand).empty()) return question.choice(choice.linked, row);
            behind |= choice.row == &row;
        }
    }
    return {};
}

std::int32_t automatic_device(const Problem &problem, const void *data, bool result_on_device) {
    for (const DeviceApi *device : linked_devices()) {
        if (data && device->owns && device->owns(data)) return device->device;
    }
    if (result_on_device) {
        for (const DeviceApi *device : linked_devices()) {
            if (first_choice(Question(problem), {"", "", device->device}).row) return device->device;
        }
    }
    return HALPOOL_DEVICE_CPU;
}

std::vector<Candidate> explain_selection(const Problem &problem, const Demand &demand, const Choice &choice) {
    const Question question(problem);
    std::vector<Candidate> candidates;
    const bool demanded = !demand.kernel.empty() || !demand.target.empty();
    const std::string chosen_because =
        text("chosen: ", choice.row ? purpose(*choice.row) + "; " : "",
             choice.forward ? "the gradient of such windows is a mean of gradients; " : "",
             choice.spread ? "the gradients, spread out to where the windows begin, are summed by windows of stride 1; " : "",
             choice.gathered ? "some rows at a time, gathered before; " : "",
             choice.relaid ? "some rows at a time, then laid out as the output's memory; " : "",
             demanded ? "the first that meets the demand" : "the first in the order of preference that this host can run");
    for (const LinkedTable &linked : linked_tables()) {
        for (std::size_t i = 0; i < linked.table->row_count; ++i) {
            const KernelRow &row = linked.table->rows[i];
            if (!question.for_row(row)) continue;
            const bool chosen = choice.row == &row;
            std::string reason = chosen ? chosen_because : objection(linked, row, question, demand);
            if (reason.empty()) reason = std::string("could run, but ") + choice.kernel() + " comes first";
            candidates.push_back({row.name, linked.table->target, chosen, std::move(reason)});
        }
    }
    const bool chosen = choice.row == nullptr;
    std::string reason = chosen ? (demanded ? chosen_because : "chosen: takes every problem, and no other kernel takes this one")
                                : reference_objection(question, demand);
    if (reason.empty()) reason = std::string("could run, but ") + choice.kernel() + " comes first";
    candidates.push_back({question.reference(), kReferenceTarget, chosen, std::move(reason)});
    return candidates;
}

}  // namespace halpool
