"""What a build (HALPOOL_WORKLOADS) and the tuner make of a workload file of the benchmark: cmake/kernel_manifest.py."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import kernel_manifest
import workload

SOURCE = pathlib.Path(workload.__file__).parent.parent
PROBLEM = {"input": [1, 8, 12, 12], "kernel_size": 3, "stride": 1}


class TheBuild(unittest.TestCase):
    def read(self, document):
        """(families, what it says)"""
        said = io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(said):
            path = pathlib.Path(folder) / "mine.json"
            path.write_text(json.dumps({"op": "avg_pool2d", "dtype": "f32", "layouts": ["nchw"], **document}, indent=1))
            found = kernel_manifest.read_workloads(str(SOURCE / "schedules"), str(path))
        return [each.family for each in found], said.getvalue()

    def test_makes_no_kernels_for_other_dtypes_and_says_so(self):
        families, said = self.read({"workloads": [{"name": "a", **PROBLEM}, {"name": "b", "dtype": "bf16", **PROBLEM},
                                                  {"name": "c", "dtype": "u8", **PROBLEM}]})
        self.assertEqual(families, ["avg_pool2d_f32_nchw-8x12x12_3x3s1"])
        self.assertRegex(said, r"mine\.json:\d+: kernels of their own are made for f32 alone, so not for b, c\n$")
        self.assertEqual(said.count("\n"), 1)

    def test_makes_those_of_f32_whatever_the_others_are(self):
        families, said = self.read({"dtype": "f16", "workloads": [{"name": "a", **PROBLEM}, {"name": "b", "dtype": "f32", **PROBLEM}]})
        self.assertEqual(families, ["avg_pool2d_f32_nchw-8x12x12_3x3s1"])
        self.assertRegex(said, r"mine\.json:3: .* not for a\n$")  # where the document says it

    def test_refuses_a_file_without_any_of_f32(self):
        for document in ({"dtype": "f16", "workloads": [{"name": "a", **PROBLEM}]}, {"workloads": [{"name": "a", "dtype": "f64", **PROBLEM}]}):
            with self.assertRaisesRegex(kernel_manifest.BadInput, r"mine\.json:\d+: no problem is of f32"):
                self.read(document)

    def test_refuses_a_dtype_that_there_is_not(self):
        for document in ({"dtype": "f8", "workloads": [{"name": "a", **PROBLEM}]}, {"workloads": [{"name": "a", "dtype": "f8", **PROBLEM}]}):
            with self.assertRaisesRegex(kernel_manifest.BadInput, r"mine\.json:\d+: .*dtype must be one of \['f32', 'f64', 'f16', 'bf16', 'i8', 'u8'\]"):
                self.read(document)

    def test_takes_the_benchmarks_file(self):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            found = kernel_manifest.read_workloads(str(SOURCE / "schedules"), str(SOURCE / "benchmarks/workloads.json"))
        _, of_f32 = workload.read_workloads(SOURCE / "benchmarks/workloads.json")
        self.assertEqual({each.name for each in found} - {each.name for each in of_f32}, set())
        self.assertIn("so not for W19, W20u, W20s, W5i-f16, W5i-f64", said.getvalue())


if __name__ == "__main__":
    unittest.main()
