"""Times halpool against what Halide's own autoschedulers make of the same problems: one thread, f32.

For each row, autoscheduled_pool.cpp (avg_pool2d without a schedule, all extents known) goes through each autoscheduler
in each of its forms, ahead of time, for this very CPU; Mullapudi2016, which asks for the cache to plan for, gets L2 and
the last level. An autoscheduler's figure is that of its fastest kernel. They are measured as bench.py does: a process
each, interleaved rounds, outputs compared, the minimum of all repetitions. What is there is not emitted again.

    build/venv/bin/python benchmarks/autoschedulers.py --build build
"""

import argparse
import importlib.util
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time
import types

import bench
from peer_process import PeerFailed, PeerProcess, Unsupported
from results import ENOUGH_REPETITIONS, Row, factor, geometric_mean, number
from workload import read_workloads

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE / "autoscheduled_pool.cpp"
# Not anderson2021, which refuses a target without a GPU.
AUTOSCHEDULERS = {"mullapudi2016": "Mullapudi2016", "adams2019": "Adams2019", "li2018": "Li2018"}
ROWS = re.compile(r"^(W1|W3i|W3e|W5i|W6|W8|W10|W14|W15) ")
# An expression of more taps takes minutes to schedule, and shares nothing that separable does not.
MOST_TAPS = 64
# Without assertions and bounds queries, as halpool's kernels are.
TARGET = "host-no_runtime-no_asserts-no_bounds_query"
THREADS = {"HL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Failed(Exception):
    pass


def run(command, what, seconds=None):
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"stopped after {seconds:.0f} s") from late
    except OSError as error:
        raise Failed(f"{what}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip().splitlines()
        errors = [line for line in said if "error" in line.lower()] or said[-1:] or ["without a word"]
        ended = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        raise Failed(f"{what} ended with {ended}: {errors[0][:200]}")


class Halide:
    """The wheel of the Python that runs this, and what is built with it."""

    def __init__(self, folder):
        spec = importlib.util.find_spec("halide")
        if not spec or not spec.origin:
            raise Failed("this Python has no Halide: run build/venv/bin/python, or pip install halide==21.0.0")
        wheel = pathlib.Path(spec.origin).parent
        self.include, self.libraries = wheel / "include", wheel / "lib64"
        self.folder = folder
        self.compiler = shlex.split(os.environ.get("CXX", "c++"))
        self.generator = folder / "generator"
        self.runtime = folder / "runtime.a"

    def compile(self, program, *arguments):
        run([*self.compiler, "-std=c++17", "-O2", "-isystem", self.include, *arguments, "-ldl", "-lpthread", "-o", program],
            f"compiling {program.name}")

    def build_generator(self):
        if self.runtime.exists() and self.runtime.stat().st_mtime > SOURCE.stat().st_mtime:
            return
        self.compile(self.generator, SOURCE, self.libraries / "libHalide_GenGen.a", "-L", self.libraries, "-lHalide",
                     f"-Wl,-rpath,{self.libraries}")
        run([self.generator, "-r", "runtime", "-e", "static_library", "-o", self.folder, "target=host"], "Halide's runtime")

    def plugin(self, autoscheduler):
        return self.libraries / f"libautoschedule_{autoscheduler}.so"


class Kernel:
    """One row by one autoscheduler, in one form of the sum and with one setting (name, parameters) of the autoscheduler."""

    def __init__(self, workload, layout, autoscheduler, form, setting):
        self.row = (workload, layout)
        self.autoscheduler = autoscheduler
        self.variant = form + setting[0]
        self.peer = f"{autoscheduler} {self.variant}"
        self.key = f"{self.peer} {workload.command(layout).removeprefix('setup ')}"
        self.function = re.sub(r"\W", "_", f"pool_{workload.name}_{layout}_{autoscheduler}_{self.variant}")
        names = ("batch", "channels", "input_h", "input_w", "kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w")
        self.parameters = [f"{name}={value}" for name, value in
                           zip(names, workload.input + workload.kernel + workload.stride + workload.pad)]
        self.parameters += [f"count_include_pad={str(workload.count_include_pad).lower()}",
                            f"channels_last={str(layout == 'nhwc').lower()}", f"form={form}",
                            f"autoscheduler={AUTOSCHEDULERS[autoscheduler]}", "autoscheduler.parallelism=1", *setting[1]]
        self.failure, self.seconds = None, None

    def emit(self, halide, options, seconds_left):
        """Sets what it took, or why there is none. What an earlier run found for the same command holds."""
        note = halide.folder / f"{self.function}.json"
        self.library = note.with_suffix(".a")
        command = [halide.generator, "-g", "autoscheduled_avg_pool2d", "-f", self.function, "-n", self.function,
                   "-o", halide.folder, "-e", "static_library,schedule", "-p", halide.plugin(self.autoscheduler),
                   f"target={TARGET}", *self.parameters]
        stamp = [halide.generator.stat().st_mtime, options.emission_limit, *map(str, command)]
        try:
            known = json.loads(note.read_text())
            if known["stamp"] == stamp and (known["failure"] or self.library.exists()):
                self.failure, self.seconds = known["failure"], known["seconds"]
                return
        except (OSError, ValueError, KeyError, TypeError):
            pass
        begin = time.monotonic()
        try:
            if seconds_left <= 0:
                raise Failed("no time left")
            run(command, self.peer, seconds_left)
        except Failed as failure:
            self.failure = str(failure)
        self.seconds = time.monotonic() - begin
        note.write_text(json.dumps({"stamp": stamp, "failure": self.failure, "seconds": self.seconds}))


def settings(autoscheduler, options):
    """(name, parameters) of each to try; the other parameters keep Halide's defaults."""
    if autoscheduler == "mullapudi2016":
        return [(f"_{size}K", [f"autoscheduler.last_level_cache_size={size * 1024}"]) for size in options.cache_kib]
    if autoscheduler == "adams2019":
        return [("", ["autoscheduler.random_dropout_seed=1"])]  # 0 is the time
    return [("", [])]


def cache_kib():
    """L2 and the last level, as Linux says; else Mullapudi2016's default."""
    try:
        sizes = {int((index / "level").read_text()): int((index / "size").read_text().strip().removesuffix("K"))
                 for index in pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")}
        return sorted({sizes[2], sizes[max(sizes)]})
    except (OSError, ValueError, KeyError):
        return [16 * 1024]


def forms(workload):
    """The most promising first: they share the time for emission."""
    if workload.kernel[0] * workload.kernel[1] <= MOST_TAPS:
        yield "taps"
    if workload.stride[0] < workload.kernel[0]:  # else no two windows share a row's sum
        yield "separable"
    yield "reduction"


def emit(kernels, halide, options):
    """Of all rows; a line each on stderr."""
    seconds_left = {}
    for i, kernel in enumerate(kernels, 1):
        budget = (kernel.row, kernel.autoscheduler)
        kernel.emit(halide, options, seconds_left.setdefault(budget, options.emission_limit))
        seconds_left[budget] -= kernel.seconds
        print(f"[{i}/{len(kernels)}] {kernel.function}: {kernel.failure or f'{kernel.seconds:.1f} s'}", file=sys.stderr)


def build_peer(halide, kernels):
    table = "".join(f'KERNEL("{kernel.key}", {kernel.function})\n' for kernel in kernels)
    (halide.folder / "autoscheduled_kernels.inc").write_text(table)
    program = halide.folder / "peer_autoscheduled"
    halide.compile(program, "-I", HERE, "-I", halide.folder, HERE / "peer_autoscheduled.cpp",
                   *(kernel.library for kernel in kernels), halide.runtime)
    return program


class Peers:
    """Started when first needed, and again after a crash."""

    def __init__(self, commands):
        self.commands = commands
        self.running = {}

    def get(self, name):
        if name not in self.running:
            self.running[name] = PeerProcess(name, self.commands[name], THREADS)
        return self.running[name]

    def stop(self, name):
        peer = self.running.pop(name, None)
        if peer and peer.process.poll() is None:
            peer.stop()

    def stop_all(self):
        for name in list(self.running):
            self.stop(name)


def measure(workload, layout, kernels, peers, options):
    """The row, of halpool and of those kernels that run; a crash is the kernel's failure."""
    names = []
    for kernel in kernels:
        if kernel.failure:
            continue
        try:
            peers.get(kernel.peer).ask(workload.command(layout))
            names.append(kernel.peer)
        except (PeerFailed, Unsupported) as failure:
            kernel.failure = f"running: {failure}"
            peers.stop(kernel.peer)
    asked = types.SimpleNamespace(peers=names, quick=options.quick, output=options.folder / "row")
    figures = bench.measure(workload, layout, {name: peers.get(name) for name in ("halpool", *names)}, asked)
    return Row({"workload": workload.name, "layout": layout, "threads": 1, "peers": figures}, "halpool")


def time_of(row, peer):
    return ("~" if row.repetitions(peer) < ENOUGH_REPETITIONS else "") + number(row.us(peer))


class Table:
    def __init__(self, autoschedulers):
        self.autoschedulers = autoschedulers
        self.slower = {name: [] for name in autoschedulers}
        self.notes = []

    def head(self):
        return f"| workload | memory | halpool | {' | '.join(self.autoschedulers)} |\n|---|---|---:|" + "---|" * len(self.autoschedulers)

    def line(self, workload, row, kernels):
        cells = [str(workload), row.layout, time_of(row, "halpool")]
        cells += [self.cell(f"{workload.name} {row.layout}", row, name, [kernel for kernel in kernels if kernel.autoscheduler == name])
                  for name in self.autoschedulers]
        return f"| {' | '.join(cells)} |"

    def cell(self, where, row, autoscheduler, kernels):
        for kernel in kernels:
            if not kernel.failure and row.wrong(kernel.peer):
                kernel.failure = f"wrong: differs by {row.peers[kernel.peer]['difference']:.2g}"
        right = [kernel for kernel in kernels if not kernel.failure]
        if not right:
            return "; ".join(f"{kernel.variant}: {kernel.failure}" for kernel in kernels).replace("|", "/")
        self.notes += [f"{where} {kernel.peer}: {kernel.failure}" for kernel in kernels if kernel.failure]
        best = min(right, key=lambda kernel: row.us(kernel.peer))
        slower = row.us(best.peer) / row.us()
        self.slower[autoscheduler].append((slower, where))
        return f"{time_of(row, best.peer)}, {factor(slower)}x ({best.variant}, {best.seconds:.1f} s)"

    def summary(self):
        for name, found in self.slower.items():
            if found:
                lowest, where = min(found)
                yield (f"{name}: {geometric_mean([slower for slower, _ in found]):.2f} times halpool's time (geometric mean of "
                       f"{len(found)} rows), lowest {lowest:.2f} ({where})")
        yield from self.notes


def parse_arguments():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="a build with bench/peer_halpool (./dev bench)")
    parser.add_argument("--workloads", type=pathlib.Path, metavar="FILE", default=HERE / "workloads.json")
    parser.add_argument("--only", type=re.compile, metavar="REGEX", default=ROWS,
                        help='rows by name and layout: "^W3. nhwc" (default: W1 W3i W3e W5i W6 W8 W10 W14 W15)')
    parser.add_argument("--autoschedulers", metavar="LIST", default=",".join(AUTOSCHEDULERS), help="default: %(default)s")
    parser.add_argument("--cache-kib", metavar="LIST", default=",".join(map(str, cache_kib())),
                        help="Mullapudi2016's last_level_cache_size, each of these (default: L2 and the last level, %(default)s)")
    parser.add_argument("--emission-limit", type=float, default=120, metavar="SECONDS",
                        help="for a row's kernels by one autoscheduler (default: %(default)g)")
    parser.add_argument("--emit-only", action="store_true", help="measure nothing")
    parser.add_argument("--quick", action="store_true", help="less time for slow kernels")
    options = parser.parse_args()
    options.autoschedulers = [name for name in options.autoschedulers.split(",") if name]
    for name in options.autoschedulers:
        if name not in AUTOSCHEDULERS:
            parser.error(f"no CPU autoscheduler {name}: there are {', '.join(AUTOSCHEDULERS)}")
    try:
        options.cache_kib = [int(size) for size in options.cache_kib.split(",")]
    except ValueError:
        parser.error("--cache-kib takes numbers: 1024,32768")
    options.folder = options.build.resolve() / "autoschedulers"
    return options


def main():
    options = parse_arguments()
    layouts, workloads = read_workloads(options.workloads)
    rows = [(workload, layout) for workload in workloads for layout in layouts if options.only.search(f"{workload.name} {layout}")]
    if not rows:
        raise Failed("no workload left to run")
    halpool = options.build.resolve() / "bench" / "peer_halpool"
    if not halpool.exists() and not options.emit_only:
        raise Failed(f"no bench/peer_halpool in {options.build}: ./dev bench builds it (-DHALPOOL_BUILD_BENCHMARKS=ON)")
    options.folder.mkdir(parents=True, exist_ok=True)
    halide = Halide(options.folder)
    halide.build_generator()

    kernels = {row: [Kernel(*row, name, form, setting) for name in options.autoschedulers for form in forms(row[0])
                     for setting in settings(name, options)] for row in rows}
    every = [kernel for of_row in kernels.values() for kernel in of_row]
    emit(every, halide, options)
    if options.emit_only:
        return
    program = build_peer(halide, [kernel for kernel in every if not kernel.failure])

    table = Table(options.autoschedulers)
    peers = Peers({"halpool": [str(halpool), "--threads", "1"], **{kernel.peer: [str(program), *kernel.peer.split()] for kernel in every}})
    try:
        version = " ".join(peers.get("halpool").ask("ready"))
        busy = bench.busy_cores()
        if busy and busy > 0.2:
            print(f"autoschedulers: other programs use {busy:.1f} of {os.cpu_count()} cores: times may be far off", file=sys.stderr)
        print(f"{bench.cpu_model()}, 1 thread, halpool {version}: microseconds, times halpool's (kernel, time to schedule "
              f"and compile)\n\n{table.head()}", flush=True)
        for workload, layout in rows:
            try:
                row = measure(workload, layout, kernels[workload, layout], peers, options)
            except (PeerFailed, Unsupported) as failure:
                peers.stop_all()
                print(f"| {workload} | {layout} | not measured: {failure} |", flush=True)
                continue
            print(table.line(workload, row, kernels[workload, layout]), flush=True)
    finally:
        peers.stop_all()
    print()
    for line in table.summary():
        print(line)


if __name__ == "__main__":
    try:
        main()
    except (Failed, PeerFailed, Unsupported, ValueError) as failure:
        sys.exit(f"autoschedulers: {failure}")
