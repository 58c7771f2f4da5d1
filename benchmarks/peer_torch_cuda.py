"""PyTorch on CUDA as a peer of the benchmark: torch.nn.functional.avg_pool2d in inference mode.

Run by a Python that has torch; it allocates an output a call, from its caching allocator.
"""

import sys

try:
    import torch

    import peer  # needs numpy
except ImportError as reason:
    sys.exit(f"{sys.executable}: {reason}")


class TorchCuda(peer.Peer):
    name = "avg_pool2d"
    batch_ns = 3e6

    def prepare(self, layout, input_shape, output_shape, kernel, stride, pad, count_include_pad):
        if not torch.cuda.is_available():
            raise peer.Unsupported("PyTorch sees no CUDA device")
        n, c, h, w = input_shape
        self.channels_last = layout == "nhwc"
        values = torch.from_numpy(self.input)
        if self.channels_last:
            on_device = values.view(n, h, w, c).cuda().permute(0, 3, 1, 2)
        else:
            on_device = values.view(n, c, h, w).cuda()

        def execute():
            with torch.inference_mode():
                self.result = torch.nn.functional.avg_pool2d(on_device, kernel, stride, pad,
                                                             count_include_pad=bool(count_include_pad))
        self.execute = execute

    def finish(self):
        torch.cuda.synchronize()

    def fetch(self):
        result = self.result.permute(0, 2, 3, 1) if self.channels_last else self.result
        self.output[:] = result.contiguous().cpu().numpy().ravel()


if __name__ == "__main__":
    TorchCuda().serve()
