import contextlib
import io
import json
import pathlib
import tempfile
import unittest

from candidates import candidates
from common import TuneFailed, kernel_manifest
from journal import Journal
from schedule_file import merge, schedule_text, write_whole

PROBLEMS = [{"kernel_size": kernel, "stride": stride} for kernel in (1, 2, 3, 5, 7, [1, 9], 16) for stride in (1, 2, 3, [2, 1])]


def workload(problem, layout):
    return kernel_manifest.Workload({"name": "w", "input": [1, 8, 40, 50], **problem}, layout, "f32", "file:1")


class Candidates(unittest.TestCase):
    def test_are_schedules_that_the_build_takes(self):
        for target in ("x86-64-sse41", "x86-64-avx2", "x86-64-avx512", "arm-64-neon"):
            for problem in PROBLEMS:
                for layout in ("nchw", "nhwc"):
                    found = candidates(workload(problem, layout), target)
                    self.assertTrue(found or layout == "nchw", (problem, layout))
                    self.assertEqual(len(found), len({json.dumps(each, sort_keys=True) for each in found}))
                    for schedule in found:
                        kernel_manifest.check_parameters("none", "family", schedule, kernel_manifest.PARAMETERS["cpu"])


class AProblem(unittest.TestCase):
    def test_has_the_output_of_pytorch(self):
        def output(**problem):
            return workload(problem, "nchw").output
        self.assertEqual(output(kernel_size=3, stride=2), [19, 24])
        self.assertEqual(output(kernel_size=3, stride=2, ceil_mode=True), [20, 25])
        self.assertEqual(output(kernel_size=[1, 5], stride=1, padding=[0, 2]), [40, 50])
        # The last window would begin behind the input and its begin padding.
        self.assertEqual(output(kernel_size=2, stride=3, padding=1, ceil_mode=True), [14, 17])


class AJournal(unittest.TestCase):
    def test_knows_what_was_measured_here_and_skips_the_rest(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "measured.jsonl"
            journal = Journal(path, "here")
            journal.add("a", {"vector": 8}, [0.5, 0.6])
            Journal(path, "elsewhere").add("b", {"vector": 8}, [0.5])
            with open(path, "a", encoding="utf-8") as file:
                file.write('{"key": "here", "family": "c", "sched')  # stopped here
            again = Journal(path, "here")
            self.assertEqual(again.ratios("a", {"vector": 8}), [0.5, 0.6])
            self.assertIsNone(again.ratios("a", {"vector": 4}))
            self.assertIsNone(again.ratios("b", {"vector": 8}))
            again.add("c", {"vector": 8}, [0.9])
            self.assertEqual(Journal(path, "here").ratios("c", {"vector": 8}), [0.9])


class Merging(unittest.TestCase):
    def merged(self, *documents):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder) / f"{i}.json" for i in range(len(documents))]
            for path, document in zip(paths, documents):
                path.write_text(json.dumps(document, indent=2))
            output = pathlib.Path(folder) / "merged.json"
            try:
                with contextlib.redirect_stdout(io.StringIO()) as said:
                    merge(paths, output)
            except Exception:
                self.assertFalse(output.exists())
                raise
            return json.loads(output.read_text()), said.getvalue()

    def test_takes_what_gained_most_and_lists_conflicts(self):
        one = {"target": "x86-64-avx2", "kernels": {"a": {"vector": 8}, "b": {"vector": 8}, "c": None}, "over_default": {"a": 2.0, "b": 1.5}}
        two = {"target": "x86-64-avx2", "kernels": {"a": {"vector": 4}, "b": {"vector": 4}, "d": {"vector": 4}}, "over_default": {"a": 1.2, "b": 1.6, "d": 3}}
        document, said = self.merged(one, two)
        self.assertEqual(document["kernels"], {"a": {"vector": 8}, "b": {"vector": 4}, "c": None, "d": {"vector": 4}})
        self.assertEqual(document["over_default"], {"a": 2.0, "b": 1.6, "c": 1.0, "d": 3})
        self.assertEqual(len(said.splitlines()), 2)

    def test_refuses_other_targets_and_broken_files(self):
        one = {"target": "x86-64-avx2", "kernels": {"a": {"vector": 8}}}
        with self.assertRaisesRegex(TuneFailed, "1.json:2: schedules for x86-64-sse41"):
            self.merged(one, {**one, "target": "x86-64-sse41"})
        with self.assertRaisesRegex(kernel_manifest.BadInput, "vector is 9; allowed"):
            self.merged(one, {**one, "kernels": {"a": {"vector": 9}}})
        with self.assertRaisesRegex(kernel_manifest.BadInput, "not a schedule file"):
            self.merged(one, [])
        with self.assertRaisesRegex(TuneFailed, "not a number"):
            self.merged(one, {**one, "over_default": {"a": "2"}})


class AFile(unittest.TestCase):
    def test_is_replaced_whole_or_not_at_all(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "out.json"
            document = {"target": "t", "kernels": {"a": {"vector": 8}, "b": None}}
            write_whole(path, schedule_text(document))
            self.assertEqual(json.loads(path.read_text()), document)
            with self.assertRaisesRegex(TuneFailed, "cannot be written"):
                write_whole(path / "below", "text")
            self.assertEqual([each.name for each in pathlib.Path(folder).iterdir()], ["out.json"])


if __name__ == "__main__":
    unittest.main()
