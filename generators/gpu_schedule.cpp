#include "gpu_schedule.hpp"

using namespace Halide;

namespace halpool {

void schedule_flat(Func output, PoolStages &stages, Layout layout, const OutputVariables &v, const std::vector<Expr> &borders,
                   const GpuSchedule &schedule, int shared_rows,
                   int shared_columns) {
    const bool planar = layout == Layout::nchw;
    const Var inner = planar ? v.x : v.c, outermost = planar ? v.c : v.n;
    Var io("io"), ii("ii"), yo("yo"), yi("yi"), flat("flat"), block("block"), thread("thread");
    const auto tile = [&](Stage stage) {
        // RoundUp: the row is made for extents that are multiples. GuardWithIf: no extent is too small.
        stage.split(inner, io, ii, schedule.vector, TailStrategy::RoundUp)
            .split(v.y, yo, yi, schedule.tile_rows, TailStrategy::GuardWithIf);
        if (planar) {
            stage.reorder(ii, yi, io, yo, v.c, v.n).fuse(io, yo, flat).fuse(flat, v.c, flat);
        } else {
            stage.reorder(ii, yi, io, v.x, yo, v.n).fuse(io, v.x, flat).fuse(flat, yo, flat).fuse(flat, v.n, flat);
        }
        stage.split(flat, block, thread, schedule.threads, TailStrategy::GuardWithIf)
            .gpu_blocks(block)
            .gpu_threads(thread)
            .unroll(yi);
        if (schedule.vector > 1) stage.vectorize(ii);
        stage.never_partition_all();
    };
    for (const Expr &border : borders) tile(output.specialize(border));
    output.specialize_fail("border is none of its values");

    if (shared_rows > 0) {
        if (schedule.tile_rows > 1) {
            // Bounds that Halide does not find through the fused coordinates.
            Var row = stages.partial.args()[planar ? 1 : 2];
            for (const Var &var : stages.partial.args()) {
                const bool is_row = var.name() == row.name(), is_inner = var.name() == inner.name();
                stages.partial.bound_extent(var, is_row ? shared_rows : is_inner ? schedule.vector : 1);
            }
            stages.partial.compute_at(output, thread).store_in(MemoryType::Register).unroll(row);
            if (schedule.vector > 1) stages.partial.vectorize(inner);
        }
        if (stages.columns.defined() && schedule.vector > 1) {
            // One load of 128 bits where the windows' columns are so many.
            const std::vector<Var> args = stages.columns.args();
            stages.columns.compute_at(output, thread)
                .store_in(MemoryType::Register)
                .bound_extent(args[0], shared_columns)
                .bound_extent(args[1], shared_rows)
                .bound_extent(args[2], 1)
                .bound_extent(args[3], 1)
                .vectorize(args[0])
                .unroll(args[1]);
        }
        return;
    }
    stages.total.compute_at(output, thread);
    stages.total.update().reorder(inner, stages.blocks.x, stages.blocks.y);
    stages.partial.compute_at(stages.total, stages.blocks.x);
    // Unrolled: many loads are under way at once.
    stages.partial.update().reorder(inner, stages.taps.x, stages.taps.y).unroll(stages.taps.x).unroll(stages.taps.y);
    if (schedule.vector > 1) {
        for (Stage stage : {Stage(stages.total), stages.total.update(), Stage(stages.partial), stages.partial.update()}) {
            stage.vectorize(inner);
        }
    }
}

void schedule_shared_columns(Func output, SeparableStages &stages, Layout layout, const OutputVariables &v,
                             const GpuSchedule &schedule) {
    const bool planar = layout == Layout::nchw;
    Var xo("xo"), xi("xi"), co("co"), ci("ci"), block("block"), column_outer("column_outer"), column_inner("column_inner");
    Var channel_outer("channel_outer"), channel_inner("channel_inner");
    output.split(v.x, xo, xi, schedule.tile_columns, TailStrategy::GuardWithIf);
    if (planar) {
        output.reorder(xi, xo, v.y, v.c, v.n).fuse(xo, v.y, block).fuse(block, v.c, block).gpu_threads(xi);
    } else {
        output.split(v.c, co, ci, kChannelLanes, TailStrategy::GuardWithIf)
            .reorder(ci, xi, co, xo, v.y, v.n)
            .fuse(co, xo, block)
            .fuse(block, v.y, block)
            .fuse(block, v.n, block)
            .gpu_threads(ci, xi);
    }
    output.gpu_blocks(block);
    output.never_partition_all();

    const Var column = stages.column.args()[planar ? 0 : 1];
    const int groups = planar ? schedule.threads : schedule.threads / kChannelLanes;
    // Whole blocks of taps are summed, those behind the window masked: their columns are read as well.
    const int capacity = (schedule.tile_columns - 1) * kSeparableStride + kSeparableKernel + kSeparableBlock;
    stages.column.compute_at(output, block)
        .store_in(MemoryType::GPUShared)
        .bound_storage(column, capacity)
        .split(column, column_outer, column_inner, groups, TailStrategy::GuardWithIf);
    if (planar) {
        stages.column.reorder(column_inner, column_outer).gpu_threads(column_inner);
    } else {
        stages.column.bound_storage(v.c, kChannelLanes)
            .split(v.c, channel_outer, channel_inner, kChannelLanes, TailStrategy::GuardWithIf)
            .reorder(channel_inner, column_inner, column_outer, channel_outer)
            .gpu_threads(channel_inner, column_inner);
    }
    const Var own_column = planar ? column_inner : channel_inner, own_output = planar ? xi : ci;
    stages.column_sum.compute_at(stages.column, own_column);
    stages.column_block.compute_at(stages.column_sum, stages.column_blocks);
    stages.sum.compute_at(output, own_output);
    stages.block.compute_at(stages.sum, stages.blocks);
}

void schedule_tree(Func output, TreeStages &stages, Layout layout, const OutputVariables &v) {
    const bool planar = layout == Layout::nchw;
    Var co("co"), ci("ci"), block("block");
    if (planar) {
        output.reorder(v.x, v.y, v.c, v.n).fuse(v.y, v.c, block).gpu_blocks(block).gpu_threads(v.x);
    } else {
        output.split(v.c, co, ci, kChannelLanes, TailStrategy::GuardWithIf)
            .reorder(ci, v.x, co, v.y, v.n)
            .fuse(co, v.y, block)
            .fuse(block, v.n, block)
            .gpu_blocks(block)
            .gpu_threads(ci);
    }
    output.never_partition_all();
    const auto share = [&](Func stage, const Var &lane) {
        stage.compute_at(output, block).store_in(MemoryType::GPUShared);
        if (planar) {
            stage.gpu_threads(lane);
        } else {
            Var channel_outer("channel_outer"), channel_inner("channel_inner");
            stage.bound_storage(v.c, kChannelLanes)
                .split(v.c, channel_outer, channel_inner, kChannelLanes, TailStrategy::GuardWithIf)
                .reorder(channel_inner, lane, channel_outer)
                .gpu_threads(channel_inner, lane);
        }
    };
    share(stages.lane_sum, stages.lane);
    share(stages.branch, stages.branch_index);
    stages.total.compute_at(stages.lane_sum, planar ? stages.lane : Var("channel_inner"));
    stages.partial.compute_at(stages.total, stages.blocks).update().unroll(stages.taps);
}

}  // namespace halpool
