"""ONNX Runtime as a peer of the benchmark: the protocol and the measurement of peer.hpp, in Python.

The input and the output are bound before the clock starts; what remains of Python is some 2 us a call.

    peer_onnxruntime.py --threads N
"""

import math
import sys
import time

import numpy
import onnxruntime


# ---- An ONNX model of one AveragePool, in protobuf's wire format: the onnx package is not needed for so little --

def varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def attribute(name, value):
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, 2)
    return field(1, name) + b"".join(field(8, v) for v in value) + field(20, 7)


def tensor(name, shape):
    dimensions = b"".join(field(1, field(1, extent)) for extent in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dimensions)))


def average_pool_model(input_shape, output_shape, kernel, stride, pad, count_include_pad):
    attributes = {"kernel_shape": kernel, "strides": stride, "pads": [*pad, *pad],
                  "count_include_pad": count_include_pad}
    node = field(1, "x") + field(2, "y") + field(4, "AveragePool")
    node += b"".join(field(5, attribute(name, value)) for name, value in attributes.items())
    graph = field(1, node) + field(2, "pool") + field(11, tensor("x", input_shape))
    graph += field(12, tensor("y", output_shape))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


# ---- The peer ---------------------------------------------------------------------------------------------------

BATCH_NS = 20e3


class Unsupported(Exception):
    pass


def aligned(elements):
    raw = numpy.zeros(elements + 16, numpy.float32)
    skip = -raw.ctypes.data % 64 // 4
    return raw[skip:skip + elements]


def fill(data):
    bits = numpy.arange(data.size, dtype=numpy.uint32)
    bits *= numpy.uint32(2654435761)
    bits ^= bits >> numpy.uint32(15)
    bits *= numpy.uint32(2246822519)
    bits ^= bits >> numpy.uint32(13)
    data[:] = (bits >> numpy.uint32(8)).astype(numpy.float32) * numpy.float32(2.0 ** -23) - numpy.float32(1)


class Peer:
    def __init__(self, threads):
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.log_severity_level = 3

    def time(self, calls):
        run, binding = self.session.run_with_iobinding, self.binding
        begin = time.perf_counter_ns()
        for _ in range(calls):
            run(binding)
        return (time.perf_counter_ns() - begin) / calls

    def batch_of(self, ns):
        return max(1, min(math.ceil(ns / self.call_ns), 100000))

    def ready(self):
        return []

    def setup(self, layout, *numbers):
        if layout != "nchw":
            raise Unsupported("ONNX Runtime pools planar tensors alone")
        n, c, h, w, kh, kw, sh, sw, ph, pw, include = map(int, numbers)
        input_shape = [n, c, h, w]
        output_shape = [n, c, (h + 2 * ph - kh) // sh + 1, (w + 2 * pw - kw) // sw + 1]
        model = average_pool_model(input_shape, output_shape, [kh, kw], [sh, sw], [ph, pw], include)
        self.session = onnxruntime.InferenceSession(model, self.options, providers=["CPUExecutionProvider"])
        self.input = aligned(math.prod(input_shape))
        self.output = aligned(math.prod(output_shape))
        fill(self.input)
        self.binding = self.session.io_binding()
        self.binding.bind_input("x", "cpu", 0, numpy.float32, input_shape, self.input.ctypes.data)
        self.binding.bind_output("y", "cpu", 0, numpy.float32, output_shape, self.output.ctypes.data)
        self.call_ns = self.time(1)
        for _ in range(5):
            if self.call_ns < 50e6:
                self.call_ns = min(self.call_ns, self.time(self.batch_of(BATCH_NS)))
        self.batch = self.batch_of(BATCH_NS)
        return [self.call_ns]

    def run(self, repetitions):
        if self.call_ns < 50e6:
            self.time(self.batch_of(200e3))
        return ["AveragePool", *(self.time(self.batch) for _ in range(int(repetitions)))]

    def write(self, path):
        self.output.tofile(path)
        return []

    def compare(self, path):
        expected = numpy.fromfile(path, numpy.float32, self.output.size)
        return [float(numpy.abs(expected.astype(numpy.float64) - self.output).max())]


def main():
    peer = Peer(int(sys.argv[2]))
    for line in sys.stdin:
        verb, *arguments = line.split()
        try:
            print("ok", *getattr(peer, verb)(*arguments), flush=True)
        except Unsupported as reason:
            print("unsupported", reason, flush=True)
        except Exception as reason:
            print("error", " ".join(str(reason).split()), flush=True)


if __name__ == "__main__":
    main()
