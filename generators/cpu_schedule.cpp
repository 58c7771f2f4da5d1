#include "cpu_schedule.hpp"

#include <halpool/internal/kernel_convention.h>

#include <algorithm>
#include <functional>
#include <set>

using namespace Halide;

namespace halpool {
namespace {

Expr is_border(const CallConditions &when, Border border) { return when.border == static_cast<int>(border); }

constexpr int kNarrow = 4;  // lanes of the variant for extents below a full vector

// Planar windows side by side: a tile of `columns` outputs. Where a row is a few tiles, `rows` of them are computed one below
// the other, so that what finds a tile costs little. lanes: of the vectors that are stored; 0: the columns are one.
Var side_by_side_row() { return Var("yi"); }

void side_by_side_tile(Stage stage, const OutputVariables &v, int columns, int rows, int lanes = 0) {
    Var xo("xo"), xi("xi"), xv("xv"), yo("yo"), yi = side_by_side_row();
    stage.split(v.x, xo, xi, columns, TailStrategy::ShiftInwards)
        .split(v.y, yo, yi, rows, TailStrategy::GuardWithIf)
        .reorder(xi, yi, xo, yo, v.c, v.n)
        .never_partition(xo, yi);
    if (lanes > 0) {
        stage.split(xi, xi, xv, lanes).vectorize(xv).unroll(xi);
    } else {
        stage.vectorize(xi);
    }
}

constexpr int kRows = 32;

void side_by_side_tiles(Stage stage, const OutputVariables &v, const Expr &width, int columns) {
    // ShiftInwards lets the last tile overlap its neighbour: a large one must not overlap by much.
    Expr fits = width >= columns;
    if (columns > 8) fits = fits && (width % columns == 0 || width >= 4 * columns);
    Stage wide = stage.specialize(fits);
    side_by_side_tile(wide.specialize(width <= 2 * columns), v, columns, kRows);
    side_by_side_tile(wide, v, columns, 1);
}

// From memory: read in order, and with few instructions a line, so that many lines are on their way at once. A tile is a whole
// row, or one after the other takes an equal part of it.
void streaming_side_by_side_tiles(Stage stage, const OutputVariables &v, const Expr &width, const CpuSchedule &schedule) {
    const auto tile = [&](Stage stage, int vectors, int rows) {
        side_by_side_tile(stage, v, schedule.vector * vectors, rows, schedule.vector);
    };
    for (int vectors = schedule.tile_columns; vectors > 0; --vectors) {
        const int columns = schedule.vector * vectors;
        Stage equal = vectors > 1 ? stage.specialize(width % columns == 0) : stage;
        tile(equal.specialize(width == columns), vectors, kRows);
        if (vectors == 1) tile(equal.specialize(width >= 4 * schedule.vector), 4, 1);
        tile(equal, vectors, 1);
    }
}

// Windows known at run time: all sums of one tile stay in vectors along `lane`.
void place_blocks(Func output, const Var &tile, const Var &lane, PoolStages &stages) {
    stages.total.compute_at(output, tile).vectorize(lane);
    stages.total.update().reorder(lane, stages.blocks.x, stages.blocks.y).vectorize(lane);
    stages.partial.compute_at(stages.total, stages.blocks.x).vectorize(lane);
    stages.partial.update().reorder(lane, stages.taps.x, stages.taps.y).vectorize(lane);
}

}  // namespace

// A tile of `vector` columns and tile_rows rows is computed from row sums that stay in registers. ShiftInwards needs a
// box of at least one tile, so every variant names the box it takes; the last takes all.
void schedule_planar_tiles(Func output, PoolStages &stages, const OutputVariables &v, const CallConditions &when,
                           const CpuSchedule &schedule, bool side_by_side) {
    Var xo("xo"), xi("xi"), yo("yo"), yi("yi");
    const auto tile_of = [&](Stage stage, int columns, int rows) {
        stage.split(v.x, xo, xi, columns, TailStrategy::ShiftInwards)
            .split(v.y, yo, yi, rows, TailStrategy::ShiftInwards)
            .reorder(xi, yi, xo, yo, v.c, v.n)
            .vectorize(xi)
            .unroll(yi)
            .never_partition(xo);
    };
    const auto tile = [&](Stage stage, int columns, int rows) {
        // Of words of two columns, which one a tap takes is known where the padding is.
        for (int padding = 0; schedule.pairs && columns > 1 && padding < 2; ++padding) tile_of(stage.specialize(when.pad_left == padding), columns, rows);
        tile_of(stage, columns, rows);
    };
    Expr none = is_border(when, Border::none), masked = is_border(when, Border::masked);
    Expr wide = when.width >= schedule.vector, tall = when.rows >= schedule.tile_rows;
    tile(output.specialize(none && wide && tall), schedule.vector, schedule.tile_rows);
    tile(output.specialize(none && wide), schedule.vector, 1);
    tile(output.specialize(masked && when.uniform == 1 && wide && tall), schedule.vector, schedule.tile_rows);
    tile(output.specialize(masked && wide && tall), schedule.vector, schedule.tile_rows);
    tile(output.specialize(masked && wide), schedule.vector, 1);
    if (schedule.vector > kNarrow) {
        Expr narrow = when.width >= kNarrow;
        tile(output.specialize(none && narrow && tall), kNarrow, schedule.tile_rows);
        tile(output.specialize(masked && narrow && tall), kNarrow, schedule.tile_rows);
        tile(output.specialize(masked && narrow), kNarrow, 1);
        tile(output.specialize(none && narrow), kNarrow, 1);
    }
    if (side_by_side) tile(output.specialize(none), 1, 1);  // all planes are one, and there are no divisors for its rows (kernel_call.cpp)
    tile(output, 1, 1);

    Var row = stages.partial.args()[1];
    stages.partial.compute_at(output, xo).vectorize(v.x).unroll(row).store_in(MemoryType::Register);
}

void schedule_planar_plane(Func output, const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule, int width) {
    Var xo("xo"), xi("xi");
    // A row in one vector: WindowWalk masks what lies beside it.
    const TailStrategy tail = width < schedule.vector ? TailStrategy::RoundUp : TailStrategy::ShiftInwards;
    const auto plane = [&](Stage stage) {
        stage.split(v.x, xo, xi, schedule.vector, tail).reorder(xi, xo, v.y, v.c, v.n).vectorize(xi).unroll(xo).unroll(v.y);
    };
    Stage masked = output.specialize(is_border(when, Border::masked));
    plane(masked.specialize(when.uniform == 1));
    plane(masked);
    plane(output);  // Border::clamped
}

// tile_columns vectors of outputs at once where a row has so many.
void schedule_planar_side_by_side(Func output, PoolStages &stages, const OutputVariables &v, const Expr &is_read_in_order, const CallConditions &when,
                                  const CpuSchedule &schedule) {
    Stage none = output.specialize(is_border(when, Border::none));
    Stage in_order = none.specialize(is_read_in_order);
    constexpr int kLine = 16;
    side_by_side_tile(in_order.specialize(when.width % kLine == 0), v, kLine, 1, schedule.vector);
    side_by_side_tile(in_order, v, schedule.vector, 1);
    stages.touched.compute_at(output, Var("yo")).store_in(MemoryType::Register);
    if (schedule.streaming) {
        streaming_side_by_side_tiles(none, v, when.width, schedule);
    } else {
        for (int vectors = schedule.tile_columns; vectors > 0; vectors /= 2) {
            const int outputs = schedule.vector * vectors;
            if (outputs > kNarrow) side_by_side_tiles(none, v, when.width, outputs);
        }
        side_by_side_tiles(none, v, when.width, kNarrow);
        side_by_side_tile(none, v, 1, 1);
    }
    const auto masked = [&](Stage stage) {
        if (schedule.vector > kNarrow) side_by_side_tile(stage.specialize(when.width >= schedule.vector), v, schedule.vector, 1);
        side_by_side_tile(stage.specialize(when.width >= kNarrow), v, kNarrow, 1);
        side_by_side_tile(stage, v, 1, 1);
    };
    Stage may_leave = output.specialize(is_border(when, Border::masked));
    masked(may_leave.specialize(when.uniform == 1));
    masked(may_leave);
    side_by_side_tile(output, v, 1, 1);

    const Var column = stages.partial.args()[0], yi = side_by_side_row();
    stages.partial.compute_at(output, yi).vectorize(column).store_in(MemoryType::Register);
    stages.sum.compute_at(output, yi).vectorize(v.x).store_in(MemoryType::Register);
    stages.sum.update().reorder(stages.taps, v.x).atomic().vectorize(stages.taps).vectorize(v.x);
}

// Strips of equal width down the plane: whole rows, where these are up to tile_columns vectors, so that memory is read in
// order. Rows are whole vectors, and none of these is computed twice.
void schedule_planar_even_strips(Func output, const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule) {
    Var xo("xo"), xk("xk"), xi("xi");
    const auto tile = [&](Stage stage, int vectors) {
        stage.split(v.x, xo, xi, schedule.vector * vectors, TailStrategy::ShiftInwards)
            .split(xi, xk, xi, schedule.vector)
            .reorder(xi, xk, v.y, xo, v.c, v.n)
            .vectorize(xi)
            .unroll(xk)
            .never_partition(xo, v.y);
    };
    const auto tiles = [&](Stage stage) {
        for (int vectors = schedule.tile_columns; vectors > 1; --vectors) tile(stage.specialize(when.width % (schedule.vector * vectors) == 0), vectors);
        tile(stage, 1);
    };
    Stage masked = output.specialize(is_border(when, Border::masked));
    tiles(masked.specialize(when.uniform == 1));
    tiles(masked);
    tile(output, 1);
}

// Strips of columns, down the plane: WindowWalk carries the rows' sums. A strip is at most tile_columns vectors wide;
// ShiftInwards lets the last one overlap its neighbour, so the width is chosen by what that costs.
void schedule_planar_walk(Func output, const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule, bool dense_columns, bool four_vectors, bool masked_stores) {
    Var xo("xo"), xk("xk"), xi("xi");
    const auto strips = [&](Stage stage, int lanes, int vectors) {
        stage.split(v.x, xo, xi, lanes * vectors, TailStrategy::ShiftInwards)
            .split(xi, xk, xi, lanes)
            .reorder(xi, xk, v.y, xo, v.c, v.n)
            .vectorize(xi)
            .unroll(xk)
            .never_partition(xo, v.y);
    };
    const int lanes = schedule.vector;
    _halide_user_assert(schedule.wide_vector <= 2 * lanes) << "wide_vector: rows of more than two vectors must hold one of these\n";
    // Several vectors at once also where the last overlaps the one before.
    const auto row_of = [&](Stage stage, int lanes, int vectors) {
        Var xv("xv");
        stage.split(v.x, xv, xi, lanes, TailStrategy::ShiftInwards)
            .split(xv, xo, xk, vectors, TailStrategy::RoundUp)
            .reorder(xi, xk, v.y, xo, v.c, v.n)
            .vectorize(xi)
            .unroll(xk)
            .never_partition(xo, v.y);
    };
    // Specializations within specializations: Halide simplifies each against its neighbours, n of them n * n times.
    const auto wide = [&](Stage stage) {
        const auto by_overlap = [&](Stage stage, int lanes, int vectors) {
            const int strip = lanes * vectors;
            Expr overlap = (strip - when.width % strip) % strip - (lanes - when.width % lanes) % lanes;
            strips(stage.specialize(when.width >= strip && overlap * 6 <= when.width), lanes, vectors);
        };
        if (schedule.wide_vector > 0) {  // rows that registers hold, whole; four vectors of 8 lanes do so as well
            constexpr int kMost = 7;
            Stage one = stage.specialize(when.width > 2 * lanes && when.width <= kMost * schedule.wide_vector && when.width != 4 * lanes);
            row_of(one.specialize(when.width <= 3 * lanes), lanes, 3);
            for (int vectors = 2; vectors < kMost; ++vectors) {
                row_of(one.specialize(when.width <= vectors * schedule.wide_vector), schedule.wide_vector, vectors);
            }
            row_of(one, schedule.wide_vector, kMost);
            by_overlap(stage, schedule.wide_vector, 4);
        }
        if (four_vectors) row_of(stage.specialize(when.width > 2 * lanes && when.width <= 4 * lanes), lanes, 4);
        for (int vectors = schedule.tile_columns; vectors > 1; vectors /= 2) by_overlap(stage, lanes, vectors);
        if (schedule.tile_columns > 1) row_of(stage.specialize(when.width > lanes && when.width <= 2 * lanes), lanes, 2);
        strips(stage, lanes, 1);
    };
    const auto by_divisor = [&](Expr condition, const std::function<void(Stage)> &schedule_stage) {
        Stage stage = output.specialize(condition);
        // Of words of two columns, which one a tap takes is known where the padding is.
        for (int padding = 0; schedule.pairs && padding < 2; ++padding) schedule_stage(stage.specialize(when.uniform == 1 && when.pad_left == padding));
        if (!schedule.pairs) schedule_stage(stage.specialize(when.uniform == 1));
        schedule_stage(stage);
    };
    Expr clamped = is_border(when, Border::clamped), narrow = is_border(when, Border::narrow);
    if (!dense_columns) wide(output.specialize(is_border(when, Border::none)));
    by_divisor(is_border(when, Border::masked), wide);
    by_divisor(clamped, [&](Stage stage) { strips(stage, lanes, 1); });
    if (masked_stores) {
        const auto part_of = [&](Stage stage, int lanes) {
            stage.split(v.x, xo, xi, lanes, TailStrategy::PredicateStores).reorder(xi, v.y, xo, v.c, v.n).vectorize(xi).never_partition(xo, v.y);
        };
        // Of dense columns a row's last vector must not be whole.
        const int most = std::max(lanes, schedule.wide_vector), half = most / 2;
        by_divisor(narrow && when.width <= (dense_columns ? half - 1 : half), [&](Stage stage) { part_of(stage, half); });
        by_divisor(narrow, [&](Stage stage) { part_of(stage, most); });
    } else {
        if (lanes > kNarrow) by_divisor(narrow && when.width >= kNarrow, [&](Stage stage) { row_of(stage, kNarrow, 2); });
        strips(output.specialize(narrow), 1, 1);
    }
    strips(output, 1, 1);
}

// Strips of channels and of tile_rows rows, along the rows: WindowWalk carries the sums of so many columns.
void schedule_channels_last_walk(Stage output, const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule, int carried, int output_bytes) {
    Var cw("cw"), co("co"), ci("ci"), cv("cv"), yo("yo"), yi("yi");
    const auto strip = [&](Stage stage, int lanes, int vectors, int rows) {
        stage.split(v.c, cw, ci, lanes * vectors, TailStrategy::ShiftInwards)
            .split(ci, ci, cv, lanes)
            .split(v.y, yo, yi, rows, TailStrategy::ShiftInwards)
            .split(v.x, v.x, co, 1)  // a loop that bounds what schedule_channels_last_fixed places in one of that name
            .reorder(cv, yi, ci, co, v.x, cw, yo, v.n)
            .vectorize(cv)
            .unroll(ci)
            .unroll(yi)
            .never_partition(v.x, cw);
    };
    const int lanes = schedule.vector;
    const auto strips = [&](Stage stage, int rows) {
        // Half of the registers for sums that are carried.
        const auto strip_of = [&](int vectors, int least) {
            const int fit = schedule.registers / 2 / (vectors * carried), channels = lanes * vectors;
            if (fit == 0) return;
            Expr overlap = (channels - when.channels % channels) % channels;
            strip(stage.specialize(when.channels >= std::max(channels, least) && overlap * 6 <= when.channels), lanes, vectors, fit < rows ? 1 : rows);
        };
        // Of each pixel as many bytes as the registers hold sums for: with 16 registers of one row alone, which reads every row three times, and yet
        // is half as fast again. Windows of more columns keep two rows, until pixels lie far apart.
        strip_of(4, carried > 2 && output_bytes >= 4 ? 256 : 0);
        strip_of(2, 0);
        for (int fewer = lanes; fewer >= kNarrow; fewer /= 2) strip(stage.specialize(when.channels >= fewer), fewer, 1, rows);
        strip(stage, 1, 1, rows);
    };
    Expr none = is_border(when, Border::none), tall = when.rows >= schedule.tile_rows;
    strips(output.specialize(none && tall), schedule.tile_rows);
    strips(output.specialize(tall), schedule.tile_rows);
    strips(output, 1);
}

// A strip of channels of tile_rows pixels, one below the other, is computed from column sums in registers; rows share what
// they load.
void schedule_channels_last_fixed(Func output, PoolStages &stages, const OutputVariables &v,
                                  const CallConditions &when, const CpuSchedule &schedule) {
    Var co("co"), ci("ci"), cv("cv"), yo("yo"), yi("yi");
    const auto tile = [&](Stage stage, int lanes, int vectors, int rows) {
        stage.split(v.c, co, ci, lanes * vectors, TailStrategy::ShiftInwards)
            .split(ci, ci, cv, lanes)
            .split(v.y, yo, yi, rows, TailStrategy::ShiftInwards)
            .reorder(cv, ci, yi, co, v.x, yo, v.n)
            .vectorize(cv)
            .unroll(ci)
            .unroll(yi);
    };
    const auto pixels = [&](Stage stage, int lanes, int columns) {
        Var xo("xo"), xi("xi");
        stage.split(v.c, co, cv, lanes, TailStrategy::ShiftInwards)
            .split(v.x, xo, xi, columns, TailStrategy::ShiftInwards)
            .reorder(cv, xi, co, xo, v.y, v.n)
            .vectorize(cv)
            .unroll(xi);
    };
    const int strip = schedule.vector * schedule.channel_vectors;
    const auto tiles = [&](Stage stage) {
        if (schedule.tile_rows > 1) {
            tile(stage.specialize(when.rows >= schedule.tile_rows), schedule.vector, schedule.channel_vectors, schedule.tile_rows);
        }
        tile(stage, schedule.vector, schedule.channel_vectors, 1);
    };
    Expr none = is_border(when, Border::none);
    // Few channels: several pixels side by side.
    constexpr int kPixels = 4;
    Expr side_by_side = none && when.width >= kPixels;
    for (int lanes : {8, kNarrow}) {
        if (schedule.vector < lanes || schedule.streaming) continue;
        Expr dense = when.input_pitch == lanes && when.output_pitch == lanes;  // constants make short addresses
        pixels(output.specialize(when.channels == lanes && dense && side_by_side), lanes, kPixels);
    }
    tiles(output.specialize(none && when.channels >= strip));
    tiles(output.specialize(when.channels >= strip));
    if (schedule.channel_vectors > 1) tile(output.specialize(none && when.channels >= schedule.vector), schedule.vector, 1, 1);
    if (schedule.channel_vectors > 1) tile(output.specialize(when.channels >= schedule.vector), schedule.vector, 1, 1);
    for (int lanes : {8, kNarrow}) {
        if (schedule.vector <= lanes) continue;
        if (!schedule.streaming) pixels(output.specialize(side_by_side && when.channels >= lanes && when.channels < 2 * lanes), lanes, kPixels);
        tile(output.specialize(when.channels >= lanes), lanes, 1, 1);
    }
    tile(output, 1, 1, 1);

    Var column = stages.partial.args()[1];
    stages.partial.compute_at(output, co)
        .store_in(MemoryType::Register)
        .reorder(v.c, column, v.y)
        .vectorize(v.c)
        .unroll(column)
        .unroll(v.y);
}

void schedule_few_channels(Func output, const OutputVariables &v, const CallConditions &when,
                           const CpuSchedule &schedule) {
    Var xo("xo"), xi("xi");
    const auto tile = [&](Stage stage, int columns) {
        stage.split(v.x, xo, xi, columns, TailStrategy::ShiftInwards)
            .reorder(xi, v.c, xo, v.y, v.n)
            .vectorize(xi)
            .unroll(v.c)
            .never_partition(xo);
    };
    Expr none = is_border(when, Border::none), masked = is_border(when, Border::masked);
    for (Expr border : {none, masked}) {
        tile(output.specialize(border && when.width >= schedule.vector), schedule.vector);
        if (schedule.vector > kNarrow) tile(output.specialize(border && when.width >= kNarrow), kNarrow);
    }
    tile(output, 1);
}

// The taps of several vectors are summed side by side, so that one sum's latency hides behind the others'.
void schedule_planar_runtime(Func output, PoolStages &stages, const OutputVariables &v, const CallConditions &when,
                             const CpuSchedule &schedule) {
    Var xo("xo"), xi("xi");
    const auto tile = [&](Stage stage, int columns) {
        stage.split(v.x, xo, xi, columns, TailStrategy::ShiftInwards).vectorize(xi).never_partition(xo);
    };
    const int strip = schedule.vector * schedule.tile_columns;
    for (Border border_value : {Border::none, Border::rows, Border::masked}) {
        Expr border = is_border(when, border_value);
        for (int stride : {1, 2}) {
            Expr fits = border && when.stride_w == stride;
            if (strip > schedule.vector) tile(output.specialize(fits && when.width >= strip), strip);
            tile(output.specialize(fits && when.width >= schedule.vector), schedule.vector);
        }
        tile(output.specialize(border && when.width >= kNarrow), kNarrow);
    }
    tile(output, 1);
    place_blocks(output, xo, v.x, stages);
}

void schedule_channels_last_runtime(Func output, PoolStages &stages, const OutputVariables &v,
                                    const CallConditions &when, const CpuSchedule &schedule) {
    Var co("co"), ci("ci");
    const int strip = schedule.vector * schedule.channel_vectors;
    const auto tile = [&](Stage stage, int lanes) {
        stage.split(v.c, co, ci, lanes, TailStrategy::ShiftInwards).vectorize(ci).reorder(ci, co, v.x, v.y, v.n);
    };
    Expr none = is_border(when, Border::none);
    Stage unmasked = output.specialize(none && when.channels >= schedule.vector);
    for (int lanes = strip; lanes > schedule.vector; lanes /= 2) tile(unmasked.specialize(when.channels >= lanes), lanes);
    tile(unmasked, schedule.vector);
    tile(output.specialize(when.channels >= strip), strip);
    if (schedule.channel_vectors > 1) tile(output.specialize(when.channels >= schedule.vector), schedule.vector);
    if (schedule.vector > kNarrow) tile(output.specialize(when.channels >= kNarrow), kNarrow);
    tile(output, 1);
    place_blocks(output, co, v.c, stages);
}

void schedule_channels_last_global(Func output, PoolStages &many, PoolStages &few, const Expr &is_few, const OutputVariables &v,
                                   const CallConditions &when, const CpuSchedule &schedule) {
    Var co("co"), ci("ci");
    const auto strips = [&](Stage stage) {
        const auto strip = [&](Stage stage, int lanes) {
            stage.split(v.c, co, ci, lanes, TailStrategy::ShiftInwards).vectorize(ci).reorder(ci, co, v.x, v.y, v.n);
        };
        for (int vectors = schedule.channel_vectors; vectors > 0; vectors /= 2) {
            const int lanes = schedule.vector * vectors;
            strip(stage.specialize(when.channels >= lanes), lanes);
        }
        if (schedule.vector > kNarrow) strip(stage.specialize(when.channels >= kNarrow), kNarrow);
        strip(stage, 1);
    };
    strips(output.specialize(is_few));
    strips(output);
    place_blocks(output, co, v.c, few);
    place_blocks(output, co, v.c, many);
}

void schedule_taps(Func output, const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule) {
    Var co("co"), ci("ci"), cv("cv");
    const auto strip = [&](Stage stage, int lanes, int vectors) {
        stage.split(v.c, co, ci, lanes * vectors, TailStrategy::ShiftInwards)
            .split(ci, ci, cv, lanes)
            .reorder(cv, ci, co, v.x, v.y, v.n)
            .vectorize(cv)
            .unroll(ci)
            .never_partition_all();
    };
    const int lanes = schedule.vector;
    for (int vectors = schedule.channel_vectors; vectors > 1; vectors /= 2) {
        const int channels = lanes * vectors;
        Expr overlap = (channels - when.channels % channels) % channels;
        strip(output.specialize(when.channels >= channels && overlap * 4 <= when.channels), lanes, vectors);
    }
    strip(output.specialize(when.channels >= lanes), lanes, 1);
    if (lanes > kNarrow) strip(output.specialize(when.channels >= kNarrow), kNarrow, 1);
    strip(output, 1, 1);
}

// Rows of any width: where the target has masked stores, those below a vector as one.
void schedule_lines(Func output, const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule, bool masked_stores) {
    Var xo("xo"), xi("xi");
    const auto columns = [&](Stage stage, int lanes, TailStrategy tail) {
        stage.split(v.x, xo, xi, lanes, tail).vectorize(xi).reorder(xi, xo, v.y, v.c, v.n).never_partition_all();
    };
    columns(output.specialize(when.width >= schedule.vector), schedule.vector, TailStrategy::ShiftInwards);
    if (masked_stores) {
        columns(output, schedule.vector, TailStrategy::Predicate);
    } else {
        if (schedule.vector > kNarrow) columns(output.specialize(when.width >= kNarrow), kNarrow, TailStrategy::ShiftInwards);
        columns(output, 1, TailStrategy::ShiftInwards);
    }
}

void schedule_large(Func output, Layout layout, const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule) {
    const int lanes = schedule.vector;
    Var xo("xo"), xi("xi"), co("co"), ci("ci");
    const auto columns = [&](Stage stage, int width) {
        stage.split(v.x, xo, xi, width, TailStrategy::ShiftInwards).vectorize(xi).reorder(xi, xo, v.y, v.c, v.n).never_partition_all();
    };
    if (layout == Layout::nchw) {
        columns(output.specialize(when.width >= lanes), lanes);
        columns(output, 1);
    } else {
        Stage strips = output.specialize(when.channels >= lanes);
        strips.split(v.c, co, ci, lanes, TailStrategy::ShiftInwards).vectorize(ci).reorder(ci, v.x, v.y, co, v.n).never_partition_all();
        output.reorder(v.c, v.x, v.y, v.n).never_partition_all();
    }
}

// tile_columns vectors of outputs at once where a row has so many, else one.
void schedule_blocks_of_width(Func output, BlockStages &stages, const OutputVariables &v, const CallConditions &when,
                              const CpuSchedule &schedule) {
    // No tile is smaller where rows have so many outputs, so that whole vectors of its columns are inside them.
    constexpr int kBlockLanes = 8;
    const int lanes = std::min(schedule.vector, kBlockLanes);
    for (int vectors = schedule.tile_columns; vectors > 0; vectors /= 2) {
        const int outputs = schedule.vector * vectors;
        if (outputs > lanes) side_by_side_tiles(output, v, when.width, outputs);
    }
    side_by_side_tiles(output, v, when.width, lanes);
    side_by_side_tile(output, v, kLeastBlocks, kRows);

    const int width = stages.width;
    // Vectors of their own: as one of 24 lanes, say, LLVM takes them apart lane by lane.
    const Var column = stages.column.args()[0], yi = side_by_side_row();
    Expr full = when.width >= lanes;
    const auto each = [&](Stage stage, bool update) {
        for (int count : std::set<int, std::greater<>>{lanes, kLeastBlocks}) {
            Stage of_width = count == kLeastBlocks ? stage : stage.specialize(full);
            Var part("part"), lane("lane");
            of_width.split(column, part, lane, count);
            if (update) of_width.reorder(lane, part, stages.rows);
            of_width.vectorize(lane).unroll(part);
            if (update) of_width.specialize(when.kernel_h == width).unroll(stages.rows);
        }
    };
    stages.column.compute_at(output, yi).store_in(MemoryType::Register);
    each(stages.column, false);
    each(stages.column.update(), true);  // square windows: all rows at once
    stages.sum.compute_at(output, yi).store_in(MemoryType::Register).vectorize(v.x);
    stages.sum.update().reorder(stages.taps, v.x).atomic().vectorize(stages.taps).vectorize(v.x);
}

// The sums of the columns below tile_columns outputs lie on the stack, of which each output adds its own one by one: read as
// vectors they would have to wait until they are stored.
void schedule_blocks(Func output, SeparableStages &stages, Layout layout, const OutputVariables &v, const CallConditions &when,
                     const CpuSchedule &schedule) {
    const bool planar = layout == Layout::nchw;
    Var xo("xo"), xg("xg"), xi("xi");
    const auto tile = [&](Stage stage, int width, int group) {
        stage.split(v.x, xo, xi, width, TailStrategy::ShiftInwards).split(xi, xg, xi, group).vectorize(xi).never_partition(xo);
        if (!planar) stage.reorder(xi, v.c, xg, xo, v.y, v.n).unroll(v.c);
    };
    Expr wide = when.width >= schedule.tile_columns;
    tile(output.specialize(wide), schedule.tile_columns, planar ? schedule.tile_columns : kLeastBlocks);
    tile(output, kLeastBlocks, kLeastBlocks);

    Var column = stages.column.args()[0], columns("columns"), lane("lane");
    stages.column.compute_at(output, xo).store_in(MemoryType::Stack).bound_storage(column, schedule.tile_columns * kSeparableKernel * (planar ? 1 : 3));
    const auto vectors = [&](Stage stage, int count) {
        stage.split(column, columns, lane, count, TailStrategy::ShiftInwards).vectorize(lane);
    };
    if (planar) {
        vectors(stages.column.specialize(wide && when.stride_w >= 8), 8 * schedule.tile_columns);
        vectors(stages.column.specialize(when.stride_w >= 8), 8 * kLeastBlocks);
    } else {
        const int floats = schedule.vector * schedule.channel_vectors;
        _halide_user_assert(floats <= schedule.tile_columns * 2 * 3) << "channel_vectors: a tile's columns are fewer floats\n";
        vectors(stages.column.specialize(wide && when.stride_w >= 2), floats);
    }
    vectors(stages.column, kNarrow);
    stages.column_sum.compute_at(stages.column, columns).vectorize(column);
    stages.column_sum.update().reorder(column, stages.column_blocks).vectorize(column);
    stages.column_block.compute_at(stages.column_sum, stages.column_blocks).vectorize(column);
    stages.column_block.update().reorder(column, stages.column_taps).vectorize(column);

    stages.sum.compute_at(output, xg);
    stages.block.compute_at(stages.sum, stages.blocks);
    for (Stage stage : {Stage(stages.sum), stages.sum.update().reorder(v.x, stages.blocks), Stage(stages.block),
                        stages.block.update().reorder(v.x, stages.taps)}) {
        stage.unroll(v.x);
        if (!planar) stage.unroll(v.c);
    }
}

// Short rows: `lanes` planes at once, each in a vector of its own, whose lanes are summed for all the planes together.
void schedule_planar_global(Func output, RowStages &stages, const OutputVariables &v, const CallConditions &when,
                            const CpuSchedule &schedule) {
    Var co("co"), ci("ci"), lane = stages.partial.args()[0];
    const auto planes = [&](Stage stage, int count) {
        stage.split(v.c, co, ci, count, TailStrategy::ShiftInwards).reorder(ci, v.x, v.y, co, v.n).vectorize(ci);
    };
    Stage is_short = output.specialize(stages.is_short);
    Stage many = is_short.specialize(when.channels >= schedule.vector);
    planes(many.specialize(when.plane == 49), schedule.vector);  // how most classifiers end
    planes(many, schedule.vector);
    planes(is_short, 1);
    planes(output, 1);

    stages.short_lanes.compute_at(output, co).store_in(MemoryType::Register).vectorize(lane).unroll(v.c);
    stages.short_lanes.update().reorder(lane, v.c, stages.short_taps).vectorize(lane).unroll(v.c);
    stages.short_total.compute_at(output, co).store_in(MemoryType::Register).vectorize(v.c);
    stages.short_total.update().reorder(stages.short_across, v.c).atomic().vectorize(stages.short_across).vectorize(v.c);

    stages.total.compute_at(output, co);
    stages.across.compute_at(stages.total, stages.groups).update().atomic().vectorize(stages.lanes);
    stages.group.compute_at(stages.total, stages.groups).vectorize(lane).update().reorder(lane, stages.blocks).vectorize(lane);
    stages.partial.compute_at(stages.group, stages.blocks).vectorize(lane).update().reorder(lane, stages.taps).vectorize(lane);
}

}  // namespace halpool
