"""The search: builds candidates, measures them, and keeps the best."""

import datetime
import hashlib
import json
import os
import pathlib
import platform
import random
import shutil
import subprocess
import sys
import time

from candidates import candidates
from common import SOURCE, TuneFailed, kernel_manifest
from journal import Journal
from measurement import compare
from schedule_file import schedule_text, write_whole
from workload import read_workloads

try:
    from tqdm import tqdm
except ImportError:  # without a bar
    tqdm = None

WIN = 0.97  # of the incumbent's time: less is noise


class Search:
    """Of one problem in one layout."""

    def __init__(self, workload, problem, target):
        self.workload, self.problem, self.family = workload, problem, workload.family
        self.untried = candidates(workload, target)
        self.best = None  # a schedule; None: the kernel that everybody gets
        self.over_default = 1.0  # how many times as fast
        self.noise = 0.0  # how far its two measurements lie apart


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
                    [self.options.cmake, "-S", SOURCE, "-B", tree, "-G", self.options.cmake_generator, f"-DCMAKE_MAKE_PROGRAM={self.options.make_program}",
                     f"-DPython3_EXECUTABLE={sys.executable}", f"-DHALPOOL_GENERATOR={self.options.build / 'bin/halpool_generator'}",
                     f"-DHALPOOL_TARGETS={self.options.target}", f"-DHALPOOL_WORKLOADS={self.options.workloads}",
                     f"-DHALPOOL_SCHEDULES={schedules}", "-DHALPOOL_BUILD_BENCHMARKS=ON", "-DHALPOOL_BUILD_CLI=OFF"],
                    [self.options.cmake, "--build", tree, "--target", "peer_halpool"]):
                if subprocess.run([str(word) for word in command], stdout=out, stderr=subprocess.STDOUT).returncode:
                    raise TuneFailed(f"a build failed: see {log}")
        peer = self.state / f"peer_{name}"
        shutil.copy2(tree / "bench/peer_halpool", peer)
        return peer


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
