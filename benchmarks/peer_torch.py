"""PyTorch as a peer of the benchmark: torch.nn.functional.avg_pool2d in inference mode, into an output of its own.

    peer_torch.py --device cpu|cuda --threads N

Run by a Python that has torch and numpy.
"""

import sys

import numpy
import torch

import peer


class Torch(peer.Peer):
    name = "avg_pool2d"
    version = torch.__version__
    dtypes = ("f32", "f64", "f16", "bf16")

    def __init__(self, device, threads):
        self.device = device
        if device == "cuda":
            self.batch_ns = 3e6
        else:
            torch.set_num_threads(threads)

    def why_not(self, workload):
        if self.device == "cuda" and not torch.cuda.is_available():
            return "PyTorch sees no CUDA device"
        return None

    def prepare(self, workload):
        def tensor(memory, shape):
            n, c, h, w = shape
            elements = torch.from_numpy(memory.view(numpy.int16)).view(torch.bfloat16) if workload.dtype == "bf16" else torch.from_numpy(memory)
            if workload.layout == "nhwc":
                return elements.view(n, h, w, c).permute(0, 3, 1, 2)
            return elements.view(n, c, h, w)

        x = tensor(self.input, workload.input_shape).to(self.device)
        on_host = tensor(self.output, workload.output_shape)
        y = on_host.to(self.device)
        arguments = (x, workload.kernel, workload.stride, workload.pad, False, workload.count_include_pad)

        def execute():
            with torch.inference_mode():
                torch.nn.functional.avg_pool2d(*arguments, out=y)
        try:
            execute()
        except RuntimeError as error:  # an older one's of f16
            if "not implemented for" not in str(error):
                raise
            raise peer.Unsupported(" ".join(str(error).split())) from error
        self.execute = execute
        self.fetch = lambda: on_host.copy_(y)

    def finish(self):
        if self.device == "cuda":
            torch.cuda.synchronize()


if __name__ == "__main__":
    Torch(sys.argv[2], int(sys.argv[4])).serve()
