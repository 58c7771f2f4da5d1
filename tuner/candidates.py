"""The schedules that are tried for a kernel."""

import itertools

from common import kernel_manifest
from cost_model import cost

LANES = {"sse41": 4, "avx2": 8, "avx512": 16}  # of other targets' vectors: 4


def lanes_of(target):
    return LANES.get(target.rsplit("-", 1)[-1], 4)


def candidates(workload, target):
    """Schedules of one problem, what the cost model thinks best first; kernel_manifest.py says what they mean."""
    lanes = lanes_of(target)
    widths = [width for width in (lanes, lanes // 2) if width >= 4]
    found = []

    def grid(**parameters):
        for values in itertools.product(*parameters.values()):
            found.append(dict(zip(parameters, values)))

    planar, stride_w = workload.layout == "nchw", workload.stride[1]
    if planar and stride_w == 1:
        grid(vector=widths, tile_columns=(2, 1, 4))
        if lanes == 16:
            grid(vector=(8,), wide_vector=(16,), tile_columns=(2, 4))
    elif planar and workload.kernel == workload.stride:
        grid(vector=widths, tile_columns=(4, 2, 1))
    elif planar and workload.kernel[1] > stride_w:
        grid(vector=widths, tile_columns=(2, 1, 4))
    elif planar:
        grid(vector=widths, tile_rows=(1, 2, 4))
    elif stride_w == 1:  # along the rows, or in tiles
        grid(vector=widths, tile_rows=(2, 1, 4))
        grid(vector=widths[:1], tile_rows=(2, 1), channel_vectors=(2, 1, 4), most_channels=(1,))
    else:
        grid(vector=widths, tile_rows=(1, 2), channel_vectors=(2, 1, 4))
        if workload.kernel[1] > stride_w:
            grid(vector=widths, tile_rows=(2, 1), most_channels=(1 << 20,))
    fitting = [schedule for schedule in found if not (planar and stride_w == 1 and workload.kernel[1] // 2 > schedule["vector"])]
    return sorted(fitting, key=lambda schedule: cost(workload, schedule, target))


def neighbours(schedule, target, alignment=0):
    """Schedules that differ from one of everybody's kernels in one parameter: the next smaller and larger values that are allowed.
    alignment: bytes to which the vectors of streaming stores must stay aligned, or 0."""
    found = []
    # Where a class does not read a parameter, its kernel stays the same, byte for byte, and is not measured.
    for name, value in {"tile_rows": 1, "tile_columns": 1, "channel_vectors": 1, **schedule}.items():
        allowed = kernel_manifest.PARAMETERS["cpu"][name]
        if name in ("most_channels", "most_columns"):
            continue  # a border between two kernels, or forms of one, not a size
        for other in (value * 2, value // 2):
            if other not in allowed or (name in ("vector", "wide_vector") and not 4 <= other <= lanes_of(target)):
                continue
            if name == "vector" and alignment and alignment % (other * 4):
                continue
            found.append({**schedule, name: other})
    return found
