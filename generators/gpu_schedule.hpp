// Schedule templates for devices with thread blocks (CUDA, Vulkan). Threads are numbered along x alone, and so are the
// blocks of a launch: runtime/device_call.cpp counts them to stay within a device's limits.
#ifndef HALPOOL_GENERATORS_GPU_SCHEDULE_HPP
#define HALPOOL_GENERATORS_GPU_SCHEDULE_HPP

#include "pool_algorithm.hpp"

#include <halpool/internal/kernel_convention.h>

namespace halpool {

// Parameters from schedules/.
struct GpuSchedule {
    int vector;        // elements of one load and store (the tensors are aligned to them)
    int tile_rows;     // output rows of a thread
    int tile_columns;  // output columns of a block, where a block computes a tile
    int threads;       // of a block
};

// borders: every value that `border` may have, as conditions; each gets a kernel, so that no condition is left in them.

// Each thread computes `vector` elements of tile_rows rows; neighbours in memory are neighbours among the threads,
// whatever the extents: the output's coordinates are fused and then cut into blocks. shared_rows: the input rows of which
// a thread keeps sums for its tile (fixed windows), else 0; shared_columns: the input's columns below its outputs where
// windows lie side by side.
void schedule_flat(Halide::Func output, PoolStages &stages, Layout layout, const OutputVariables &v, const std::vector<Halide::Expr> &borders,
                   const GpuSchedule &schedule, int shared_rows,
                   int shared_columns);

// A block computes tile_columns outputs of one row: first the sums of the input columns below them, into shared memory,
// then sums of those.
void schedule_shared_columns(Halide::Func output, SeparableStages &stages, Layout layout, const OutputVariables &v,
                             const GpuSchedule &schedule);

// A block computes one plane (planar), or kChannelLanes channels of an image: threads sum their share, then a tree.
void schedule_tree(Halide::Func output, TreeStages &stages, Layout layout, const OutputVariables &v);

}  // namespace halpool

#endif
