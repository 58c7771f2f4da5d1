"""./dev tune finds a schedule that the build takes, keeps what it measured, and is not led astray by a torn line.

    tune.py HALPOOL [PEER]    the command line program of the build under test, and its program that compiles candidates itself
"""
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys

import tree

program = pathlib.Path(sys.argv[1])
folder = tree.WORK / "tune"
shutil.rmtree(folder, ignore_errors=True)
build = folder / "build"
(build / "bin").mkdir(parents=True)
(build / "bin/halpool_generator").symlink_to(tree.os.environ["GENERATOR"])
jit_program = build / "bin/peer_halpool_jit"
if sys.argv[2:]:
    jit_program.symlink_to(sys.argv[2])
information = json.loads(subprocess.run([program, "info", "--json"], check=True, text=True, stdout=subprocess.PIPE).stdout)
usable = [each["name"] for each in information["targets"] if each["device"] == "cpu" and each["available"] and each["name"] in tree.TARGETS]
target = usable[-1]
# Known before there is a library: of those that this build has, the same.
sys.path.insert(0, str(tree.SOURCE / "tuner"))
import common  # noqa: E402
built = {each["name"] for each in information["targets"]}
assert [name for name in common.usable_targets() if name in built] == usable and common.halpool_version() == information["version"], information
workloads, schedules = folder / "workloads.json", folder / "out.json"
problem = {"name": "odd", "input": [1, 16, 40, 40], "kernel_size": [5, 4], "stride": 1, "padding": [2, 0], "ceil_mode": True}
workloads.write_text(json.dumps({"op": "avg_pool2d", "dtype": "f32", "layouts": ["nchw"], "workloads": [problem]}))
FAMILY = "avg_pool2d_f32_nchw-16x40x40-ceil_5x4s1p2x0"


def tune(*options, timeout=None):
    command = [sys.executable, "-B", tree.SOURCE / "tuner/halpool_tune.py", "--build", build, "--cmake", tree.CMAKE, "--cmake-generator",
               tree.os.environ["CMAKE_GENERATOR"], "--make-program", tree.os.environ["MAKE_PROGRAM"], "--workloads", workloads, "--target", target, "--output", schedules, *options]
    process = subprocess.Popen([str(word) for word in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, said)


refused = tune("--target", "x86-64-none")
assert refused.returncode and "there is no CPU target x86-64-none; known:" in refused.stdout, refused.stdout
text = workloads.read_text()
for right, wrong, why in (("padding", "pading", "unknown keys: pading"), ('"kernel_size": [5, 4], ', "", "workload odd lacks kernel_size")):
    workloads.write_text(text.replace(right, wrong))
    refused = tune()
    assert refused.returncode and why in refused.stdout and not schedules.exists(), refused.stdout
workloads.write_text(text)

done = tune("--rounds", "1")
print(done.stdout)
done.check_returncode()
found = json.loads(schedules.read_text())
assert found["target"] == target and list(found["kernels"]) == [FAMILY] and found["provenance"]["cpu"], found
assert (found["kernels"][FAMILY] is None) == (found["over_default"][FAMILY] == 1), found
journal = build / "tune" / target / "own/measured.jsonl"


def candidates_measured():
    """Those in the journal, without the winners that were measured once more, and without what cannot be read."""
    count = 0
    for line in journal.read_text().splitlines():
        with contextlib.suppress(ValueError):
            count += json.loads(line)["family"] == FAMILY
    return count


assert candidates_measured() == 1, journal.read_text()
# What is known is not measured again, and decides the same.
known = journal.read_text()
tune("--rounds", "1").check_returncode()
assert journal.read_text() == known and json.loads(schedules.read_text())["kernels"] == found["kernels"], journal.read_text()
# What it writes, the build takes.
configured = tree.configure(folder / "taken", f"-DHALPOOL_TARGETS={target}", f"-DHALPOOL_WORKLOADS={workloads}", f"-DHALPOOL_SCHEDULES={schedules}")
assert configured.returncode == 0, configured.stdout

# Stopped at any moment: here in the middle of a line, there with a file of another machine or version.
journal.write_text('{"key": "another", "family": 1}\n' + journal.read_text() + '{"key": "tor')
schedules.unlink()
again = tune("--rounds", "1")
again.check_returncode()
assert json.loads(schedules.read_text())["kernels"] == found["kernels"]
assert candidates_measured() == 1, "measured again"
# Killed at random moments: the schedules are whole, what was measured stays, and the next call ends.
journal.unlink()
order = random.Random(7)
for _ in range(6):
    with contextlib.suppress(subprocess.TimeoutExpired):
        tune("--rounds", "3", timeout=order.uniform(0.3, 6))  # its whole process group is killed
    for line in journal.read_text().splitlines() if journal.exists() else []:
        json.loads(line)
    json.loads(schedules.read_text())
before = journal.read_text() if journal.exists() else ""
last = tune("--rounds", "2")
last.check_returncode()
assert journal.read_text().startswith(before) and candidates_measured() >= 2, journal.read_text()
if jit_program.exists():
    # What cannot be compiled is refused in one line, and the process goes on with the next.
    from jit import Jit  # noqa: E402
    from peer_process import PeerFailed  # noqa: E402
    from search import OwnSearch  # noqa: E402
    from workload import read_workloads  # noqa: E402
    own, = common.kernel_manifest.read_workloads(str(tree.SOURCE / "schedules"), str(workloads))
    search = OwnSearch(own, read_workloads(workloads, with_ceil_mode=True)[1][0], target)
    jit = Jit(jit_program, target, folder)
    compiled = jit.compile([(search, search.untried[0])])[FAMILY]
    setup = search.problem.command("nchw")
    line = (folder / "candidate0.kernels").read_text()
    for name, text, reason in (("none", None, "cannot be read"), ("parameter", line.replace("vector=", "victor="), "victor"),
                               ("generator", line.replace(" avg_pool2d ", " avg_pool9d ", 1), "there is no generator avg_pool9d")):
        path = folder / f"{name}.kernels"
        if text:
            path.write_text(text)
        try:
            compiled.ask(f"kernels {path}")
            raise AssertionError(f"{name}: was compiled")
        except PeerFailed as error:
            assert reason in str(error), error
    compiled.ask(setup)
    kernel, *times = compiled.ask("run 3")
    assert kernel == f"{FAMILY}_{target}" and len(times) == 3, kernel
    # A process that ends is another's, whose next candidate is measured.
    compiled.process.kill()
    assert jit.compile([(search, search.untried[0])]) == {FAMILY: None}
    assert jit.compile([(search, search.untried[0])])[FAMILY].ask(setup)
    jit.stop()
    # Without it candidates are linked.
    jit_program.unlink()
    journal.unlink()
    tune("--rounds", "1").check_returncode()
    assert candidates_measured() == 1, journal.read_text()
# A place that cannot be written to: said so, and nothing is left behind.
refused = tune("--rounds", "1", "--output", "/proc/none.json")
assert refused.returncode and "/proc/none.json" in refused.stdout, refused.stdout
