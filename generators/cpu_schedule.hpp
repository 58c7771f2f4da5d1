// How the stages of an average pooling run on a CPU: templates whose parameters come from schedules/.
#ifndef HALPOOL_GENERATORS_CPU_SCHEDULE_HPP
#define HALPOOL_GENERATORS_CPU_SCHEDULE_HPP

#include "pool_algorithm.hpp"

namespace halpool {

// schedules/<target>.json, one set a kernel.
struct CpuSchedule {
    int vector;           // float lanes
    int wide_vector;      // planar, walking down: lanes for rows of several vectors, for targets of 32 registers; 0: as vector
    int tile_rows;        // fixed windows: output rows of one tile, which share sums (planar) or loads
    int tile_columns;     // planar, windows known at run time: vectors of columns summed side by side
    int channel_vectors;  // channels-last: vectors of channels in one tile
    bool streaming;       // vectors are stored aligned (cmake/stream_stores.py), which the extents allow
    int registers;        // vector registers of the target
    bool pairs;           // PoolProblem::pairs
};

// What the templates ask of the call to choose among their variants.
struct CallConditions {
    Halide::Expr border, uniform;           // as in kernel_convention.h
    Halide::Expr width, rows, channels;     // extents of the output box
    Halide::Expr kernel_h, stride_w, pad_left;
    Halide::Expr input_pitch, output_pitch;  // from a column to the next
    Halide::Expr plane;  // elements of an input's plane (planar, global)
};

// Planes of a constant extent, all rows unrolled: what is left of a small plane's loops would cost more than its windows.
void schedule_planar_plane(Halide::Func output, const OutputVariables &v, const CallConditions &when,
                           const CpuSchedule &schedule, int width);
void schedule_planar_tiles(Halide::Func output, PoolStages &stages, const OutputVariables &v,
                           const CallConditions &when, const CpuSchedule &schedule, bool side_by_side);
// PoolProblem::side_by_side.
void schedule_planar_side_by_side(Halide::Func output, PoolStages &stages, const OutputVariables &v, const Halide::Expr &is_read_in_order, const CallConditions &when,
                                  const CpuSchedule &schedule);
// PoolProblem::walks_down. dense_columns: around DenseColumns; four_vectors: registers hold what is
// carried for so many; masked_stores: the target has them, at no cost.
void schedule_planar_walk(Halide::Func output, const OutputVariables &v, const CallConditions &when,
                           const CpuSchedule &schedule, bool dense_columns, bool four_vectors, bool masked_stores);
// The same, of windows around DenseColumns, for memory that is read and written past the caches.
void schedule_planar_even_strips(Halide::Func output, const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule);
void schedule_channels_last_walk(Halide::Stage output, const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule, int carried, int output_bytes);
void schedule_channels_last_fixed(Halide::Func output, PoolStages &stages, const OutputVariables &v,
                                  const CallConditions &when, const CpuSchedule &schedule);
// Channels-last with a few channels, a constant: vectors run along the row, one for each channel, and are interleaved
// when they are stored.
void schedule_few_channels(Halide::Func output, const OutputVariables &v, const CallConditions &when,
                           const CpuSchedule &schedule);
// Windows known at run time.
void schedule_planar_runtime(Halide::Func output, PoolStages &stages, const OutputVariables &v,
                             const CallConditions &when, const CpuSchedule &schedule);
void schedule_channels_last_runtime(Halide::Func output, PoolStages &stages, const OutputVariables &v,
                                    const CallConditions &when, const CpuSchedule &schedule);
// Channels-last: of few taps by `few`, of others by `many`; both sum in blocks.
void schedule_channels_last_global(Halide::Func output, PoolStages &many, PoolStages &few, const Halide::Expr &is_few,
                                   const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule);
// Around the sums of TapWindow.
void schedule_taps(Halide::Func output, const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule);
// Around the sums of LineWindow. masked_stores: the target has them.
void schedule_lines(Halide::Func output, const OutputVariables &v, const CallConditions &when, const CpuSchedule &schedule, bool masked_stores);
// Around the sums of LargeWindow: what is left is to divide and store them.
void schedule_large(Halide::Func output, Layout layout, const OutputVariables &v, const CallConditions &when,
                    const CpuSchedule &schedule);
// Windows side by side: of one width, or of any. At least kLeastBlocks in a row.
void schedule_blocks_of_width(Halide::Func output, BlockStages &stages, const OutputVariables &v, const CallConditions &when,
                              const CpuSchedule &schedule);
void schedule_blocks(Halide::Func output, SeparableStages &stages, Layout layout, const OutputVariables &v,
                     const CallConditions &when, const CpuSchedule &schedule);
void schedule_planar_global(Halide::Func output, RowStages &stages, const OutputVariables &v, const CallConditions &when,
                            const CpuSchedule &schedule);

}  // namespace halpool

#endif
