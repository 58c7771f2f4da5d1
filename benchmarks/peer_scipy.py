"""SciPy as a peer of the benchmark: scipy.ndimage.uniform_filter, a running sum an axis, on one thread whatever is
asked for."""

import scipy
import scipy.ndimage

import peer


class SciPy(peer.Peer):
    name = "uniform_filter"
    version = scipy.__version__
    dtypes = ("f32", "f64")

    def why_not(self, workload):
        if workload.layout != "nchw":
            return "a running sum along the rows wants them planar"
        if not workload.filters_an_image():
            return "SciPy filters with stride 1, as many pixels out as in, zeros around them"
        return None

    def prepare(self, workload):
        x = self.input.reshape(workload.input_shape)
        y = self.output.reshape(workload.output_shape)
        self.execute = lambda: scipy.ndimage.uniform_filter(x, workload.kernel, output=y, mode="constant", axes=(2, 3))


if __name__ == "__main__":
    SciPy().serve()
