"""What a schedule costs where nothing can be measured: instructions an output, from vector width, registers and the rows' ends.

Relative figures, for schedules of one problem. Bytes are the same for all of them, but for channels-last tiles, which read the rows
between them again: from the cache that holds them.
"""

import math

LOAD, ADD, STORE, SPILL, LOOP = 0.5, 0.5, 1.0, 1.0, 6.0  # cycles: two loads or additions a cycle; a loop's end is predicted, its set-up is not free
UNALIGNED = 1.5  # half of the loads at odd places cross a line, and count double
FIRST_LEVEL = 32 << 10


def registers_of(target):
    return 16 if target in ("x86-64-sse41", "x86-64-avx2") else 32


def cost(workload, schedule, target):
    """Cycles an output, about, of `schedule` (kernel_manifest.py: PARAMETERS) for `workload` (kernel_manifest.Workload)."""
    registers, vector = registers_of(target), schedule["vector"]
    kernel_h, kernel_w = workload.kernel
    rows, columns = workload.output
    stride_w = workload.stride[1]
    if workload.layout == "nchw":
        strip = schedule.get("tile_columns", 1)
        if schedule.get("wide_vector") and columns <= 7 * schedule["wide_vector"]:
            vector, strip = schedule["wide_vector"], math.ceil(columns / schedule["wide_vector"])
        strips = math.ceil(columns / (vector * strip))
        loads = kernel_w * LOAD * (UNALIGNED if stride_w == 1 and kernel_w > 1 else stride_w)
        if stride_w == 1:  # down the plane: a row's sums are kept for the windows below
            again, held = 1 + (kernel_h - 1) / max(rows, 1), strip * kernel_h + 3
            one = strip * (loads * again + (kernel_w - 1) * ADD * again + (kernel_h - 1) * ADD + STORE)
        elif kernel_w > stride_w:  # the same, of columns, which are shuffled apart after they are added up
            dense = strip * stride_w + 1
            held = dense * (max(kernel_h - workload.stride[0], 0) + 1) + strip
            one = dense * (min(workload.stride[0], kernel_h) * LOAD + (kernel_h - 1) * ADD) + strip * ((kernel_w - 1) * (ADD + LOAD) + LOAD + STORE)
        else:
            tile = schedule.get("tile_rows", 1)
            again = ((tile - 1) * workload.stride[0] + kernel_h) / tile  # rows read for each row of outputs
            held = strip * (tile + 2)
            one = strip * (again * (loads + (kernel_w - 1) * ADD) + STORE)
        return strips * (one + max(0, held - registers) * SPILL + LOOP) / columns
    channels = workload.channels
    tile = schedule.get("tile_rows", 1)
    tile_waste = math.ceil(rows / tile) * tile / rows
    again = ((tile - 1) * workload.stride[0] + kernel_h) / tile
    if channels <= schedule.get("most_channels", 1 << 20 if stride_w == 1 else 0):  # along the row: the sums of the last columns are kept
        strip = 4 if registers >= 32 and channels >= 4 * vector else 2
        new = min(stride_w, kernel_w)
        one = strip * (new * again * LOAD + (new * (again - 1) + kernel_w - 1) * ADD + STORE)
        held = strip * tile * (kernel_w - new + 1) + 2
    else:
        strip = schedule.get("channel_vectors", 1)
        again_columns = kernel_w
        one = strip * (again * again_columns * (LOAD + ADD) + STORE)
        held = strip * (tile + 1)
        row_bytes = 4 * channels * workload.input[1] * ((tile - 1) * workload.stride[0] + kernel_h)
        one *= 1.0 if row_bytes <= FIRST_LEVEL else 1.2
    strips = math.ceil(channels / (vector * strip))
    return strips * (one + max(0, held - registers) * SPILL / 2 + LOOP / tile) * tile_waste / channels
