"""What the peers in Python share: the workload, the measurement and the line protocol of peer.hpp."""

import collections
import math
import sys
import time

import numpy

BATCH_NS = 20e3
# numpy has no bf16: its bits.
DTYPES = {"f32": numpy.float32, "f64": numpy.float64, "f16": numpy.float16, "bf16": numpy.uint16, "i8": numpy.int8, "u8": numpy.uint8}


class Unsupported(Exception):
    pass


class Workload:
    """What the command `setup` says."""

    def __init__(self, layout, *words):
        n, c, h, w, kh, kw, sh, sw, ph, pw, include = map(int, words[:11])
        self.backward = "backward" in words[11:]
        self.dtype, = [word for word in words[11:] if word != "backward"] or ("f32",)
        self.layout = layout
        self.input_shape = [n, c, h, w]
        self.output_shape = [n, c, (h + 2 * ph - kh) // sh + 1, (w + 2 * pw - kw) // sw + 1]
        self.kernel, self.stride, self.pad = [kh, kw], [sh, sw], [ph, pw]
        self.count_include_pad = bool(include)

    def filters_an_image(self):
        """Whether this is a box filter: as many pixels out as in, and zeros around them count."""
        return (self.stride == [1, 1] and all(k == 2 * p + 1 for k, p in zip(self.kernel, self.pad)) and
                (self.count_include_pad or self.pad == [0, 0]))

    def tiles_the_image(self):
        return (self.kernel == self.stride and self.pad == [0, 0] and
                [o * k for o, k in zip(self.output_shape[2:], self.kernel)] == self.input_shape[2:])


def aligned(elements, dtype):
    size = elements * numpy.dtype(dtype).itemsize
    raw = numpy.zeros(size + 64, numpy.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip:skip + size].view(dtype)


def numbers(data, dtype):
    """What the elements stand for."""
    if dtype == "bf16":
        data = (data.astype(numpy.uint32) << numpy.uint32(16)).view(numpy.float32)
    return data.astype(numpy.float64)


def fill(data, dtype):
    bits = numpy.arange(data.size, dtype=numpy.uint32)
    bits *= numpy.uint32(2654435761)
    bits ^= bits >> numpy.uint32(15)
    bits *= numpy.uint32(2246822519)
    bits ^= bits >> numpy.uint32(13)
    if dtype in ("i8", "u8"):
        data[:] = (bits >> numpy.uint32(24)).astype(numpy.uint8).view(data.dtype)
        return
    significant = {"bf16": 8, "f16": 11}.get(dtype, 24)
    values = (bits >> numpy.uint32(32 - significant)).astype(numpy.float32) * numpy.float32(2.0 ** (1 - significant)) - numpy.float32(1)
    data[:] = values.view(numpy.uint32) >> numpy.uint32(16) if dtype == "bf16" else values


class Peer:
    """A subclass has `name`, `version`, prepare() and execute(); and finish() and fetch() where it works
    asynchronously."""
    batch_ns = BATCH_NS
    dtypes = ("f32",)
    input = output = None
    kept = collections.deque(maxlen=0)

    def why_not(self, workload):
        """A reason, where the library does not do this."""
        return None

    def prepare(self, workload):
        """Makes everything ready for execute(): self.input holds the values, self.output gets the result."""
        raise NotImplementedError

    def finish(self):
        """Waits until all that was executed is done."""

    def fetch(self):
        """Brings the result to self.output."""

    def time(self, calls):
        execute = self.execute
        begin = time.perf_counter_ns()
        for _ in range(calls):
            execute()
        self.finish()
        return (time.perf_counter_ns() - begin) / calls

    def batch_of(self, ns):
        return max(1, min(math.ceil(ns / self.call_ns), 100000))

    def ready(self):
        return [self.version]

    def keep(self, buffers):
        """So many of earlier set-ups stay, so that a new one gets other memory."""
        self.kept = collections.deque(maxlen=int(buffers) // 2)
        return []

    def setup(self, *words):
        workload = Workload(*words)
        reason = self.why_not(workload) if workload.dtype in self.dtypes else f"{', '.join(self.dtypes)} alone"
        if workload.backward:
            reason = "the forward pass alone"
        if reason:
            raise Unsupported(reason)
        self.dtype = workload.dtype
        if self.output is not None:
            self.kept.append((self.input, self.output))
        self.input = aligned(math.prod(workload.input_shape), DTYPES[self.dtype])
        self.output = aligned(math.prod(workload.output_shape), DTYPES[self.dtype])
        fill(self.input, self.dtype)
        self.prepare(workload)
        self.call_ns = self.time(1)
        for _ in range(5):
            if self.call_ns < 50e6:
                self.call_ns = min(self.call_ns, self.time(self.batch_of(self.batch_ns)))
        self.batch = self.batch_of(self.batch_ns)
        return [self.call_ns]

    def run(self, repetitions):
        if self.call_ns < 50e6:
            self.time(self.batch_of(200e3))
        return [self.name, *(self.time(self.batch) for _ in range(int(repetitions)))]

    def write(self, path):
        self.fetch()
        self.output.tofile(path)
        return []

    def compare(self, path):
        self.fetch()
        expected = numpy.fromfile(path, self.output.dtype, self.output.size)
        return [float(numpy.abs(numbers(expected, self.dtype) - numbers(self.output, self.dtype)).max())]

    def serve(self):
        for line in sys.stdin:
            verb, *arguments = line.split()
            try:
                print("ok", *getattr(self, verb)(*arguments), flush=True)
            except Unsupported as reason:
                print("unsupported", reason, flush=True)
            except Exception as reason:
                print("error", " ".join(str(reason).split()), flush=True)
