"""Candidates go to a device as programs, its shell measures them, and the build takes the schedules that its results make.

    bundle.py native|foreign    for this machine, or for another one's CPU, which an emulator is
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import types

import tree

sys.path.insert(0, str(tree.SOURCE / "tuner"))
import bundle  # noqa: E402
from search import problems  # noqa: E402

foreign = sys.argv[1] == "foreign"
names = ("arm-64-neon", "x86-64-sse41", "riscv-64-rvv")
target = next(name for name in names if tree.is_foreign(name) == foreign)
emulator = []
if foreign:
    system = tree.SYSTEMS[tree.TARGETS[target]["system"]]
    emulator = next(each["command"] for each in system["emulators"] if target in each["targets"]).split()
    if "-L" in emulator:  # where shared libraries are: these programs need none
        at = emulator.index("-L")
        del emulator[at:at + 2]
    for program in (tree.compiler(target), emulator[0]):
        if not shutil.which(program):
            print(f"[  SKIPPED ] {program} was not found")
            sys.exit()

folder = tree.WORK / f"bundle_{sys.argv[1]}"
shutil.rmtree(folder, ignore_errors=True)
build, there, workloads, schedules = folder / "build", folder / "there", folder / "workloads.json", folder / "schedules.json"
(build / "bin").mkdir(parents=True)
(build / "bin/halpool_generator").symlink_to(os.environ["GENERATOR"])
problem = {"name": "odd", "input": [1, 4, 20, 20], "kernel_size": [5, 4], "stride": 1, "padding": [2, 0]}
workloads.write_text(json.dumps({"op": "avg_pool2d", "dtype": "f32", "layouts": ["nchw"], "workloads": [problem]}))
FAMILY = "avg_pool2d_f32_nchw-4x20x20_5x4s1p2x0"

options = types.SimpleNamespace(
    emit_candidates=there, target=target, workloads=workloads, build=build, cmake=tree.CMAKE, cmake_generator=os.environ["CMAKE_GENERATOR"],
    make_program=os.environ["MAKE_PROGRAM"], rounds=2, version="0", group=None, effort="measure")
bundle.emit(options, problems(options))
document = json.loads((there / "candidates.json").read_text())
assert [problem["family"] for problem in document["problems"]] == [FAMILY] and len(document["problems"][0]["schedules"]) == 2, document
assert sorted(path.name for path in folder.iterdir()) == ["build", "there", "workloads.json"], "something was left behind"


def interpreter(program):
    """Whether an ELF file of 64 bits asks for a dynamic linker."""
    data = program.read_bytes()
    begin, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    return any(struct.unpack_from("<I", data, begin + i * size)[0] == 3 for i in range(count))


for name in ("default", "candidate-1", "candidate-2"):
    assert not interpreter(there / name), f"{name} is not linked statically"


def measured(*words):
    return subprocess.run([*words, str(there / "run.sh"), str(folder / "results.json")], check=True, text=True, stderr=subprocess.PIPE,
                          env={**os.environ, "HALPOOL_RUN": " ".join(emulator)}).stderr


print(measured())
results = json.loads((folder / "results.json").read_text())
assert results["bundle"] == document["id"] and results["device"]["cpu"] and len(results["measured"]) == 2, results
assert all("error" not in each and each["family"] == FAMILY for each in results["measured"]), results
before = (folder / "results.json.journal").read_text()
measured("sh")  # all is known
assert (folder / "results.json.journal").read_text().split() == before.split()


def configured(name):
    """The kernels of a build with the schedules that the results make."""
    options = types.SimpleNamespace(from_results=[folder / name], bundle=there, output=schedules)
    bundle.from_results(options)
    configured = tree.configure(folder / "taken", f"-DHALPOOL_SYSTEM={tree.component(target) if foreign else ''}",
                                f"-DHALPOOL_TARGETS={target}", f"-DHALPOOL_WORKLOADS={workloads}", f"-DHALPOOL_SCHEDULES={schedules}")
    assert configured.returncode == 0, configured.stdout
    return (folder / "taken/kernels/kernels.cmake").read_text()


kernels = configured("results.json")
found = json.loads(schedules.read_text())
assert found["target"] == target and found["provenance"]["cpu"] == results["device"]["cpu"], found
assert (f"halpool_{FAMILY.replace('-', '_')}" in kernels) == (found["kernels"][FAMILY] is not None), found
# Whoever won here: what a device of its own would have said.
results["measured"] = [{"family": FAMILY, "candidate": 1, "default_ns": [9], "candidate_ns": [9.5]},
                       {"family": FAMILY, "candidate": 2, "default_ns": [9, 9], "candidate_ns": [6, 5]}]
(folder / "others.json").write_text(json.dumps(results))
line, = (line for line in configured("others.json").splitlines() if FAMILY.replace("-", "_") in line)
for name, value in document["problems"][0]["schedules"][1].items():
    assert f"{name}={value}" in line, line
