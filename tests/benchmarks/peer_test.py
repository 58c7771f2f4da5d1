import pathlib
import sys
import tempfile
import unittest

try:
    import numpy
except ImportError:  # ./dev bench installs it for the peers
    numpy = None
else:
    import peer

FIRST = {  # peer_test.cpp has the same ones
    "f32": [0xbf800000, 0xbe8bb1a0, 0x3f29f418, 0xbf621406, 0xbf203746],
    "f64": [0xbff0000000000000, 0xbfd1763400000000, 0x3fe53e8300000000, 0xbfec4280c0000000, 0xbfe406e8c0000000],
    "f16": [0xbc00, 0xb460, 0x394e, 0xbb12, 0xb902],
    "bf16": [0xbf80, 0xbe8c, 0x3f28, 0xbf64, 0xbf22],
    "i8": [0x00, 0x5d, 0xd4, 0x0e, 0x2f],
    "u8": [0x00, 0x5d, 0xd4, 0x0e, 0x2f],
}


@unittest.skipUnless(numpy, "needs numpy")
class APeer(unittest.TestCase):
    def library(self, value, dtypes=("f32", "bf16", "u8")):
        """A peer of these dtypes, whose output is all this element."""
        class Library(peer.Peer):
            name = "fill"

            def prepare(self, workload):
                self.execute = lambda: self.output.fill(value)
        Library.dtypes = dtypes
        return Library()

    def setup(self, library, *more):
        return library.setup("nchw", *"1 1 3 3 2 2 1 1 0 0 1".split(), *more)

    def test_has_the_same_input_as_every_other(self):
        self.assertEqual(list(peer.DTYPES), list(FIRST))
        for dtype, bits in FIRST.items():
            data = peer.aligned(len(bits), peer.DTYPES[dtype])
            self.assertEqual(data.ctypes.data % 64, 0)
            peer.fill(data, dtype)
            self.assertEqual(data.view(f"u{data.itemsize}").tolist(), bits, dtype)

    def test_reads_bf16_as_the_upper_half_of_a_float(self):
        self.assertEqual(peer.numbers(numpy.array([0x3f80, 0xc040, 0x0000], numpy.uint16), "bf16").tolist(), [1, -3, 0])

    def test_compares_in_the_dtype(self):
        with tempfile.TemporaryDirectory() as folder:
            path = str(pathlib.Path(folder) / "output.bin")
            for dtype, one, other, difference in (("f32", 1.0, 1.5, 0.5), ("bf16", 0x3f80, 0x3f81, 2 ** -7), ("u8", 0, 255, 255)):
                first, second = self.library(one), self.library(other)
                more = () if dtype == "f32" else (dtype,)
                self.setup(first, *more)
                self.setup(second, *more)
                first.write(path)
                self.assertEqual(pathlib.Path(path).stat().st_size, 4 * first.output.itemsize)
                self.assertEqual(first.compare(path), [0])
                self.assertEqual(second.compare(path), [difference])

    def test_refuses_a_dtype_that_the_library_does_not_have(self):
        with self.assertRaisesRegex(peer.Unsupported, "f32, bf16, u8 alone"):
            self.setup(self.library(0), "f64")

    def test_gives_tensors_other_memory_while_it_keeps_the_earlier_ones(self):
        library = self.library(0)
        library.keep(8)
        seen = set()
        for _ in range(5):
            self.setup(library)
            seen |= {library.input.ctypes.data, library.output.ctypes.data}
        self.assertEqual(len(seen), 10)
        self.assertEqual(len(library.kept), 4)

    def test_refuses_the_backward_pass(self):
        with self.assertRaisesRegex(peer.Unsupported, "the forward pass alone"):
            self.setup(self.library(0), "bf16", "backward")


if __name__ == "__main__":
    passed = unittest.main(exit=False).result.wasSuccessful()
    if passed and numpy is None:
        print("[  SKIPPED ] needs numpy")  # CTest looks for this, and then not at the exit status
    sys.exit(not passed)
