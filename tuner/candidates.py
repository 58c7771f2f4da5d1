"""The schedules that are tried for a kernel."""

import itertools


def candidates(workload, target):
    """Schedules of one problem, the most promising first; kernel_manifest.py says what they mean."""
    lanes = {"sse41": 4, "avx2": 8, "avx512": 16}.get(target.rsplit("-", 1)[-1], 4)
    widths = [width for width in (lanes, lanes // 2) if width >= 4]
    found = []

    def grid(**parameters):
        for values in itertools.product(*parameters.values()):
            found.append({name: value for name, value in zip(parameters, values) if value is not None})

    planar, stride_w = workload.layout == "nchw", workload.stride[1]
    if planar and stride_w == 1:
        grid(vector=widths, tile_columns=(2, 1, 4))
        if lanes == 16:
            grid(vector=(8,), wide_vector=(16,), tile_columns=(2, 4))
    elif planar and workload.kernel == workload.stride:
        grid(vector=widths, tile_columns=(4, 2, 1))
    elif planar:
        grid(vector=widths, tile_rows=(1, 2, 4))
    elif stride_w == 1:  # along the rows, or in tiles
        grid(vector=widths, tile_rows=(2, 1, 4))
        grid(vector=widths[:1], tile_rows=(2, 1), channel_vectors=(2, 1, 4), most_channels=(1,))
    else:
        grid(vector=widths, tile_rows=(1, 2), channel_vectors=(2, 1, 4))
    return [schedule for schedule in found if not (planar and stride_w == 1 and workload.kernel[1] // 2 > schedule["vector"])]
