"""ONNX Runtime as a peer of the benchmark.

The input and the output are bound before the clock starts; what remains of Python is some 2 us a call.

    peer_onnxruntime.py --threads N
"""

import sys

import numpy
import onnxruntime

import peer


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


def average_pool_model(workload):
    attributes = {"kernel_shape": workload.kernel, "strides": workload.stride, "pads": [*workload.pad, *workload.pad],
                  "count_include_pad": int(workload.count_include_pad)}
    node = field(1, "x") + field(2, "y") + field(4, "AveragePool")
    node += b"".join(field(5, attribute(name, value)) for name, value in attributes.items())
    graph = field(1, node) + field(2, "pool") + field(11, tensor("x", workload.input_shape))
    graph += field(12, tensor("y", workload.output_shape))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


# ---- The peer ---------------------------------------------------------------------------------------------------

class OnnxRuntime(peer.Peer):
    name = "AveragePool"
    version = onnxruntime.__version__

    def __init__(self, threads):
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.log_severity_level = 3

    def why_not(self, workload):
        return "ONNX Runtime pools planar tensors alone" if workload.layout != "nchw" else None

    def prepare(self, workload):
        session = onnxruntime.InferenceSession(average_pool_model(workload), self.options,
                                               providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, numpy.float32, workload.input_shape, self.input.ctypes.data)
        binding.bind_output("y", "cpu", 0, numpy.float32, workload.output_shape, self.output.ctypes.data)
        self.execute = lambda: session.run_with_iobinding(binding)


if __name__ == "__main__":
    OnnxRuntime(int(sys.argv[2])).serve()
