import contextlib
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import types
import unittest

import bundle
import device_identity
import device_search
from common import TuneFailed

# Those that are here, each once: sh is one of them.
SHELLS = [shell for shell in (["dash"], ["busybox", "sh"], ["bash", "--posix"]) if shutil.which(shell[0])] or [["sh"]]
ONE, TWO = "avg_pool2d_f32_nchw-4x20x20_5x4s1p2x0", "avg_pool2d_f32_nhwc-4x20x20_5x4s1p2x0"


def candidates(**changes):
    problems = [{"family": family, "layout": layout, "setup": f"setup {layout} 1 4 20 20 5 4 1 1 2 0 1", "tolerance": 2e-6,
                 "schedules": schedules}
                for family, layout, schedules in ((ONE, "nchw", [{"vector": 4}, {"vector": 8}, {"vector": 16}]),
                                                  (TWO, "nhwc", [{"vector": 4}, None, None]))]
    document = {"format": 1, "target": "arm-64-neon", "host": "here", "date": "2026-01-01", "halpool": "0.1.0", "halide": "21.0.0",
                "problems": problems, "programs": {}, **changes}
    return {"id": bundle.identity(document), **document}


def entry(family, candidate, default, ns):
    return {"family": family, "candidate": candidate, "default_ns": default, "candidate_ns": ns}


class Taking(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.output = self.folder / "schedules.json"

    def write(self, *results, document=None):
        document = document or candidates()
        (self.folder / "candidates.json").write_text(bundle.candidates_text(document))
        paths = [self.folder / f"results{i}.json" for i in range(len(results))]
        for path, measured in zip(paths, results):
            if isinstance(measured, list):
                lines = ",\n".join(map(json.dumps, measured))
                measured = (f'{{"format": 1, "bundle": "{document["id"]}",\n'
                            f'"device": {{"cpu": "A 53", "cores": 4, "date": "2026-01-02", "cpuinfo": ["CPU part: 0xd0{path.stem[-1]}", '
                            f'"CPU implementer : 0x41"]}},\n"measured": [\n{lines}\n]}}\n')
            path.write_bytes(measured if isinstance(measured, bytes) else measured.encode())
        return paths

    def take(self, paths):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            bundle.from_results(types.SimpleNamespace(from_results=paths, bundle=self.folder, output=self.output))

    def schedules(self, *results, document=None):
        self.take(self.write(*results, document=document))
        return json.loads(self.output.read_text())

    def refused(self, why, *results, document=None):
        with self.assertRaisesRegex(TuneFailed, why):
            self.schedules(*results, document=document)
        self.assertFalse(self.output.exists())


class Results(Taking):
    def test_the_best_of_two_measurements_wins(self):
        found = self.schedules([entry(ONE, 1, [100, 100], [80, 90]), entry(ONE, 2, [100, 200.0], [89, 160]),
                                entry(ONE, 3, [100, 100], [50, 89]), entry(TWO, 1, [100], [101])])
        self.assertEqual(list(found), ["target", "tuned_on", "provenance", "over_default", "noise", "kernels"])
        self.assertEqual(found["target"], "arm-64-neon")
        self.assertEqual({key: found["provenance"][key] for key in ("halpool", "cpu", "cores", "date", "threads")},
                         {"halpool": "0.1.0", "cpu": "A 53", "cores": 4, "date": "2026-01-02", "threads": 1})
        # 2 and 3 gain more than 1, but less than 3 %.
        self.assertEqual(found["kernels"], {ONE: {"vector": 4}, TWO: None})
        self.assertEqual(found["over_default"], {ONE: 1.111, TWO: 1.0})
        self.assertEqual(found["noise"], {ONE: 0.125, TWO: 0.0})
        self.assertEqual(found["tuned_on"], {"device": "0xd00", "architecture": "0xd00", "vendor": "0x41"})

    def test_what_gains_once_or_too_little_does_not(self):
        for times in ([[50], [100]], [[98, 98], [100, 100]], [[50, 98], [100, 100]]):
            found = self.schedules([entry(ONE, 1, times[1], times[0])])
            self.assertEqual(found["kernels"], {ONE: None, TWO: None}, times)

    def test_what_fails_is_not_taken(self):
        found = self.schedules([{"family": ONE, "candidate": 1, "error": "its output is off by 1"}, entry(ONE, 2, [100, 100], [50, 50])])
        self.assertEqual(found["kernels"][ONE], {"vector": 8})

    def test_of_several_devices_each_must_gain(self):
        fast = [entry(ONE, 1, [100, 100], [50, 50]), entry(ONE, 2, [100, 100], [80, 80])]
        slow = [entry(ONE, 1, [100], [120]), entry(ONE, 2, [100, 100], [90, 91])]
        found = self.schedules(fast, slow)
        self.assertEqual(found["kernels"][ONE], {"vector": 8})
        self.assertEqual(found["over_default"][ONE], 1.099)
        self.assertEqual(len(found["provenance"]), 2)
        self.assertEqual(found["tuned_on"], {"vendor": "0x41"})
        self.take(*self.write(fast))
        self.assertEqual(json.loads(self.output.read_text())["kernels"][ONE], {"vector": 4})

    def test_that_are_no_results_are_refused(self):
        good = entry(ONE, 1, [100, 100], [80, 90])
        self.refused("results0.json:1: not JSON", "{")
        self.refused("results0.json: not JSON", b"\xff\xfe")
        self.refused("results0.json: not JSON", "[" * 100000)
        self.refused("results0.json:1: not the results", "[]")
        self.refused("results0.json:1: results of the bundle 'another'", '{"format": 1, "bundle": "another", "device": {}, "measured": []}')
        self.refused("results0.json:2: format 2", '{\n"format": 2}')
        identity = candidates()["id"]
        head = f'{{"format": 1, "bundle": "{identity}",\n'
        self.refused("results0.json:2: a \"device\"", head + '"device": {"cpu": "x"}, "measured": []}')
        self.refused("results0.json:2: cores is 'many'", head + '"device": {"cpu": "x", "date": "y", "cores": "many"}, "measured": []}')
        self.refused("results0.json:2: cpuinfo", head + '"device": {"cpu": "x", "date": "y", "cores": 1, "cpuinfo": [1]}, "measured": []}')
        self.refused('nothing is "measured"', head + '"device": {"cpu": "x", "date": "y", "cores": null}}')
        self.refused('nothing is "measured"', [])
        self.refused("results0.json:5: .* not a list of times: \\[\"80\", 90\\]", [good, entry(ONE, 2, [100, 100], ["80", 90])])
        for wrong in (float("nan"), float("inf"), -1, 0, True, None, [1], 10 ** 400):
            self.refused("results0.json:4: candidate_ns of candidate 1 .* not a list of times", [entry(ONE, 1, [100, 100], [80, wrong])])
            self.refused("default_ns of candidate 1 of .* is not a list of times", [entry(ONE, 1, [wrong], [80])])
        self.refused("results0.json:4: times .* no machine", [entry(ONE, 1, [1e-300], [1e300])])
        self.refused("not a list of times: null", [{"family": ONE, "candidate": 1, "default_ns": [1]}])
        self.refused("not a list of times: \\[\\]", [entry(ONE, 1, [], [])])
        self.refused("results0.json:4: .* has 1 times, its default 2", [entry(ONE, 1, [100, 100], [80])])
        self.refused("results0.json:5: candidate 1 of .* twice", [good, good])
        self.refused("results0.json:4: .* has no candidate 4", [entry(ONE, 4, [100], [80])])
        self.refused("has no candidate 2", [entry(TWO, 2, [100], [80])])
        self.refused("has no candidate '1'", [entry(ONE, "1", [100], [80])])
        self.refused("results0.json:4: measurement 1 is of 'other'", [entry("other", 1, [100], [80])])
        self.refused("results0.json:3: measurement 1 is not an object", [1])
        self.refused("results1.json:1: not JSON", [good], "{")
        with self.assertRaisesRegex(TuneFailed, "none.json: No such file"):
            self.take(self.folder / "none.json")

    def test_need_the_bundle_as_it_was_emitted(self):
        good = [entry(ONE, 1, [100, 100], [80, 90])]
        document = candidates()
        document["problems"][0]["schedules"][0] = {"vector": 8}
        self.refused("candidates.json:2: this is not what was emitted", good, document=document)
        self.refused("candidates.json:3: format 2", good, document=candidates(format=2))
        self.refused("no candidates can be built for vulkan-1.1", good, document=candidates(target="vulkan-1.1"))
        self.refused("no \"halpool\"", good, document=candidates(halpool=None))
        self.refused("candidates.json:.*vector is 9; allowed", good,
                     document=candidates(problems=[{"family": ONE, "schedules": [{"vector": 9}]}]))
        self.refused("without \"family\"", good, document=candidates(problems=[1]))
        self.refused("no candidates", good, document=candidates(problems=[]))
        self.write(good)
        (self.folder / "candidates.json").write_text("[]")
        with self.assertRaisesRegex(TuneFailed, "candidates.json:1: not a bundle"):
            self.take(self.folder / "results0.json")


# A program that speaks the protocol, says when it runs, and knows when another one does.
FAKE = """#!/bin/sh
cd {folder}
mkdir busy 2>/dev/null || echo overlap >>overlap
echo {name} >>calls
while read -r verb rest; do
    case $verb in
    ready) echo "ok 0.1.0" ;;
    setup) case $rest in nhwc*) {nhwc} ;; esac; echo "ok 1.5e+07" ;;
    run) [ ! -e {name}.block ] || {{ touch blocked; sleep 60; }}
        echo "ok a_kernel {times}" ;;
    write) echo output >"$OLDPWD/$rest"; echo ok ;;
    compare) read -r there <"$OLDPWD/$rest"; [ "$there" = output ] && echo "ok {difference}" ;;
    esac
done
rmdir busy
exit {status}
"""


class TheScript(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(suffix=" with spaces"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.fakes = self.folder / "fakes"
        self.state = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.state, True)
        self.fakes.mkdir()

    def emit(self, programs, document=None):
        self.document = document or candidates()
        (self.fakes / "run.sh").write_text(bundle.script(self.document))
        for name, facts in programs.items():
            text = FAKE.format(folder=self.state, name=name, **{"nhwc": ":", "difference": "0", "status": 0, **facts})
            (self.fakes / name).write_text(text)
            (self.fakes / name).chmod(0o755)

    def command(self, shell, *arguments):
        return [*shell, str(self.fakes / "run.sh"), *arguments]

    def run_it(self, shell, *arguments, **environment):
        return subprocess.run(self.command(shell, *arguments), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, **environment})

    def calls(self):
        found = (self.state / "calls").read_text().split()
        (self.state / "calls").unlink()
        return found

    # Faster; slower; wrong.
    FAKES = {"default": {"times": "1.25e+07 2e+08 13000000"}, "candidate-1": {"times": "9.5e+06 9499999.5 1.1e+07"},
             "candidate-2": {"times": "1.26e+07"}, "candidate-3": {"times": "1", "difference": "2.1e-06"}}

    def test_measures_in_turns_and_again_what_gains(self):
        for shell in SHELLS:
            with self.subTest(shell=shell):
                self.emit(self.FAKES)
                done = self.run_it(shell)
                self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
                results = json.loads((self.fakes / "results.json").read_text())
                self.assertEqual((results["format"], results["bundle"]), (1, self.document["id"]))
                self.assertTrue(results["device"]["cpu"])
                identity = device_identity.of_cpuinfo("\n".join(results["device"]["cpuinfo"]))
                self.assertEqual(identity, device_identity.of_this_machine())
                self.assertRegex(results["device"]["date"], r"^\d{4}-\d\d-\d\d$")
                self.assertEqual(results["measured"], [
                    entry(ONE, 1, [1.25e7, 1.25e7], [9499999.5, 9499999.5]), entry(TWO, 1, [1.25e7, 1.25e7], [9499999.5, 9499999.5]),
                    entry(ONE, 2, [1.25e7], [1.26e7]), {"family": ONE, "candidate": 3, "error": "its output is off by 2.1e-06"}])
                calls = self.calls()
                self.assertEqual(calls[:24], ["default", "candidate-1"] * 12)  # twice, each a comparison and five rounds
                self.assertEqual(calls[48:], ["default", "candidate-2"] * 6 + ["default", "candidate-3"])
                self.assertFalse((self.state / "overlap").exists())
                self.assertIn(f"[1/4] {ONE} candidate-1: 9499999.5, 9499999.5 ns, default 1.25e+07, 1.25e+07 ns", done.stderr)
                self.assertEqual(sorted(path.name for path in self.fakes.iterdir() if path.name not in self.FAKES),
                                 ["results.json", "results.json.journal", "run.sh"])
                # All is known: nothing is measured again, and the results are the same.
                self.assertEqual(self.run_it(shell).returncode, 0)
                self.assertFalse((self.state / "calls").exists())
                self.assertEqual(json.loads((self.fakes / "results.json").read_text())["measured"], results["measured"])
                # And what comes back is understood.
                (self.fakes / "candidates.json").write_text(bundle.candidates_text(self.document))
                output = self.folder / "schedules.json"
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    bundle.from_results(types.SimpleNamespace(from_results=self.fakes / "results.json", bundle=self.fakes, output=output))
                self.assertEqual(json.loads(output.read_text())["kernels"], {ONE: {"vector": 4}, TWO: {"vector": 4}})
                for name in ("results.json", "results.json.journal", "candidates.json"):
                    (self.fakes / name).unlink()

    def test_goes_on_where_it_was_killed(self):
        for shell in SHELLS:
            for how in (signal.SIGKILL, signal.SIGTERM):
                with self.subTest(shell=shell, how=how):
                    self.emit(self.FAKES)
                    results = self.folder / "some where.json"
                    (self.state / "candidate-2.block").touch()
                    process = subprocess.Popen(self.command(shell, str(results)), stderr=subprocess.DEVNULL, start_new_session=True)
                    for _ in range(600):
                        if (self.state / "blocked").exists() or process.poll() is not None:
                            break
                        time.sleep(0.05)
                    self.assertTrue((self.state / "blocked").exists())
                    again = self.run_it(shell, str(self.folder / "other.json"))  # beside it
                    self.assertEqual(again.returncode, 1)
                    self.assertIn(f"runs already, as process {process.pid}", again.stderr)
                    os.killpg(process.pid, how)
                    process.wait()
                    self.assertFalse(results.exists())
                    for name in ("candidate-2.block", "blocked"):
                        (self.state / name).unlink()
                    shutil.rmtree(self.state / "busy", True)
                    self.calls()
                    journal = self.folder / "some where.json.journal"
                    with open(journal, "a") as file:  # it was stopped in the middle of a line; and of another bundle
                        file.write(f"another host {ONE} 2 1 1 2 .\n{self.document['id']} {os.uname().nodename} {ONE} 2 1 125")
                    done = self.run_it(shell, str(results))
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(self.calls(), ["default", "candidate-2"] * 6 + ["default", "candidate-3"])
                    measured = json.loads(results.read_text())["measured"]
                    self.assertEqual([(each["family"], each["candidate"]) for each in measured], [(ONE, 1), (TWO, 1), (ONE, 2), (ONE, 3)])
                    self.assertFalse((self.state / "overlap").exists())
                    self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith(".")], [])
                    journal.unlink()
                    results.unlink()

    def test_says_what_fails(self):
        for shell in SHELLS:
            with self.subTest(shell=shell):
                # The default does one of the problems; one candidate dies, one says nonsense.
                self.emit({"default": {"times": "100000 99999.5", "nhwc": 'echo "error no \\"memory\\""; continue'},
                           "candidate-1": {"times": "nan"}, "candidate-2": {"times": "12", "status": 3},
                           "candidate-3": {"times": "99999.4 0.000001e+12", "difference": "1e-07"}})
                done = self.run_it(shell)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(f'{TWO} cannot be measured here: default: error no "memory"', done.stderr)
                self.assertIn("1 of 4 candidates could not be measured", done.stderr)
                self.assertEqual(json.loads((self.fakes / "results.json").read_text())["measured"], [
                    {"family": ONE, "candidate": 1, "error": "no times: a_kernel nan"},
                    {"family": ONE, "candidate": 2, "error": "candidate-2 ended with status 3"},
                    entry(ONE, 3, [99999.5, 99999.5], [99999.4, 99999.4])])
                self.calls()
                for name in ("results.json", "results.json.journal"):
                    (self.fakes / name).unlink()
                # Nothing at all: a program of another machine, and no such folder.
                for path in self.FAKES:
                    (self.fakes / path).write_bytes(b"\x7fELF")
                done = self.run_it(shell)
                self.assertEqual(done.returncode, 1)
                self.assertIn("nothing could be measured", done.stderr)
                self.assertFalse((self.fakes / "results.json").exists())
                self.assertNotEqual(self.run_it(shell, str(self.folder / "none/results.json")).returncode, 0)
                (self.fakes / "results.json.journal").unlink()

    def test_runs_programs_by_what_it_is_told_to(self):
        for shell in SHELLS:
            with self.subTest(shell=shell):
                self.emit(self.FAKES)
                runner = self.state / "runner"
                runner.write_text('#!/bin/sh\n[ "$1" = -x ] || exit 9\nshift\necho "$*" >>{}/runs\nexec "$@"\n'.format(self.state))
                runner.chmod(0o755)
                done = self.run_it(shell, str(self.folder / "r.json"), HALPOOL_RUN=f"{runner} -x")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(len((self.state / "runs").read_text().splitlines()), len(self.calls()))
                self.assertIn("default --threads 1 --target arm-64-neon\n", (self.state / "runs").read_text())
                for path in (self.state / "runs", self.folder / "r.json", self.folder / "r.json.journal"):
                    path.unlink()


class Numbers(unittest.TestCase):
    def test_are_compared_as_numbers(self):
        text = bundle.script(candidates())
        functions = text[text.index("# number TEXT"):text.index("# ---- The programs")]
        order = ["0", "1e-09", "1.19209e-07", "0.1", "0.25", "1", "9.99", "10", "99999.9", "100000", "999999", "1e+06", "1.00001e+06",
                 "12345678.5", "2e+08"]
        lines = [f"lower {a} {b}; echo $?" for a in order for b in order]
        lines += [f"number '{word}'; echo $?" for word in ("nan", "-nan", "inf", "-1", "", "1e", "1e+", "1.2.3", "1 2", "e5", "*")]
        times = ("0.1", "9999", "10000", "40000", "123456", "200000", "1e+06", "9.9e+06", "2e+09")
        lines += [f"calls_of {ns}; echo $calls" for ns in times]
        lines += ["least 3 2.5 1e+01 2.50001; echo $minimum", "least; echo $?", "least 1 x; echo $?"]
        expected = [str(int(not i < k)) for i in range(len(order)) for k in range(len(order))] + ["1"] * 11
        expected += ["500", "500", "500", "500", "162", "100", "20", "3", "3", "2.5", "1", "1"]
        for shell in SHELLS:
            with self.subTest(shell=shell):
                done = subprocess.run(shell, input=functions + "\n".join(lines) + "\n", text=True, stdout=subprocess.PIPE)
                self.assertEqual(done.stdout.split(), expected)


class OfDevices(Taking):
    """What comes back from a GPU."""

    ONE, TWO, PRESENT = "avg_pool2d_f32_nchw_2x2s2", "avg_pool2d_f32_nchw_generic", {"vector": 1, "threads": 128}

    def document(self):
        problems = [{"family": family, "layout": "nchw", "setup": "setup", "tolerance": 2e-6, "present": self.PRESENT,
                     "schedules": [{"vector": 1, "threads": 256}]} for family in (self.ONE, self.TWO)]
        document = {**candidates(), "target": "cuda-sm80", "problems": problems}
        return {**document, "id": bundle.identity(document)}

    def test_keeps_the_present_schedule_of_what_gains_nothing_and_names_the_gpu(self):
        path, = self.write([entry(self.ONE, 1, [9, 9], [6, 5]), entry(self.TWO, 1, [9], [9.5])], document=self.document())
        path.write_text(path.read_text().replace('"cores"', '"gpu": "H9", "cores"'))
        self.take([path])
        written = json.loads(self.output.read_text())
        self.assertEqual(written["kernels"], {self.ONE: {"vector": 1, "threads": 256}, self.TWO: self.PRESENT})
        self.assertEqual((written["target"], written["tuned_on"], written["provenance"]["gpu"]), ("cuda-sm80", {}, "H9"))
        self.assertEqual(written["over_default"], {self.ONE: 1.5, self.TWO: 1.0})
        path.write_text(path.read_text().replace('"H9"', "9"))
        with self.assertRaisesRegex(TuneFailed, "gpu is not a text"):
            self.take([path])

    def test_refuses_schedules_that_are_none_of_a_device(self):
        document = self.document()
        document["problems"][0]["schedules"][0]["threads"] = 100
        path, = self.write([entry(self.ONE, 1, [9, 9], [6, 5])], document={**document, "id": bundle.identity(document)})
        with self.assertRaisesRegex(TuneFailed, "threads is 100; allowed: 32, 64, 128, 256"):
            self.take([path])


class DeviceProblems(unittest.TestCase):
    def searches(self, *workloads):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "w.json"
            path.write_text(json.dumps({"op": "avg_pool2d", "dtype": "f32", "layouts": ["nchw", "nhwc"], "workloads": [{"name": str(i), **each} for i, each in enumerate(workloads)]}))
            return {search.family: search for search in device_search.problems(types.SimpleNamespace(target="cuda-sm80", workloads=path))}

    def test_take_the_first_kernel_that_fits_and_measure_it_on_the_largest(self):
        small, large = {"input": [1, 8, 16, 32], "kernel_size": 2}, {"input": [2, 8, 16, 32], "kernel_size": 2}
        found = self.searches(small, large, {"input": [1, 3, 10, 10], "kernel_size": 2}, {"input": [1, 4, 9, 9], "kernel_size": 9},
                              {"input": [1, 4, 40, 40], "kernel_size": 7, "stride": 1}, {"input": [1, 4, 9, 9], "kernel_size": 3, "stride": 3, "padding": 1})
        prefix = "avg_pool2d_f32_"
        self.assertEqual({family.removeprefix(prefix) for family in found},
                         {"nchw-a16_2x2s2", "nhwc-a16_2x2s2", "nchw_2x2s2", "nhwc_2x2s2", "nchw_global", "nhwc_global", "nchw_separable", "nhwc_separable",
                          "nchw_generic", "nhwc-a16_generic"})
        self.assertEqual(found[f"{prefix}nchw-a16_2x2s2"].problem.input[0], 2)
        for family, search in found.items():
            self.assertTrue(search.untried)
            for schedule in search.untried:  # one parameter differs, and rows of any length have no vectors
                self.assertEqual(sum(schedule[name] != search.present[name] for name in schedule), 1)
                self.assertLessEqual(schedule["vector"], 4 if "-a16" in family else 1)
        with self.assertRaisesRegex(TuneFailed, "has no problem that a kernel of cuda-sm80 takes"):
            self.searches({"input": [1, 1, 5, 5], "kernel_size": 2, "ceil_mode": True})
        with self.assertRaisesRegex(bundle.kernel_manifest.BadInput, "w.json:1: workloads must contain at least 1 items"):
            self.searches()


# A build that takes the schedules for the program.
CMAKE = """#!/bin/sh
case $1 in
-S) echo "$*" >>{folder}/configured ;;
--build) mkdir -p "$2/bench" && cp "$2/../candidates.json" "$2/bench/$4" ;;
esac
{last}
"""


class Emitting(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.target = self.folder / "at/bundle"

    def emit(self, last="", **changes):
        cmake = self.folder / "cmake"
        cmake.write_text(CMAKE.format(folder=self.folder, last=last))
        cmake.chmod(0o755)
        options = {"emit_candidates": self.target, "target": "arm-64-neon", "rounds": 2, "workloads": self.folder / "w.json",
                   "version": "0.1.0", "build": self.folder / "build", "cmake": cmake, "cmake_generator": "Ninja",
                   "make_program": "ninja", **changes}
        searches = []
        for problem in candidates()["problems"]:
            measured = types.SimpleNamespace(command=lambda layout, setup=problem["setup"]: setup, tolerance=lambda: 2e-6)
            searches.append(types.SimpleNamespace(family=problem["family"], layout=problem["layout"], problem=measured, present={"vector": 1},
                                                  untried=[schedule for schedule in problem["schedules"] if schedule]))
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            bundle.emit(types.SimpleNamespace(**options), searches if changes.get("rounds") != 0 else [])

    def test_puts_the_candidates_of_every_problem_in_programs(self):
        self.target.mkdir(parents=True)  # empty
        self.emit()
        self.assertEqual([path.name for path in self.target.parent.iterdir()], ["bundle"])
        self.assertEqual(sorted(path.name for path in self.target.iterdir()),
                         ["candidate-1", "candidate-2", "candidates.json", "default", "run.sh"])
        document = bundle.read_bundle(self.target)
        self.assertEqual([problem["schedules"] for problem in document["problems"]],
                         [[{"vector": 4}, {"vector": 8}], [{"vector": 4}, None]])
        self.assertEqual(sorted(document["programs"]), ["candidate-1", "candidate-2", "default"])
        built = [json.loads((self.target / name).read_text()) for name in ("default", "candidate-1", "candidate-2")]
        self.assertEqual([program["kernels"] for program in built], [{ONE: None, TWO: None}, {ONE: {"vector": 4}, TWO: {"vector": 4}},
                                                                     {ONE: {"vector": 8}, TWO: None}])
        self.assertTrue(os.access(self.target / "run.sh", os.X_OK))
        configured = (self.folder / "configured").read_text()
        for option in ("HALPOOL_SYSTEM=" + ("" if os.uname().machine == "aarch64" else "arm64"), "HALPOOL_TARGETS=arm-64-neon", "=-static"):
            self.assertIn(option, configured)
        with self.assertRaisesRegex(TuneFailed, "is there already"):
            self.emit()

    def test_of_a_device_has_programs_for_its_driver_and_kernels_that_stay(self):
        self.emit(target="cuda-sm80")
        document = json.loads((self.target / "candidates.json").read_text())
        self.assertEqual([problem["present"] for problem in document["problems"]], [{"vector": 1}] * 2)
        # What everybody gets has its own schedule where nothing else is tried.
        built = [json.loads((self.target / name).read_text()) for name in ("default", "candidate-1", "candidate-2")]
        self.assertEqual([program["kernels"] for program in built], [{}, {ONE: {"vector": 4}, TWO: {"vector": 4}}, {ONE: {"vector": 8}}])
        configured = (self.folder / "configured").read_text()
        for option in ("HALPOOL_SYSTEM= ", "HALPOOL_TARGETS=cuda-sm80", "HALPOOL_WORKLOADS= ", "=-static-libstdc++ -static-libgcc -s"):
            self.assertIn(option, configured)
        self.assertIn(f"bundle={document['id']} target=cuda-sm80 device=cuda total=3\n", (self.target / "run.sh").read_text())

    def test_leaves_nothing_where_it_fails(self):
        for why, changes in (("a build failed: see", {"last": "exit 1"}),
                             ("no candidates can be built for vulkan-1.1", {"target": "vulkan-1.1"}),
                             ("no candidates can be built for none", {"target": "none"}), ("no problem has schedules", {"rounds": 0})):
            with self.assertRaisesRegex(TuneFailed, why):
                self.emit(**changes)
            self.assertEqual(list(self.target.parent.iterdir()) if self.target.parent.exists() else [], [])
        self.target.parent.mkdir(exist_ok=True)
        self.target.write_text("a file")
        with self.assertRaisesRegex(TuneFailed, "is there already"):
            self.emit()
        self.assertEqual(self.target.read_text(), "a file")


if __name__ == "__main__":
    unittest.main()
