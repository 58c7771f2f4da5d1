"""Searches schedules for your own problems on this machine: ./dev tune.

Each round builds, the way a user's build does, one candidate for every problem and layout: a library whose kernels for
these problems are the candidates. It is measured against the best so far, in turns; who is faster in two independent
measurements takes its place. In the end every winner is measured against the kernel that the problem gets without it.
What was measured is kept: an interrupted search goes on where it was.
"""

import argparse
import contextlib
import datetime
import hashlib
import itertools
import json
import os
import pathlib
import platform
import random
import shutil
import subprocess
import sys
import time

from peer_process import PeerFailed, PeerProcess
from workload import read_workloads

try:
    from tqdm import tqdm
except ImportError:  # without a bar
    tqdm = None

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent
sys.path.insert(0, str(SOURCE / "cmake"))
import kernel_manifest  # noqa: E402  the names and limits of schedules

ROUNDS = 5
ROUND_S = 0.02  # of one library, at most, where a call is shorter
WIN = 0.97  # of the incumbent's time: less is noise


class TuneFailed(Exception):
    pass


def candidates(workload, target):
    """Schedules of one problem, the most promising first; kernel_manifest.py says what they mean."""
    lanes = {"sse41": 4, "avx2": 8, "avx512": 16}.get(target.rsplit("-", 1)[-1], 4)
    widths = [width for width in (lanes, lanes // 2) if width >= 4]
    found = []

    def grid(**parameters):
        for values in itertools.product(*parameters.values()):
            found.append({name: value for name, value in zip(parameters, values) if value is not None})

    planar, stride_w = workload.layout == "nchw", workload.stride[1]
    if planar and stride_w == 1:
        grid(vector=widths, tile_columns=(2, 1, 4))
        if lanes == 16:
            grid(vector=(8,), wide_vector=(16,), tile_columns=(2, 4))
    elif planar and workload.kernel == workload.stride:
        grid(vector=widths, tile_columns=(4, 2, 1))
    elif planar:
        grid(vector=widths, tile_rows=(1, 2, 4))
    elif stride_w == 1:  # along the rows, or in tiles
        grid(vector=widths, tile_rows=(2, 1, 4))
        grid(vector=widths[:1], tile_rows=(2, 1), channel_vectors=(2, 1, 4), most_channels=(1,))
    else:
        grid(vector=widths, tile_rows=(1, 2), channel_vectors=(2, 1, 4))
    return [schedule for schedule in found if not (planar and stride_w == 1 and workload.kernel[1] // 2 > schedule["vector"])]


class Search:
    """Of one problem in one layout."""

    def __init__(self, workload, problem, target):
        self.workload, self.problem, self.family = workload, problem, workload.family
        self.untried = candidates(workload, target)
        self.best = None  # a schedule; None: the kernel that everybody gets
        self.over_default = 1.0  # how many times as fast
        self.noise = 0.0  # how far its two measurements lie apart


def schedule_text(document):
    """One kernel a line."""
    head = json.dumps({key: value for key, value in document.items() if key != "kernels"}, indent=2)[:-2]
    kernels = ",\n".join(f"    {json.dumps(family)}: {json.dumps(schedule)}" for family, schedule in document["kernels"].items())
    return f'{head},\n  "kernels": {{\n{kernels}\n  }}\n}}\n'


def write_whole(path, text):
    """The old file or the new one, whenever this is stopped."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise TuneFailed(f"{path} cannot be written: {error.strerror}") from error


class Journal:
    """What was measured, a line each, in the order of time."""

    def __init__(self, path, key):
        self.path, self.key, self.known = path, key, {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            try:
                entry = json.loads(line)
                if entry["key"] == key:
                    self.known[entry["family"], json.dumps(entry["schedule"])] = entry["ratios"]
            except (ValueError, KeyError, TypeError):
                continue  # the line at which it was stopped

    def ratios(self, family, schedule):
        return self.known.get((family, json.dumps(schedule)))

    def add(self, family, schedule, ratios):
        self.known[family, json.dumps(schedule)] = ratios
        entry = json.dumps({"key": self.key, "family": family, "schedule": schedule, "ratios": ratios})
        whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"", b"\n")
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(("" if whole else "\n") + entry + "\n")
            file.flush()
            os.fsync(file.fileno())


class Builder:
    """Libraries with one candidate a problem, in one tree: the kernels that everybody gets are built once."""

    def __init__(self, options, state):
        self.options, self.state, self.count = options, state, 0

    def build(self, name, kernels):
        schedules, tree = self.state / "candidates.json", self.state / "tree"
        write_whole(schedules, schedule_text({"target": self.options.target, "kernels": kernels}))
        log = self.state / "build.log"
        with open(log, "w", encoding="utf-8") as out:
            for command in (
                    [self.options.cmake, "-S", SOURCE, "-B", tree, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={self.options.ninja}",
                     f"-DPython3_EXECUTABLE={sys.executable}", f"-DHALPOOL_GENERATOR={self.options.build / 'bin/halpool_generator'}",
                     f"-DHALPOOL_TARGETS={self.options.target}", f"-DHALPOOL_WORKLOADS={self.options.workloads}",
                     f"-DHALPOOL_SCHEDULES={schedules}", "-DHALPOOL_BUILD_BENCHMARKS=ON", "-DHALPOOL_BUILD_CLI=OFF"],
                    [self.options.cmake, "--build", tree, "--target", "peer_halpool"]):
                if subprocess.run([str(word) for word in command], stdout=out, stderr=subprocess.STDOUT).returncode:
                    raise TuneFailed(f"a build failed: see {log}")
        peer = self.state / f"peer_{name}"
        shutil.copy2(tree / "bench/peer_halpool", peer)
        return peer


def measure(search, peers, state):
    """The time of the second of two libraries over that of the first: each the minimum of many calls, in turns."""
    best, calls = [], []
    for peer in peers:
        ns = float(peer.ask(search.problem.command(search.workload.layout))[0])
        calls.append(max(3, min(1000, int(ROUND_S * 1e9 / max(ns, 1)))))
        best.append(float("inf"))
    output = state / "output.bin"
    peers[0].ask(f"write {output}")
    difference = float(peers[1].ask(f"compare {output}")[0])
    output.unlink()
    if not difference <= search.problem.tolerance():
        raise TuneFailed(f"{search.family}: a candidate's result is wrong by {difference}")
    for _ in range(ROUNDS):
        for i, peer in enumerate(peers):
            best[i] = min(best[i], *map(float, peer.ask(f"run {calls[i]}")[1:]))
    return best[1] / best[0]


def compare(search, first, second, state):
    peers = []
    try:
        for path in (first, second):
            peers.append(PeerProcess(path.name, [str(path), "--threads", "1", "--target", search.target], {}))
            peers[-1].ask("ready")
        return measure(search, peers, state)
    finally:
        for peer in peers:
            peer.stop()


def provenance(options, seconds):
    model = platform.machine()
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return {"how": f"./dev tune, {seconds:.0f} s; over_default: how many times as fast as the kernel that the problem gets without, "
                   f"the smaller of two measurements",
            "halpool": options.version, "cpu": model, "cores": os.cpu_count(), "date": datetime.date.today().isoformat(), "threads": 1}


def problems(options):
    """A Search for each problem and layout that a kernel can be built for."""
    layouts, entries = read_workloads(options.workloads)
    by_name = {entry.name: entry for entry in entries}
    found = []
    for workload in kernel_manifest.read_workloads(str(SOURCE / "schedules"), str(options.workloads)):
        if max(workload.kernel) > 16:
            print(f"tune: {workload.family}: windows above 16 have no kernels of their own", file=sys.stderr)
        elif workload.name not in by_name:
            print(f"tune: {workload.family}: ceil_mode is not measured", file=sys.stderr)
        else:
            found.append(Search(workload, by_name[workload.name], options.target))
            found[-1].target = options.target
    if not found:
        raise TuneFailed(f"{options.workloads} has no problem to tune")
    return found


def result(searches, options, seconds):
    return {"target": options.target, "provenance": provenance(options, seconds),
            "over_default": {search.family: round(search.over_default, 3) for search in searches},
            "noise": {search.family: round(search.noise, 3) for search in searches},
            "kernels": {search.family: search.best for search in searches}}


def tune(options):
    begin = time.monotonic()
    searches = problems(options)
    state = options.build / "tune" / options.target
    state.mkdir(parents=True, exist_ok=True)
    generator = hashlib.sha256((options.build / "bin/halpool_generator").read_bytes()).hexdigest()[:16]
    journal = Journal(state / "measured.jsonl", f"{platform.node()} {generator}")
    builder = Builder(options, state)
    order = random.Random(options.seed)
    for search in searches:  # the first ones in their order, the others by chance
        rest = search.untried[2:]
        order.shuffle(rest)
        search.untried = search.untried[:2] + rest
    default = builder.build("default", {search.family: None for search in searches})
    total = sum(len(search.untried) for search in searches)
    bar = tqdm(total=total, unit=" candidates", file=sys.stderr) if tqdm and sys.stderr.isatty() else None

    def out_of_time():
        return time.monotonic() - begin > options.budget * 0.9  # the last measurements come after

    number = 0
    while any(search.untried for search in searches) and not out_of_time() and number < options.rounds:
        number += 1
        turn = {search.family: search.untried.pop(0) if search.untried else None for search in searches}
        new = [search for search in searches if turn[search.family] is not None]
        known = {search.family: journal.ratios(search.family, turn[search.family]) for search in new}
        peer = None
        if None in known.values():
            peer = builder.build("candidate", {search.family: turn[search.family] or search.best for search in searches})
        for search in new:
            ratios = known[search.family]
            if ratios is None:
                if out_of_time():
                    break
                # Against what the problem gets anyway: a figure that stays true whatever won before.
                ratios = [compare(search, default, peer, state)]
                if ratios[0] * search.over_default < 1:
                    ratios.append(compare(search, default, peer, state))
                journal.add(search.family, turn[search.family], ratios)
            if len(ratios) > 1 and max(ratios) < WIN / search.over_default:
                search.best, search.over_default, search.noise = turn[search.family], 1 / max(ratios), max(ratios) / min(ratios) - 1
            if bar:
                bar.update()
                bar.set_postfix_str(f"best {max(s.over_default for s in searches):.2f} times as fast")
        write_whole(options.output, schedule_text(result(searches, options, time.monotonic() - begin)))
    if bar:
        bar.close()
    write_whole(options.output, schedule_text(result(searches, options, time.monotonic() - begin)))
    gain = 1.0
    for search in searches:
        gain *= search.over_default
        print(f"{search.family}: " + (f"{search.over_default:.2f} times as fast with {json.dumps(search.best)}" if search.best
                                      else "no schedule is faster than the kernel that it gets anyway"))
    print(f"geometric mean: {gain ** (1 / len(searches)):.2f} times as fast; {number} rounds, {time.monotonic() - begin:.0f} s")
    print(f"{options.output}: build with -DHALPOOL_WORKLOADS={options.workloads} -DHALPOOL_SCHEDULES={options.output}")


def merge(paths, output):
    """One schedule file of several for the same target: of each kernel the schedule that gained most where it was measured."""
    known = json.loads((SOURCE / "schedules/targets.json").read_text())["targets"]
    merged, target = {"provenance": [], "over_default": {}, "kernels": {}}, None
    for path in map(str, paths):
        (name, (_, kernels)), = kernel_manifest.read_tuned([path], known).items()
        document = kernel_manifest.read(path)
        target = target or name
        if name != target:
            raise TuneFailed(f"{kernel_manifest.line_of(path, 'target')}: schedules for {name}; those of {paths[0]} are for {target}")
        gains = document.get("over_default", {})
        merged["provenance"].append(document.get("provenance"))
        for family, schedule in kernels.items():
            if schedule is not None:
                kernel_manifest.check_parameters(path, family, schedule, kernel_manifest.PARAMETERS["gpu" if "device" in known[name] else "cpu"])
            gain = gains.get(family, 1.0) if isinstance(gains, dict) else None
            if isinstance(gain, bool) or not isinstance(gain, (int, float)):
                raise TuneFailed(f"{kernel_manifest.line_of(path, 'over_default')}: the gain of {family} is not a number")
            if family not in merged["kernels"]:
                merged["kernels"][family], merged["over_default"][family] = schedule, gain
            elif schedule != merged["kernels"][family]:
                before = merged["over_default"][family]
                print(f"{family}: {json.dumps(schedule)} of {path} gains {gain:g}, {json.dumps(merged['kernels'][family])} {before:g}: "
                      f"{'the first' if gain > before else 'the second'} is taken")
                if gain > before:
                    merged["kernels"][family], merged["over_default"][family] = schedule, gain
    write_whole(output, schedule_text({"target": target, **merged}))


def seconds(text):
    value = float(text[:-1] if text.endswith("s") else text)
    if not 0 < value < 1e6:
        raise ValueError
    return value


def main():
    parser = argparse.ArgumentParser(prog="./dev tune", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--cmake", default="cmake", help=argparse.SUPPRESS)
    parser.add_argument("--ninja", default="ninja", help=argparse.SUPPRESS)
    parser.add_argument("--workloads", type=pathlib.Path, default=HERE / "workloads.json", metavar="FILE",
                        help="the problems, in the form of benchmarks/workloads.json (default)")
    parser.add_argument("--target", default=None, metavar="NAME", help="a CPU target that this machine runs (default: the best)")
    parser.add_argument("--budget", type=seconds, default=300.0, metavar="SECONDS", help="stop searching after so long (default: 300s)")
    parser.add_argument("--rounds", type=int, default=1000, metavar="N", help="at most so many rounds")
    parser.add_argument("--output", type=pathlib.Path, default=None, metavar="FILE", help="the schedules (default: build/tune/<target>.json)")
    parser.add_argument("--merge", type=pathlib.Path, nargs="+", metavar="FILE",
                        help="search nothing: write to --output what gains most of several such files for one target")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which candidates are tried")
    options = parser.parse_args()
    if options.merge and not options.output:
        parser.error("--merge needs --output")
    options.build, options.workloads = options.build.resolve(), options.workloads.resolve()
    try:
        if options.merge:
            return merge(options.merge, options.output.resolve())
        information = json.loads(subprocess.run([str(options.build / "bin/halpool"), "info", "--json"], check=True, text=True,
                                                stdout=subprocess.PIPE).stdout)
        usable = [target["name"] for target in information["targets"] if target["device"] == "cpu" and target["available"] and target["name"] != "any"]
        options.target, options.version = options.target or usable[0], information["version"]
        if options.target not in usable:
            raise TuneFailed(f"target {options.target} does not run here; these do: {', '.join(usable)}")
        options.output = (options.output or options.build / "tune" / f"{options.target}.json").resolve()
        options.output.parent.mkdir(parents=True, exist_ok=True)
        tune(options)
    except KeyboardInterrupt:
        sys.exit(f"tune: interrupted; the same command goes on. {options.output} has what was found, if a round was finished")
    except (TuneFailed, PeerFailed, kernel_manifest.BadInput, ValueError, OSError) as error:
        sys.exit(f"tune: {error}")


if __name__ == "__main__":
    main()
