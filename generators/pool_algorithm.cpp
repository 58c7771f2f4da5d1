#include "pool_algorithm.hpp"

#include "dense_columns.hpp"
#include "window_walk.hpp"

#include <halpool/internal/kernel_convention.h>

#include <algorithm>
#include <functional>

using namespace Halide;
using namespace Halide::ConciseCasts;

namespace halpool {
namespace {

Expr is_border(const PoolProblem &p, Border border) { return p.border == static_cast<int>(border); }

// The start of window o, in input coordinates: before the input where negative.
Expr window_start(const WindowAxis &axis, Expr o) { return o * axis.stride - axis.pad_begin; }

Expr inside(const WindowAxis &axis, Expr i) { return i >= 0 && i < axis.input; }

FuncRef element(const PoolProblem &p, const Coordinates &at) {
    return p.layout == Layout::nchw ? p.input(at.x, at.y, at.c, at.n) : p.input(at.c, at.x, at.y, at.n);
}

Expr load(const PoolProblem &p, const Coordinates &at) { return element(p, at); }

// One of the two elements of a word (pairs).
Expr load_half(const PoolProblem &p, const Coordinates &at, int half) { return element(p, at)[half]; }

// Whether windows of this call may leave the input along an axis; a schedule that specializes on `border` knows it.
Expr leaves_rows(const PoolProblem &p) { return !is_border(p, Border::none); }
Expr leaves_columns(const PoolProblem &p) { return !is_border(p, Border::none) && !is_border(p, Border::rows); }

// A value outside the input counts as zero by selection, never by multiplication: the memory read for it may hold NaN.
Expr or_else(Expr may_leave, const WindowAxis &axis, Expr i, Expr value, Expr zero) {
    return select(!may_leave || likely(inside(axis, i)), value, zero);
}

Expr or_zero(Expr may_leave, const WindowAxis &axis, Expr i, Expr value) { return or_else(may_leave, axis, i, value, Internal::make_zero(value.type())); }

// The sum of so many elements that are zero.
Expr zeros(const PoolProblem &p, int half, int count, Type type) { return p.zero[half].defined() ? simplify(p.zero[half] * cast(type, count)) : Internal::make_zero(type); }

// Where to read for coordinate i along the axis that vectors run along. Only Border::clamped pays for lanes that stay
// inside one by one; the others read beside the row and mask (see kernel_convention.h).
Expr lane_index(const PoolProblem &p, const WindowAxis &axis, Expr i) {
    return select(is_border(p, Border::clamped) || is_border(p, Border::narrow), clamp(i, 0, axis.input - 1), i);
}

// Along the other axes one index serves a whole vector, so clamping costs nothing.
Expr scalar_index(const PoolProblem &p, const WindowAxis &axis, Expr i) {
    Expr inside_input = clamp(likely(i), 0, axis.input - 1);
    return p.on_device ? inside_input : select(leaves_rows(p), inside_input, i);
}

// In this order of additions and no other.
Expr ordered(const Expr &e) { return e.type().is_float() ? strict_float(e) : e; }

// fixed_order: in this order and no other, by strict_float. Else LLVM shares sums between the rows of a tile, and an
// element's bits depend on where its tile starts.
Expr sum_of(int count, bool fixed_order, const std::function<Expr(int)> &term) {
    Expr total = term(0);
    for (int i = 1; i < count; ++i) total = fixed_order ? ordered(total + term(i)) : total + term(i);
    return total;
}

// A sum {value, error} to which `term` is added: the rounding error of every addition is kept (Knuth's TwoSum). strict_float
// keeps Halide from folding (a + b) - a into b; what keeps a Vulkan driver from it is `one`, a factor that it cannot know.
Tuple compensated_add(const PoolProblem &p, const Tuple &total, const Expr &term) {
    const auto opaque = [&](const Expr &e) { return p.one.defined() ? strict_float(e * p.one) : e; };
    Expr value = strict_float(total[0] + term);
    Expr added = opaque(strict_float(opaque(value) - total[0]));
    Expr kept = opaque(strict_float(value - added));
    Expr error = strict_float(strict_float(total[0] - kept) + strict_float(term - added));
    return {value, strict_float(total[1] + error)};
}

// Infinities and NaNs are in the value; the error of adding them is NaN. LLVM takes abs() for a promise that there are none.
Expr compensated_value(const PoolProblem &p, const Tuple &total) {
    Expr value = total[0], is_finite = p.on_device ? abs(value) < Float(32).max() : strict_float(value - value == 0);
    return select(is_finite, p.on_device ? value + total[1] : strict_float(value + total[1]), value);
}

Expr pairwise_sum(const std::vector<Expr> &terms) {
    if (terms.size() == 1) return terms[0];
    const auto middle = terms.begin() + static_cast<std::ptrdiff_t>(terms.size() / 2);
    return strict_float(pairwise_sum({terms.begin(), middle}) + pairwise_sum({middle, terms.end()}));
}

int constant(const Expr &e) {
    auto value = Internal::as_const_int(e);
    _halide_user_assert(value) << "a fixed window needs constant extents\n";
    return static_cast<int>(*value);
}

}  // namespace

void LongSum::begin(const FuncRef &total) const {
    FuncRef at = total;
    if (compensated()) {
        at = Tuple(cast(problem.sum, 0), cast(problem.sum, 0));
    } else {
        at = cast(type(), 0);
    }
}

void LongSum::add(const FuncRef &total, const Expr &term) const {
    FuncRef at = total;
    if (compensated()) {
        at = compensated_add(problem, Tuple(total), term);
    } else {
        at += cast(type(), term);
    }
}

Expr LongSum::value(const FuncRef &total) const {
    return compensated() ? compensated_value(problem, Tuple(total)) : cast(problem.sum, total);
}

std::vector<Var> OutputVariables::order(Layout layout) const {
    return layout == Layout::nchw ? std::vector<Var>{x, y, c, n} : std::vector<Var>{c, x, y, n};
}

std::vector<Expr> OutputVariables::arguments(Layout layout) const {
    std::vector<Expr> out;
    for (const Var &var : order(layout)) out.push_back(var);
    return out;
}

PoolStages fixed_window_sum(const PoolProblem &p, const OutputVariables &v) {
    PoolStages stages;
    stages.partial = Func("partial");
    stages.sum = Func("sum");
    const int kernel_h = constant(p.y.kernel), kernel_w = constant(p.x.kernel);
    if (p.dense_columns) {
        // Columns first, which the windows beside each other share; then each takes its own.
        const auto column_sum = [&](const Expr &first, const Expr &extent, int half) {
            Expr ix = dense_column(first), inside_row = unsafe_promise_clamped(ix, 0, extent - 1);
            return sum_of(kernel_h, true, [&](int j) {
                Expr iy = window_start(p.y, v.y) + j;
                const Coordinates at{inside_row, unsafe_promise_clamped(walked_index(iy, p.y.input), 0, p.y.input - 1), v.c, v.n};
                Expr element = p.pairs ? load_half(p, at, half) : load(p, at);
                return walked(iy, p.y.input, p.border, lane_mask(ix, extent, p.border, kBothSides, element), Internal::make_zero(element.type()));
            });
        };
        if (p.pairs) {
            // Words of two columns, of which stride 2 takes one each: which of the two a tap is, and in which word, is known where the padding is.
            _halide_user_assert(constant(p.x.stride) == 2) << "words of two columns are for strides of two\n";
            const Expr first = v.x - (p.x.pad_begin + 1) / 2, words = p.x.input / 2;
            const Expr halves[] = {column_sum(first, words, 0), column_sum(first, words, 1)};
            const auto taps = [&](int before) {
                return sum_of(kernel_w, true, [&](int i) { return tap_of_columns(halves[(i + before) % 2], (i + before) / 2, kernel_w / 2 + 1, 1); });
            };
            stages.sum(v.order(p.layout)) = select(p.x.pad_begin % 2 == 0, taps(0), taps(1));
        } else {
            const Expr sum = column_sum(window_start(p.x, v.x), p.x.input, 0);
            stages.sum(v.order(p.layout)) = sum_of(kernel_w, true, [&](int i) { return tap_of_columns(sum, i, kernel_w, constant(p.x.stride)); });
        }
    } else if (p.walks_down) {
        // Rows first; the windows above and below share their sums.
        const auto row = [&](const Expr &iy) {
            return sum_of(kernel_w, true, [&](int i) {
                Expr ix = window_start(p.x, v.x) + i;
                // With constant extents Halide sees that taps lie beside the row; it does not see that they are masked.
                Expr column = Internal::as_const_int(p.x.input) ? unsafe_promise_clamped(ix, 0, p.x.input - 1) : ix;
                Expr tap = load(p, {column, unsafe_promise_clamped(walked_index(iy, p.y.input), 0, p.y.input - 1), v.c, v.n});
                return lane_mask(ix, p.x.input, p.border, 2 * i - (kernel_w - 1), tap);
            });
        };
        stages.sum(v.order(p.layout)) = sum_of(kernel_h, true, [&](int j) {
            Expr iy = window_start(p.y, v.y) + j;
            Expr sum = row(iy);
            return walked(iy, p.y.input, p.border, sum, Internal::make_zero(sum.type()));
        });
    } else if (p.side_by_side) {
        // Columns first, in whole vectors of the input: partial(column, y). Then neighbours: taps.
        Var column("column");
        Expr rows = sum_of(kernel_h, true, [&](int j) {
            Expr iy = window_start(p.y, v.y) + j;
            return or_zero(leaves_rows(p), p.y, iy, load(p, {lane_index(p, p.x, column), scalar_index(p, p.y, iy), v.c, v.n}));
        });
        stages.partial(column, v.y, v.c, v.n) = or_zero(leaves_columns(p), p.x, column, rows);
        stages.taps = RDom(0, kernel_w, "taps");
        stages.sum(v.order(p.layout)) = cast(p.sum, 0);
        stages.sum(v.arguments(p.layout)) += stages.partial(window_start(p.x, v.x) + stages.taps, v.y, v.c, v.n);
    } else if (p.layout == Layout::nchw || p.on_device) {
        // partial(x, y): the taps of output column x in *input* row y. Rows are shared by the windows above and below.
        Var row("row");
        const auto at = [&](const Expr &y) {
            return p.layout == Layout::nchw ? std::vector<Expr>{v.x, y, v.c, v.n} : std::vector<Expr>{v.c, v.x, y, v.n};
        };
        const auto element = [&](const Expr &ix) {
            if (p.pairs) {
                // ix / 2 and ix % 2, of ix = 2 x + from: where the padding is known, the half is.
                Expr from = Internal::simplify(ix - 2 * Expr(v.x)), word = v.x + from / 2, words = p.x.input / 2;
                Expr inside_row = select(is_border(p, Border::clamped) || is_border(p, Border::narrow), clamp(word, 0, words - 1), word);
                const Coordinates at{inside_row, scalar_index(p, p.y, row), v.c, v.n};
                return or_zero(leaves_columns(p), p.x, ix, select(from % 2 == 0, load_half(p, at, 0), load_half(p, at, 1)));
            }
            return or_zero(leaves_columns(p), p.x, ix, load(p, {lane_index(p, p.x, ix), scalar_index(p, p.y, row), v.c, v.n}));
        };
        const bool side_by_side = p.on_device && p.layout == Layout::nchw && kernel_w == constant(p.x.stride);
        if (side_by_side) {
            Var column("column");
            stages.columns = Func("columns");
            stages.columns(column, row, v.c, v.n) = element(column);
        }
        Expr taps = sum_of(kernel_w, true, [&](int i) {
            Expr ix = window_start(p.x, v.x) + i;
            return side_by_side ? Expr(stages.columns(ix, row, v.c, v.n)) : element(ix);
        });
        stages.partial(p.layout == Layout::nchw ? std::vector<Var>{v.x, row, v.c, v.n} : std::vector<Var>{v.c, v.x, row, v.n}) =
            or_zero(leaves_rows(p), p.y, row, taps);
        stages.sum(v.order(p.layout)) =
            sum_of(kernel_h, true, [&](int j) { return stages.partial(at(window_start(p.y, v.y) + j)); });
    } else {
        // partial(c, x, y): the taps of output row y in *input* column x.
        Var column("column");
        const bool tiled = !p.lanes_along_x;  // else each row is computed for itself, which the shuffles of LLVM need
        const auto column_sum = [&](int half) {
            Expr taps = sum_of(kernel_h, tiled, [&](int j) {
                Expr iy = window_start(p.y, v.y) + j;
                const Coordinates at{p.lanes_along_x ? lane_index(p, p.x, column) : scalar_index(p, p.x, column), scalar_index(p, p.y, iy), v.c, v.n};
                Expr element = p.pairs ? load_half(p, at, half) : load(p, at);
                return or_else(leaves_rows(p), p.y, iy, element, zeros(p, half, 1, element.type()));
            });
            return or_else(leaves_columns(p), p.x, column, taps, zeros(p, half, kernel_h, taps.type()));
        };
        const auto window_sum = [&](int half) {
            return sum_of(kernel_w, tiled, [&](int i) -> Expr {
                FuncRef sum = stages.partial(v.c, window_start(p.x, v.x) + i, v.y, v.n);
                return p.pairs ? sum[half] : Expr(sum);
            });
        };
        if (p.pairs) {
            stages.partial(v.c, column, v.y, v.n) = Tuple(column_sum(0), column_sum(1));
            stages.sum(v.c, v.x, v.y, v.n) = Tuple(window_sum(0), window_sum(1));
        } else {
            stages.partial(v.c, column, v.y, v.n) = column_sum(0);
            stages.sum(v.c, v.x, v.y, v.n) = window_sum(0);
        }
    }
    return stages;
}

Tuple walked_along_sum(const PoolProblem &p, const OutputVariables &v) {
    const auto window = [&](int half) {
        const auto column = [&](const Expr &ix) {
            return sum_of(constant(p.y.kernel), true, [&](int j) {
                Expr iy = window_start(p.y, v.y) + j;
                Expr inside_input = unsafe_promise_clamped(walked_index(ix, p.x.input), 0, p.x.input - 1);
                const Coordinates at{inside_input, scalar_index(p, p.y, iy), v.c, v.n};
                Expr element = p.pairs ? load_half(p, at, half) : load(p, at);
                return or_else(leaves_rows(p), p.y, iy, element, zeros(p, half, 1, element.type()));
            });
        };
        return sum_of(constant(p.x.kernel), true, [&](int i) {
            Expr ix = window_start(p.x, v.x) + i;
            Expr sum = column(ix);
            return walked(ix, p.x.input, p.border, sum, zeros(p, half, constant(p.y.kernel), sum.type()));
        });
    };
    return p.pairs ? Tuple(window(0), window(1)) : Tuple(window(0));
}

Expr read_in_order(const PoolProblem &p, const OutputVariables &v, PoolStages &stages, const Expr &zero) {
    constexpr int kLine = 16;  // floats
    RDom lines(0, (p.x.input + kLine - 1) / kLine, 0, constant(p.y.kernel) - 1, "lines");
    stages.touched = Func("touched");
    stages.touched(v.y, v.c, v.n) = 0;
    Expr element = load(p, {lines.x * kLine, scalar_index(p, p.y, window_start(p.y, v.y) + lines.y), v.c, v.n});
    stages.touched(v.y, v.c, v.n) = stages.touched(v.y, v.c, v.n) | reinterpret<int>(element);
    return reinterpret<float>(stages.touched(v.y, v.c, v.n) & reinterpret<int>(zero));
}

PoolStages runtime_window_sum(const PoolProblem &p, const OutputVariables &v, Expr block_w, Expr block_h,
                              bool few_blocks) {
    PoolStages stages;
    stages.partial = Func("partial");
    stages.total = Func("total");
    stages.sum = Func("sum");
    const std::vector<Var> order = v.order(p.layout);
    const std::vector<Expr> at = v.arguments(p.layout);
    Var block_x("block_x"), block_y("block_y");

    std::vector<Var> block_order = order;
    block_order.insert(block_order.end(), {block_x, block_y});
    const std::vector<Expr> block_at(block_order.begin(), block_order.end());
    stages.taps = RDom(0, block_w, 0, block_h, "taps");
    Expr i = block_x * block_w + stages.taps.x, j = block_y * block_h + stages.taps.y;
    Expr ix = window_start(p.x, v.x) + i * p.x.dilation, iy = window_start(p.y, v.y) + j * p.y.dilation;
    stages.taps.where(i < p.x.kernel && j < p.y.kernel);
    stages.taps.where(!leaves_rows(p) || inside(p.y, iy));
    Expr tap;
    if (p.layout == Layout::nchw) {
        tap = or_zero(leaves_columns(p), p.x, ix, load(p, {lane_index(p, p.x, ix), iy, v.c, v.n}));
    } else {
        stages.taps.where(!leaves_columns(p) || inside(p.x, ix));
        tap = load(p, {ix, iy, v.c, v.n});
    }
    stages.partial(block_order) = cast(p.sum, 0);
    stages.partial(block_at) += tap;

    stages.blocks = RDom(0, (p.x.kernel + block_w - 1) / block_w, 0, (p.y.kernel + block_h - 1) / block_h, "blocks");
    std::vector<Expr> this_block = at;
    this_block.insert(this_block.end(), {stages.blocks.x, stages.blocks.y});
    const LongSum sum{p, few_blocks};
    sum.begin(stages.total(order));
    sum.add(stages.total(at), stages.partial(this_block));
    stages.sum(order) = sum.value(stages.total(at));
    return stages;
}

SeparableStages separable_window_sum(const PoolProblem &p, const OutputVariables &v) {
    constexpr int kBlock = kSeparableBlock;
    SeparableStages stages;
    // A row of few channels is one of pixels * channels columns; the columns of one channel lie `pitch` apart.
    const int pitch = p.layout == Layout::nhwc && p.lanes_along_x ? p.channels : 1;
    const bool planar = p.layout == Layout::nchw || pitch > 1;
    Var column("column_index"), b("b");
    const auto at = [&](Expr x, Expr y, Expr c) {
        return planar ? std::vector<Expr>{x, y, c, v.n} : std::vector<Expr>{c, x, y, v.n};
    };
    const auto with = [](std::vector<Expr> coordinates, const Expr &last) {
        coordinates.push_back(last);
        return coordinates;
    };
    const auto vars = [](const std::vector<Expr> &expressions) {
        std::vector<Var> out;
        for (const Expr &e : expressions) out.emplace_back(e.as<Internal::Variable>()->name);
        return out;
    };

    stages.column_taps = RDom(0, kBlock, "column_taps");
    Expr j = b * kBlock + stages.column_taps, iy = window_start(p.y, v.y) + j;
    stages.column_taps.where(j < p.y.kernel);
    stages.column_taps.where(!leaves_rows(p) || inside(p.y, iy));
    Expr ix = pitch > 1 ? Expr(column) : p.lanes_along_x ? lane_index(p, p.x, column) : clamp(column, 0, p.x.input - 1);
    const std::vector<Expr> in_column = at(column, v.y, v.c);
    stages.column_block(vars(with(in_column, b))) = 0.0f;
    stages.column_block(with(in_column, b)) += pitch > 1 ? p.input(ix, 0, iy, v.n) : load(p, {ix, iy, v.c, v.n});
    stages.column_blocks = RDom(0, (p.y.kernel + kBlock - 1) / kBlock, "column_blocks");
    stages.column_sum(vars(in_column)) = 0.0f;
    stages.column_sum(in_column) += stages.column_block(with(in_column, stages.column_blocks));
    // Columns of padding are zeros here, once, so that the taps below need no mask.
    stages.column(vars(in_column)) = or_zero(leaves_columns(p), p.x, column, stages.column_sum(in_column));

    stages.taps = RDom(0, kBlock, "taps");
    Expr i = b * kBlock + stages.taps, source = window_start(p.x, v.x) + i;
    stages.taps.where(i < p.x.kernel);
    Expr value = pitch > 1 ? stages.column(at(source * pitch + v.c, v.y, 0)) : stages.column(at(source, v.y, v.c));
    const std::vector<Expr> here = v.arguments(p.layout);
    stages.block(vars(with(here, b))) = 0.0f;
    stages.block(with(here, b)) += value;
    stages.blocks = RDom(0, (p.x.kernel + kBlock - 1) / kBlock, "blocks");
    stages.sum(vars(here)) = 0.0f;
    stages.sum(here) += stages.block(with(here, stages.blocks));
    return stages;
}

BlockStages block_sum(const PoolProblem &p, const OutputVariables &v) {
    BlockStages stages;
    Var column("column_index");
    stages.rows = RDom(0, p.y.kernel, "rows");
    stages.column(column, v.y, v.c, v.n) = 0.0f;
    // strict_float: else LLVM orders the additions of one tile otherwise than another's, and bits depend on the shares.
    stages.column(column, v.y, v.c, v.n) =
        strict_float(stages.column(column, v.y, v.c, v.n) + load(p, {column, window_start(p.y, v.y) + stages.rows, v.c, v.n}));
    const int width = stages.width = constant(p.x.stride);
    stages.taps = RDom(0, width, "taps");
    stages.sum(v.x, v.y, v.c, v.n) = 0.0f;
    stages.sum(v.x, v.y, v.c, v.n) += stages.column(v.x * width + stages.taps, v.y, v.c, v.n);
    return stages;
}

RowStages row_sum(const PoolProblem &p, const OutputVariables &v, int lanes) {
    constexpr int kBlock = 16;
    RowStages stages;
    Var lane("lane"), block("block"), group("group");
    const auto row = [&](Expr x) { return p.input(x, 0, v.c, v.n); };

    Expr vectors = p.x.input / lanes;
    stages.taps = RDom(0, kBlock, "taps");
    Expr vector = block * kBlock + stages.taps;
    stages.taps.where(vector < vectors);
    stages.partial(lane, block, v.c, v.n) = cast(p.sum, 0);
    stages.partial(lane, block, v.c, v.n) += row(vector * lanes + lane);

    // The elements behind the last whole vector: the row's last `lanes` elements, those already summed masked out.
    Expr last = p.x.input - lanes + lane;
    Expr tail = select(last >= vectors * lanes, row(select(p.x.input >= lanes, last, max(last, 0))), cast(p.sum, 0));
    Expr blocks = (vectors + kBlock - 1) / kBlock;
    stages.blocks = RDom(0, kBlock, "blocks");
    Expr in_group = group * kBlock + stages.blocks;
    stages.blocks.where(in_group < blocks);
    stages.group(lane, group, v.c, v.n) = select(group == 0, tail, cast(p.sum, 0));
    stages.group(lane, group, v.c, v.n) += stages.partial(lane, in_group, v.c, v.n);

    stages.lanes = RDom(0, lanes, "lanes");
    stages.across(group, v.c, v.n) = cast(p.sum, 0);
    stages.across(group, v.c, v.n) += stages.group(stages.lanes, group, v.c, v.n);

    stages.groups = RDom(0, max((blocks + kBlock - 1) / kBlock, 1), "groups");
    const LongSum total{p};
    total.begin(stages.total(v.c, v.n));
    total.add(stages.total(v.c, v.n), stages.across(stages.groups, v.c, v.n));

    stages.is_short = p.x.input >= lanes && p.x.input < (kShortRow + 1) * lanes;
    stages.short_taps = RDom(0, vectors, "short_taps");
    stages.short_lanes(lane, v.c, v.n) = tail;
    stages.short_lanes(lane, v.c, v.n) += row(stages.short_taps * lanes + lane);
    stages.short_across = RDom(0, lanes, "short_across");
    stages.short_total(v.c, v.n) = cast(p.sum, 0);
    stages.short_total(v.c, v.n) += stages.short_lanes(stages.short_across, v.c, v.n);
    stages.sum(v.x, v.y, v.c, v.n) = select(stages.is_short, stages.short_total(v.c, v.n), total.value(stages.total(v.c, v.n)));
    return stages;
}

TreeStages tree_sum(const PoolProblem &p, const OutputVariables &v, int lanes) {
    constexpr int kBlock = 16;
    TreeStages stages;
    Var block("block");
    const Var &lane = stages.lane, &branch = stages.branch_index;
    stages.taps = RDom(0, kBlock, "taps");
    Expr element = (block * kBlock + stages.taps) * lanes + lane;
    stages.taps.where(element < p.x.input);
    stages.partial(v.c, lane, block, v.n) = 0.0f;
    stages.partial(v.c, lane, block, v.n) += load(p, {element, 0, v.c, v.n});

    stages.blocks = RDom(0, (p.x.input + kBlock * lanes - 1) / (kBlock * lanes), "blocks");
    stages.total(v.c, lane, v.n) = Tuple(0.0f, 0.0f);
    stages.total(v.c, lane, v.n) =
        compensated_add(p, Tuple(stages.total(v.c, lane, v.n)), stages.partial(v.c, lane, stages.blocks, v.n));
    stages.lane_sum(v.c, lane, v.n) = compensated_value(p, Tuple(stages.total(v.c, lane, v.n)));

    const auto tree = [](int count, const std::function<Expr(int)> &term) {
        std::vector<Expr> terms;
        for (int i = 0; i < count; ++i) terms.push_back(term(i));
        return pairwise_sum(terms);
    };
    const int branches = lanes >= 64 ? lanes / 16 : std::max(lanes / 4, 1);
    stages.branch(v.c, branch, v.n) = tree(
        lanes / branches, [&](int i) { return stages.lane_sum(v.c, branch + i * branches, v.n); });
    stages.sum(v.order(p.layout)) = tree(branches, [&](int i) { return stages.branch(v.c, i, v.n); });
    return stages;
}

}  // namespace halpool
