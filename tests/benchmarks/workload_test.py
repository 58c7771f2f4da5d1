import pathlib
import tempfile
import unittest

import workload
from workload import Workload, read_workloads

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


class TheSharedFile(unittest.TestCase):
    def test_holds_workloads_of_three_groups_under_names_of_their_own(self):
        layouts, workloads = read_workloads(SHARED_FILE)
        self.assertEqual(layouts, ["nchw", "nhwc"])
        names = [w.name for w in workloads]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual({w.group for w in workloads}, {"judged", "more", "classes"})
        for w in workloads:
            self.assertTrue(all(extent > 0 for extent in w.output), str(w))


class AnotherFile(unittest.TestCase):
    def test_is_refused_with_its_name_where_it_holds_something_else(self):
        with tempfile.TemporaryDirectory() as folder:
            for text in ("", "[1]", '{"layouts": ["nchw"], "workloads": [{"name": "A"}]}'):
                path = pathlib.Path(folder) / "mine.json"
                path.write_text(text)
                with self.assertRaisesRegex(ValueError, "mine.json does not hold workloads"):
                    read_workloads(path)

    def test_needs_no_group(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "mine.json"
            path.write_text('{"layouts": ["nchw"], "workloads": [{"name": "A", "input": [1, 1, 4, 4], "kernel_size": 2}]}')
            _, (only,) = read_workloads(path)
            self.assertEqual(only.group, "judged")


if __name__ == "__main__":
    unittest.main()
