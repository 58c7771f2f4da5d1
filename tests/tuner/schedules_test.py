import contextlib
import io
import json
import pathlib
import tempfile
import unittest

from candidates import candidates, neighbours
from common import SOURCE, TuneFailed, kernel_manifest
from cost_model import cost
from journal import Journal
from schedule_file import merge, schedule_text, write_whole
from search import ClassSearch, OwnSearch
from workload import Workload

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


    def test_come_in_the_order_of_their_cost(self):
        for layout in ("nchw", "nhwc"):
            problem = workload({"kernel_size": 3, "stride": 1}, layout)
            costs = [cost(problem, schedule, "x86-64-avx2") for schedule in candidates(problem, "x86-64-avx2")]
            self.assertEqual(costs, sorted(costs))
            self.assertGreater(costs[-1], 1.2 * costs[0])
        # More sums than registers: spills.
        deep = workload({"kernel_size": [15, 3], "stride": 1}, "nchw")
        self.assertLess(cost(deep, {"vector": 8, "tile_columns": 1}, "x86-64-avx2"), cost(deep, {"vector": 8, "tile_columns": 4}, "x86-64-avx2"))
        # Half of a vector unused at the end of each row.
        narrow = kernel_manifest.Workload({"name": "w", "input": [1, 8, 40, 6], "kernel_size": 3, "stride": 1}, "nchw", "f32", "file:1")
        self.assertLess(cost(narrow, {"vector": 4}, "x86-64-avx512"), cost(narrow, {"vector": 16, "tile_columns": 2}, "x86-64-avx512"))

    def test_near_one_of_everybodys_differ_in_one_parameter(self):
        for target in ("x86-64-sse41", "x86-64-avx2", "x86-64-avx512"):
            for family, schedule in kernel_manifest.read(str(SOURCE / "schedules" / f"{target}.json"))["kernels"].items():
                if schedule is None:
                    continue
                alignment = 64 if "-a64-streaming" in family else 0
                found = neighbours(schedule, target, alignment)
                self.assertTrue(found, family)
                for other in found:
                    kernel_manifest.check_parameters("none", family, other, kernel_manifest.PARAMETERS["cpu"])
                    self.assertEqual(sum(other[name] != schedule.get(name, 1) for name in other), 1, (schedule, other))
                    self.assertTrue(not alignment or alignment % (other["vector"] * 4) == 0, other)


class ASearch(unittest.TestCase):
    def own(self, **options):
        problem = {"name": "w", "input": [1, 8, 40, 50], "kernel_size": 3, "stride": 1}
        return OwnSearch(workload({"kernel_size": 3, "stride": 1}, "nchw"), Workload(problem), "x86-64-avx2", **options)

    def test_takes_what_gains_in_both_measurements(self):
        search = self.own()
        first, second, third, fourth = search.next(), search.next(), search.next(), search.next()
        self.assertFalse(search.judge(first, [1.1]))
        self.assertFalse(search.judge(second, [0.5, 1.0]))  # once
        self.assertIsNone(search.best)
        self.assertTrue(search.judge(third, [0.80, 0.88]))
        self.assertEqual((search.best, search.over_default), (third, 1 / 0.88))
        self.assertAlmostEqual(search.noise, 0.1)
        self.assertFalse(search.judge(fourth, [0.86, 0.87]))  # less than 3 % better
        self.assertEqual(search.best, third)

    def test_gives_up_a_problem_that_two_candidates_lose(self):
        search = self.own()
        for _ in range(2):
            search.judge(search.next(), [1.3])
        self.assertIsNone(search.next())
        patient = self.own(patient=True)
        for _ in range(2):
            patient.judge(patient.next(), [1.3])
        self.assertIsNotNone(patient.next())

    def test_of_everybodys_kernels_goes_on_from_what_won(self):
        search = ClassSearch("avg_pool2d_f32_nchw_3x3s1", [], {"vector": 8, "tile_columns": 4}, "x86-64-avx2", 0)
        tried = []
        while (schedule := search.next()) is not None:
            self.assertNotIn(schedule, tried)
            tried.append(schedule)
            if schedule == {"vector": 8, "tile_columns": 8}:
                search.judge(schedule, [0.9, 0.9])
            else:
                search.judge(schedule, [1.01])
        self.assertEqual(search.best["tile_columns"], 8)
        self.assertTrue(any(schedule["tile_columns"] == 16 for schedule in tried))

    def test_leaves_out_a_parameter_that_changes_nothing(self):
        search = ClassSearch("avg_pool2d_f32_nchw_3x3s1", [], {"vector": 8, "tile_rows": 4}, "x86-64-avx2", 0)
        one = next(schedule for schedule in search.untried if schedule["tile_rows"] == 8)
        search.untried.remove(one)
        search.skip_parameters(one)
        self.assertFalse([schedule for schedule in search.untried if schedule["tile_rows"] != 4])
        self.assertTrue(search.untried)


class AProblem(unittest.TestCase):
    def test_has_the_same_output_for_the_benchmark_and_for_the_build(self):
        for kernel in (1, 2, 3, 5, 7):
            for stride in (1, 2, 3, 4):
                for padding in range(kernel // 2 + 1):
                    for ceil_mode in (False, True):
                        entry = {"name": "w", "input": [1, 2, 11, 14], "kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
                        self.assertEqual(Workload(entry).output[2:], kernel_manifest.Workload(entry, "nchw", "f32", "file:1").output, entry)

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
