"""The problems of the benchmark, as workloads.json holds them; the tests read the same file."""

import json
import math

DTYPES = {"f32": 4, "f64": 8, "f16": 2, "bf16": 2, "i8": 1, "u8": 1}  # bytes of an element
ROUNDED_TO = {"f16": 2.0 ** -11, "bf16": 2.0 ** -8}  # of dtypes that nobody adds in, the distance of two neighbours below 1


def pair(value):
    return value if isinstance(value, list) else [value, value]


class Workload:
    def __init__(self, entry, dtype="f32"):
        """dtype: of an entry that does not say its own."""
        self.name = entry["name"]
        self.dtype = entry.get("dtype", dtype)
        if self.dtype not in DTYPES:
            raise ValueError(f"{self.name}: no dtype {self.dtype}: there are {', '.join(DTYPES)}")
        self.group = entry.get("group", "judged")
        self.input = entry["input"]
        self.kernel = pair(entry["kernel_size"])
        self.stride = pair(entry.get("stride", self.kernel))
        self.pad = pair(entry.get("padding", 0))
        self.count_include_pad = entry.get("count_include_pad", True)
        self.ceil_mode = entry.get("ceil_mode", False)
        self.backward = False  # bench.py's to set
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
        return " ".join([text] + [self.dtype] * (self.dtype != "f32") + ["backward"] * self.backward)

    def command(self, layout):
        numbers = self.input + self.kernel + self.stride + self.pad + [int(self.count_include_pad)] + [1] * self.ceil_mode
        return " ".join(["setup", layout, *map(str, numbers)] + [self.dtype] * (self.dtype != "f32") + ["backward"] * self.backward)

    def same_in_both_layouts(self):
        return self.input[1] == 1

    def taps(self):
        return math.prod(self.output) * math.prod(self.kernel)

    def bytes(self):
        return DTYPES[self.dtype] * (math.prod(self.input) + math.prod(self.output))

    def tolerance(self):
        """For inputs within [-1, 1], a peer that adds one tap after the other in f32, and a rounded division. bf16 and f16: sums
        that differ by next to nothing may round to neighbours. f64: running sums, which the peers have in f64 whatever the
        dtype, keep their errors along a row. Integers: halpool cuts the mean's fraction off, as PyTorch does of int64; oneDNN,
        ONNX Runtime and OpenCV round it to the nearest."""
        if self.dtype in ("i8", "u8"):
            return 1
        additions = math.prod(self.kernel) + 16
        if self.dtype == "f64":
            return (additions + 2 * sum(self.input[2:])) * 2.0 ** -53
        return additions * 2.0 ** -24 + ROUNDED_TO.get(self.dtype, 0)


def read_workloads(path, with_ceil_mode=False, dtypes=("f32",)):
    """(layouts, workloads); ValueError where the file does not hold them. Not every peer rounds output sizes up, and who does
    not name other dtypes gets f32 alone."""
    try:
        data = json.loads(path.read_text())
        workloads = [Workload(entry, data.get("dtype", "f32")) for entry in data["workloads"]]
        return data["layouts"], [w for w in workloads if (with_ceil_mode or not w.ceil_mode) and w.dtype in dtypes]
    except KeyError as missing:
        raise ValueError(f"{path} does not hold workloads: {missing} is missing, of the file or of a problem") from missing
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} does not hold workloads: {error!r}") from error
