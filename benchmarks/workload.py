"""The problems of the benchmark, as workloads.json holds them; the tests read the same file."""

import json
import math


def pair(value):
    return value if isinstance(value, list) else [value, value]


class Workload:
    def __init__(self, entry):
        self.name = entry["name"]
        self.group = entry.get("group", "judged")
        self.input = entry["input"]
        self.kernel = pair(entry["kernel_size"])
        self.stride = pair(entry.get("stride", self.kernel))
        self.pad = pair(entry.get("padding", 0))
        self.count_include_pad = entry.get("count_include_pad", True)
        self.ceil_mode = entry.get("ceil_mode", False)
        self.output = self.input[:2] + [self.pooled(*axis) for axis in zip(self.input[2:], self.kernel, self.stride, self.pad)]

    def pooled(self, extent, kernel, stride, pad):
        steps = (extent + 2 * pad - kernel + (stride - 1 if self.ceil_mode else 0)) // stride
        if self.ceil_mode and steps * stride >= extent + pad:
            steps -= 1
        return steps + 1

    def __str__(self):
        return f"{self.name} {self.problem()}"

    def problem(self):
        def short(values):
            return "x".join(map(str, values if values[0] != values[1] else values[:1]))
        text = f"{'x'.join(map(str, self.input))} k{short(self.kernel)} s{short(self.stride)}"
        if any(self.pad):
            text += f" p{short(self.pad)}" + ("" if self.count_include_pad else " exclude")
        return text

    def command(self, layout):
        numbers = self.input + self.kernel + self.stride + self.pad + [int(self.count_include_pad)] + [1] * self.ceil_mode
        return " ".join(["setup", layout, *map(str, numbers)])

    def same_in_both_layouts(self):
        return self.input[1] == 1

    def taps(self):
        return math.prod(self.output) * math.prod(self.kernel)

    def bytes(self):
        return 4 * (math.prod(self.input) + math.prod(self.output))

    def tolerance(self):
        """For inputs within [-1, 1], a peer that adds one tap after the other in f32, and a rounded division."""
        return (math.prod(self.kernel) + 16) * 2.0 ** -24


def read_workloads(path, with_ceil_mode=False):
    """(layouts, workloads); ValueError where the file does not hold them. Not every peer rounds output sizes up."""
    try:
        data = json.loads(path.read_text())
        return data["layouts"], [Workload(entry) for entry in data["workloads"] if with_ceil_mode or not entry.get("ceil_mode")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} does not hold workloads: {error!r}") from error
