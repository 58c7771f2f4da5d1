"""Candidates for a GPU go there as programs that its shell measures, here with a driver that launches nothing, and the build takes
the schedules that its results make.

    device_bundle.py FOLDER    of the library libcuda.so.1 that stands for a driver
"""
import json
import os
import shutil
import subprocess
import sys
import types

import tree

sys.path.insert(0, str(tree.SOURCE / "tuner"))
import bundle  # noqa: E402
import device_search  # noqa: E402

TARGET, FAMILY = "cuda-sm80", "avg_pool2d_f32_nchw_3x3s1"
folder = tree.WORK / "bundle_cuda"
shutil.rmtree(folder, ignore_errors=True)
build, there, workloads, schedules = folder / "build", folder / "there", folder / "workloads.json", folder / "schedules.json"
(build / "bin").mkdir(parents=True)
(build / "bin/halpool_generator").symlink_to(os.environ["GENERATOR"])
workloads.write_text(json.dumps({"op": "avg_pool2d", "dtype": "f32", "layouts": ["nchw"], "workloads": [{"name": "w", "input": [2, 4, 20, 20], "kernel_size": 3, "stride": 1, "padding": 1}]}))

options = types.SimpleNamespace(
    emit_candidates=there, target=TARGET, workloads=workloads, build=build, cmake=tree.CMAKE, cmake_generator=os.environ["CMAKE_GENERATOR"],
    make_program=os.environ["MAKE_PROGRAM"], rounds=1, version="0")
bundle.emit(options, device_search.problems(options))
document = json.loads((there / "candidates.json").read_text())
problem, = document["problems"]
assert problem["family"] == FAMILY and len(problem["schedules"]) == 1, document


def run(**environment):
    done = subprocess.run([str(there / "run.sh"), str(folder / "results.json")], text=True, stderr=subprocess.PIPE, env={**os.environ, **environment})
    print(done.stderr)
    return done


# Without a driver nothing is measured, and that is said.
nowhere = folder / "no_driver"
nowhere.mkdir()
(nowhere / "libcuda.so.1").write_text("not a library")
refused = run(LD_LIBRARY_PATH=str(nowhere))
assert refused.returncode != 0 and "libcuda.so.1 was not found" in refused.stderr and not (folder / "results.json").exists()

assert run(LD_LIBRARY_PATH=sys.argv[1]).returncode == 0
results = json.loads((folder / "results.json").read_text())
assert results["bundle"] == document["id"] and results["device"]["gpu"], results
measured, = results["measured"]
assert measured["family"] == FAMILY and "error" not in measured and len(measured["default_ns"]) == len(measured["candidate_ns"]) >= 1, results

# What a GPU would have said.
results["measured"] = [{"family": FAMILY, "candidate": 1, "default_ns": [9, 9], "candidate_ns": [6, 5]}]
(folder / "others.json").write_text(json.dumps(results))
bundle.from_results(types.SimpleNamespace(from_results=[folder / "others.json"], bundle=there, output=schedules))
configured = tree.configure(folder / "taken", f"-DHALPOOL_TARGETS={TARGET}", f"-DHALPOOL_SCHEDULES={schedules}")
assert configured.returncode == 0, configured.stdout
line, = (line for line in (folder / "taken/kernels/kernels.cmake").read_text().splitlines() if f'"halpool_{FAMILY}_' in line)
for name, value in problem["schedules"][0].items():
    assert f"{name}={value}" in line, line
