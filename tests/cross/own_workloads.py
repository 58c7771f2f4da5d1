"""A build with kernels for a user's own problems: they are chosen for these alone and compute what the reference does, a user's
schedules are obeyed, and what is wrong in the files stops the configuration with the file, the line and what is allowed."""
import array
import json
import re
import shutil
import struct
import subprocess

import tree

# The best target of this host that needs no more than its CPU has, as far as that can be read.
try:
    has_avx2 = " avx2 " in open("/proc/cpuinfo").read()
except OSError:
    has_avx2 = False
TARGET = "x86-64-avx2" if tree.HOST == "x86-64" and has_avx2 else next(
    name for name, facts in reversed(tree.TARGETS.items()) if facts.get("system") == tree.HOST)
PROBLEMS = {
    "odd": {"input": [2, 20, 23, 41], "kernel_size": [5, 4], "stride": 2, "padding": [2, 1]},
    "walked": {"input": [1, 24, 19, 37], "kernel_size": [4, 5], "stride": 1, "padding": 2, "count_include_pad": False},
    "one high": {"input": [1, 17, 9, 50], "kernel_size": [1, 5], "stride": 1, "padding": [0, 2]},
    "rounded up": {"input": [1, 9, 35, 38], "kernel_size": [2, 3], "stride": 2, "ceil_mode": True},
    "tuned": {"input": [3, 40, 12, 30], "kernel_size": 3, "stride": 1, "padding": 1},
    "known": {"input": [1, 8, 12, 12], "kernel_size": 3, "stride": 1},  # the kernel for all 3x3 windows is its own
}
TUNED = "avg_pool2d_f32_nchw-40x12x30_3x3s1p1"
folder = tree.WORK / "own_workloads"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
workloads, schedules = folder / "workloads.json", folder / "schedules.json"


def write(path, document):
    path.write_text(json.dumps(document, indent=2))


def workload_document():
    return {"op": "avg_pool2d", "dtype": "f32", "layouts": ["nchw", "nhwc"],
            "workloads": [{"name": name, **problem} for name, problem in PROBLEMS.items()]}


def schedule_document():
    return {"target": TARGET, "kernels": {TUNED: {"vector": 4, "tile_columns": 2}}}


def refuse(path, change, *words):
    documents = {workloads: workload_document(), schedules: schedule_document()}
    change(documents[path])
    for each, document in documents.items():
        write(each, document)
    result = tree.configure(folder / "refused", f"-DHALPOOL_TARGETS={TARGET}", f"-DHALPOOL_WORKLOADS={workloads}", f"-DHALPOOL_SCHEDULES={schedules}",
                            fresh=False)
    output = " ".join(result.stdout.split())
    assert result.returncode != 0, words
    for word in words:
        assert word in output, (word, output)
    found = re.search(path.name + r":(\d+): ", output)
    assert found, output
    return path.read_text().splitlines()[int(found[1]) - 1]


def first(document):
    return document["workloads"][0]


assert "kernelsize" in refuse(workloads, lambda d: first(d).update(kernelsize=3), "unknown keys: kernelsize; known: name, group, input")
assert "odd" in refuse(workloads, lambda d: first(d).update(input=[1, 2, 3]), "workload odd / input", "[N, C, H, W]")
assert "odd" in refuse(workloads, lambda d: first(d).update(stride=0), "workload odd / stride", "one integer, or [height, width]")
assert "odd" in refuse(workloads, lambda d: first(d).update(padding=3), "padding 3 is more than half of the kernel, which is 5")
assert "odd" in refuse(workloads, lambda d: first(d).update(kernel_size=70, padding=0), "a kernel of 70 does not fit into 23")
assert "odd" in refuse(workloads, lambda d: first(d).pop("kernel_size"), "workload odd lacks kernel_size")
assert "layouts" in refuse(workloads, lambda d: d.update(layouts=["nchv"]), "layouts / 0 must be one of ['nchw', 'nhwc']")
assert TUNED in refuse(schedules, lambda d: d["kernels"][TUNED].update(vector=7), "vector is 7; allowed: 1, 2, 4, 8")
assert TUNED in refuse(schedules, lambda d: d["kernels"][TUNED].update(tile=1), "unknown parameter 'tile'; known: vector")
assert TUNED in refuse(schedules, lambda d: d["kernels"].update({TUNED: [4]}), "not an object")
assert "none_such" in refuse(schedules, lambda d: d["kernels"].update(none_such={"vector": 4}), "none_such is neither a kernel of")
assert '"target"' in refuse(schedules, lambda d: d.update(target="x86"), "unknown target 'x86'; known: ")
assert "{" in refuse(schedules, lambda d: d.pop("kernels"), "not a schedule file")
workloads.write_text('{\n  "op": avg')
missing = folder / "none.json"
for option, words_of_it in ((f"-DHALPOOL_WORKLOADS={workloads}", "workloads.json:2: not JSON"), (f"-DHALPOOL_SCHEDULES={missing}", "none.json: No such file")):
    refused = tree.configure(folder / "refused", option)  # CMake breaks long lines
    assert refused.returncode and words_of_it in " ".join(refused.stdout.split()), refused.stdout

write(workloads, workload_document())
write(schedules, schedule_document())
build = folder / "build"
tree.build(build, f"-DHALPOOL_TARGETS={TARGET}", f"-DHALPOOL_WORKLOADS={workloads}", f"-DHALPOOL_SCHEDULES={schedules}",
           "-DHALPOOL_BUILD_CLI=ON", "-DHALPOOL_INSTALL=OFF", "-DHALPOOL_LAYOUTS=nchw;nhwc")
program = build / "bin/halpool"


def words(value):
    return ",".join(map(str, value if isinstance(value, list) else [value]))


def options(problem, layout):
    out = ["--layout", layout]
    for name in ("kernel_size", "stride", "padding"):
        if name in problem:
            out += ["--" + name.replace("_", "-"), words(problem[name])]
    return out + ["--ceil-mode"] * problem.get("ceil_mode", False) + ["--no-count-include-pad"] * (not problem.get("count_include_pad", True))


def chosen(problem, layout):
    return json.loads(subprocess.run([program, "explain", "--json", "--shape", words(problem["input"]), *options(problem, layout)],
                                     check=True, text=True, stdout=subprocess.PIPE).stdout)["kernel"]


def pooled(problem, layout, kernel):
    output = folder / "out.npy"
    subprocess.run([program, "avg_pool2d", folder / "in.npy", output, *options(problem, layout), "--kernel", kernel], check=True,
                   stdout=subprocess.DEVNULL)
    data = output.read_bytes()
    start = 10 + struct.unpack("<H", data[8:10])[0]
    return array.array("f", data[start:])


for name, problem in PROBLEMS.items():
    count = 1
    for extent in problem["input"]:
        count *= extent
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({words(problem['input'])}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    values = array.array("f", ((i * 2654435761 % 4093) / 64 - 32 for i in range(count)))
    (folder / "in.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + values.tobytes())
    for layout in ("nchw", "nhwc"):
        plane = "x".join(map(str, problem["input"][1:]))
        kernel = chosen(problem, layout)
        own = f"_{layout}-{plane}" in kernel
        without = {"known": ("nchw", "nhwc"), "tuned": ("nhwc",)}
        assert own == (layout not in without.get(name, ())), (name, layout, kernel)
        result, expected = pooled(problem, layout, kernel), pooled(problem, layout, "avg_pool2d_f32_reference")
        assert len(result) == len(expected) > 0
        wrong = [i for i, (a, b) in enumerate(zip(result, expected)) if not abs(a - b) <= 1e-4]
        assert not wrong, (name, layout, kernel, wrong[:5])
        # Any batch is the same problem; another width, padding or stride is not.
        assert chosen({**problem, "input": [7, *problem["input"][1:]]}, layout) == kernel
        if own:
            n, c, h, w = problem["input"]
            for other in ({"input": [n, c, h, w + 1]}, {"input": [n, c + 1, h, w]}, {"padding": 0} if problem.get("padding") else {"stride": 1}):
                assert f"_{layout}-{plane}" not in chosen({**problem, **other}, layout), (name, other)
    print("ok:", name)
refused = subprocess.run([program, "explain", "--shape", "1,24,19,38", "--kernel-size", "4,5", "--stride", "1", "--padding", "2"],
                         check=True, text=True, stdout=subprocess.PIPE).stdout
assert "takes 24 channels of 19x37 to 20x37, kernel 4x5 stride 1x1 padding 2x2 only" in refused, refused
