"""ONNX Runtime as a peer of the benchmark.

The input and the output are bound before the clock starts; what remains of Python is some 2 us a call. f16: it converts to
f32 and back, as it does of any model on such a CPU. Integers: QLinearAveragePool with a scale of 1, which rounds to the nearest.

    peer_onnxruntime.py --threads N
"""

import sys

import numpy
import onnxruntime

import peer

ONNX_TYPES = {"f32": 1, "u8": 2, "i8": 3, "f16": 10}
INTEGERS = ("i8", "u8")


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


def tensor(name, shape, onnx_type):
    dimensions = b"".join(field(1, field(1, extent)) for extent in shape)
    return field(1, name) + field(2, field(1, field(1, onnx_type) + field(2, dimensions)))


def scalar(name, onnx_type, raw):
    return field(2, onnx_type) + field(8, name) + field(9, raw)


def in_memory(workload, shape):
    n, c, h, w = shape
    return [n, h, w, c] if workload.layout == "nhwc" else shape


def average_pool_model(workload):
    attributes = {"kernel_shape": workload.kernel, "strides": workload.stride, "pads": [*workload.pad, *workload.pad],
                  "count_include_pad": int(workload.count_include_pad)}
    onnx_type = ONNX_TYPES[workload.dtype]
    inputs, operator, domain, constants = ["x"], "AveragePool", "", []
    if workload.dtype in INTEGERS:
        inputs, operator, domain = ["x", "one", "zero", "one", "zero"], "QLinearAveragePool", "com.microsoft"
        constants = [scalar("one", ONNX_TYPES["f32"], numpy.float32(1).tobytes()), scalar("zero", onnx_type, b"\0")]
        attributes["channels_last"] = int(workload.layout == "nhwc")
    node = b"".join(field(1, name) for name in inputs) + field(2, "y") + field(4, operator)
    node += b"".join(field(5, attribute(name, value)) for name, value in attributes.items()) + field(7, domain)
    graph = field(1, node) + field(2, "pool") + b"".join(field(5, constant) for constant in constants)
    graph += field(11, tensor("x", in_memory(workload, workload.input_shape), onnx_type))
    graph += field(12, tensor("y", in_memory(workload, workload.output_shape), onnx_type))
    return (field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17)) +
            field(8, field(1, "com.microsoft") + field(2, 1)))


# ---- The peer ---------------------------------------------------------------------------------------------------

class OnnxRuntime(peer.Peer):
    version = onnxruntime.__version__
    dtypes = tuple(ONNX_TYPES)

    def __init__(self, threads):
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.log_severity_level = 3

    def why_not(self, workload):
        if workload.layout != "nchw" and workload.dtype not in INTEGERS:
            return "ONNX Runtime pools planar tensors of floats alone"
        return None

    def prepare(self, workload):
        self.name = "QLinearAveragePool" if workload.dtype in INTEGERS else "AveragePool"
        session = onnxruntime.InferenceSession(average_pool_model(workload), self.options,
                                               providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        for bind, name, shape, memory in ((binding.bind_input, "x", workload.input_shape, self.input),
                                          (binding.bind_output, "y", workload.output_shape, self.output)):
            bind(name, "cpu", 0, memory.dtype.type, in_memory(workload, shape), memory.ctypes.data)
        self.execute = lambda: session.run_with_iobinding(binding)


if __name__ == "__main__":
    OnnxRuntime(int(sys.argv[2])).serve()
