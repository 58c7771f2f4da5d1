import json
import pathlib
import tempfile
import unittest

import workload
from workload import DTYPES, Workload, read_workloads

SHARED_FILE = pathlib.Path(workload.__file__).with_name("workloads.json")


class AWorkload(unittest.TestCase):
    def test_its_stride_is_the_kernel_and_its_padding_nothing_unless_said(self):
        w = Workload({"name": "A", "input": [1, 2, 9, 12], "kernel_size": [2, 3]})
        self.assertEqual(w.output, [1, 2, 4, 4])
        self.assertEqual(w.command("nhwc"), "setup nhwc 1 2 9 12 2 3 2 3 0 0 1")

    def test_with_ceil_mode_is_for_those_who_ask(self):
        w = Workload({"name": "A", "input": [1, 2, 9, 12], "kernel_size": 2, "ceil_mode": True})
        self.assertEqual(w.output, [1, 2, 5, 6])
        self.assertEqual(w.command("nchw"), "setup nchw 1 2 9 12 2 2 2 2 0 0 1 1")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "mine.json"
            path.write_text('{"layouts": ["nchw"], "workloads": [{"name": "A", "input": [1, 1, 5, 5], "kernel_size": 2, "ceil_mode": true}]}')
            self.assertEqual(read_workloads(path)[1], [])
            self.assertEqual(len(read_workloads(path, with_ceil_mode=True)[1]), 1)

    def test_reads_as_a_line_of_the_table(self):
        w = Workload({"name": "A", "input": [8, 64, 56, 56], "kernel_size": [3, 5], "stride": 1, "padding": [1, 2],
                      "count_include_pad": False})
        self.assertEqual(str(w), "A 8x64x56x56 k3x5 s1 p1x2 exclude")
        self.assertEqual(w.output, w.input)
        self.assertEqual(w.taps(), 8 * 64 * 56 * 56 * 15)


class TheBackwardPass(unittest.TestCase):
    def test_is_the_commands_last_word_and_moves_as_much(self):
        w = Workload({"name": "A", "input": [1, 2, 9, 12], "kernel_size": [2, 3], "dtype": "bf16"})
        forward = w.bytes()
        w.backward = True
        self.assertEqual(str(w), "A 1x2x9x12 k2x3 s2x3 bf16 backward")
        self.assertEqual(w.command("nchw"), "setup nchw 1 2 9 12 2 3 2 3 0 0 1 bf16 backward")
        self.assertEqual(w.bytes(), forward)

    def test_has_problems_of_its_own(self):
        layouts, workloads = read_workloads(SHARED_FILE.with_name("workloads_backward.json"))
        self.assertEqual(layouts, ["nchw", "nhwc"])
        self.assertEqual([w.name for w in workloads if w.group == "judged"], ["W16", "W17", "W18"])


class ADtype(unittest.TestCase):
    def of(self, dtype, **problem):
        return Workload({"name": "A", "input": [1, 2, 9, 12], "kernel_size": [2, 3], "dtype": dtype, **problem})

    def test_stands_behind_the_problem_and_ends_the_command(self):
        self.assertEqual(str(self.of("bf16")), "A 1x2x9x12 k2x3 s2x3 bf16")
        self.assertEqual(self.of("bf16").command("nhwc"), "setup nhwc 1 2 9 12 2 3 2 3 0 0 1 bf16")
        self.assertEqual(self.of("u8", ceil_mode=True).command("nhwc"), "setup nhwc 1 2 9 12 2 3 2 3 0 0 1 1 u8")
        # What is of f32 reads as it did before there were others.
        self.assertEqual(str(self.of("f32")), "A 1x2x9x12 k2x3 s2x3")
        self.assertEqual(self.of("f32").command("nhwc"), "setup nhwc 1 2 9 12 2 3 2 3 0 0 1")

    def test_has_a_size_and_a_tolerance(self):
        elements = 1 * 2 * 9 * 12 + 1 * 2 * 4 * 4
        self.assertEqual({dtype: self.of(dtype).bytes() // elements for dtype in DTYPES}, DTYPES)
        f32, f64 = self.of("f32").tolerance(), self.of("f64").tolerance()
        self.assertEqual(f32, 22 * 2 ** -24)
        self.assertLess(f64, f32 / 1e6)
        self.assertEqual(self.of("f16").tolerance(), f32 + 2 ** -11)
        self.assertEqual(self.of("bf16").tolerance(), f32 + 2 ** -8)
        for dtype in ("i8", "u8"):
            self.assertEqual(self.of(dtype).tolerance(), 1)

    def test_is_the_files_unless_an_entry_says_its_own(self):
        problem = {"input": [1, 1, 5, 5], "kernel_size": 2}
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "mine.json"
            path.write_text(json.dumps({"dtype": "f16", "layouts": ["nchw"], "workloads": [
                {"name": "A", **problem}, {"name": "B", "dtype": "f32", **problem}, {"name": "C", "dtype": "i8", **problem}]}))
            self.assertEqual([w.dtype for w in read_workloads(path, dtypes=DTYPES)[1]], ["f16", "f32", "i8"])
            # Who asks for none of the others gets f32 alone.
            self.assertEqual([w.name for w in read_workloads(path)[1]], ["B"])

    def test_that_nobody_knows_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "mine.json"
            path.write_text('{"layouts": ["nchw"], "workloads": [{"name": "A", "dtype": "f8", "input": [1, 1, 4, 4], "kernel_size": 2}]}')
            with self.assertRaisesRegex(ValueError, "mine.json does not hold workloads.*A: no dtype f8: there are f32, f64"):
                read_workloads(path)


class TheSharedFile(unittest.TestCase):
    def test_holds_workloads_of_four_groups_under_names_of_their_own(self):
        layouts, workloads = read_workloads(SHARED_FILE, dtypes=DTYPES)
        self.assertEqual(layouts, ["nchw", "nhwc"])
        names = [w.name for w in workloads]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual({w.group for w in workloads}, {"judged", "more", "classes", "dtypes"})
        self.assertEqual({w.dtype for w in workloads}, set(DTYPES))
        for w in workloads:
            self.assertTrue(all(extent > 0 for extent in w.output), str(w))
            # The judged ones are judged together, and tuned.
            self.assertEqual(w.group == "dtypes", w.dtype != "f32", str(w))


class AnotherFile(unittest.TestCase):
    def test_is_refused_with_its_name_where_it_holds_something_else(self):
        with tempfile.TemporaryDirectory() as folder:
            for text in ("", "[1]", '{"layouts": ["nchw"], "workloads": [{"name": "A"}]}'):
                path = pathlib.Path(folder) / "mine.json"
                path.write_text(text)
                with self.assertRaisesRegex(ValueError, "mine.json does not hold workloads"):
                    read_workloads(path)
            with self.assertRaisesRegex(ValueError, "'input' is missing"):
                read_workloads(path)

    def test_needs_no_group(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "mine.json"
            path.write_text('{"layouts": ["nchw"], "workloads": [{"name": "A", "input": [1, 1, 4, 4], "kernel_size": 2}]}')
            _, (only,) = read_workloads(path)
            self.assertEqual(only.group, "judged")


if __name__ == "__main__":
    unittest.main()
