"""OpenCV as a peer of the benchmark, for what of average pooling an image library does: cv2.boxFilter (cv2.blur with
zeros around the image), and cv2.resize by area where the windows tile the image.

    peer_opencv.py --threads N
"""

import sys

import cv2

import peer

MAX_CHANNELS = 128  # CV_CN_MAX of OpenCV 5


class OpenCv(peer.Peer):
    version = cv2.__version__
    dtypes = ("f32", "f64", "u8")

    def __init__(self, threads):
        cv2.setNumThreads(threads)

    def why_not(self, workload):
        if workload.layout != "nhwc":
            return "OpenCV's images have their channels last"
        if workload.input_shape[1] > MAX_CHANNELS:
            return f"OpenCV's images have at most {MAX_CHANNELS} channels"
        if not workload.filters_an_image() and not workload.tiles_the_image():
            return "OpenCV has neither a box filter nor an area resize for this"
        if workload.dtype == "f64" and not workload.filters_an_image():
            return "OpenCV's area resize multiplies by an f32, of f64 too"
        return None

    def prepare(self, workload):
        def images(memory, shape):
            n, c, h, w = shape
            return list(memory.reshape([n, h, w, c] if c > 1 else [n, h, w]))

        pairs = list(zip(images(self.input, workload.input_shape), images(self.output, workload.output_shape)))
        kernel_h, kernel_w = workload.kernel
        output_h, output_w = workload.output_shape[2:]

        def filter_each():
            for image, pooled in pairs:
                cv2.boxFilter(image, -1, (kernel_w, kernel_h), dst=pooled, borderType=cv2.BORDER_CONSTANT)

        def resize_each():
            for image, pooled in pairs:
                cv2.resize(image, (output_w, output_h), dst=pooled, interpolation=cv2.INTER_AREA)

        filters = workload.filters_an_image()
        self.name = "boxFilter" if filters else "resize_INTER_AREA"
        self.execute = filter_each if filters else resize_each


if __name__ == "__main__":
    OpenCv(int(sys.argv[2])).serve()
