"""The search: builds candidates, measures them, and keeps the best."""

import contextlib
import datetime
import fcntl
import hashlib
import json
import math
import os
import pathlib
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time

from candidates import candidates, neighbours
from common import SOURCE, TuneFailed, configure_command, device_identity, halide_version, kernel_manifest
from cost_model import registers_of
from jit import jit_of
from journal import Journal
from measurement import compare
from peer_process import PeerProcess
from schedule_file import schedule_text, write_whole
from workload import read_workloads

try:
    from tqdm import tqdm
except ImportError:  # without a bar
    tqdm = None

WIN = 0.96  # of the time of what there is: less is noise
BETTER = 0.95  # of the best candidate's time: of several that are as fast, the first one stays
MEASUREMENTS = 5  # of a candidate that gains in the first: their median counts
CLASS_WIN = 0.95  # for kernels of everybody's: what so few problems show must be clear
SLOWER = 1.03  # of the default's time: a problem that loses more speaks against a schedule of everybody's
HOPELESS = 1.25  # times as slow as the default: a problem whose first two candidates are keeps what it has
EMISSION_S = 240.0  # of one round; what takes longer is no schedule that anybody wants to build. The default's first build has no limit
STREAMING_BYTES = 24 << 20  # runtime/kernel_selector.cpp: from there on at the latest; --effort patient tries what is larger, too
LARGE_STRIDES = 8  # kLargeBlock of kernel_convention.h
CONFIRMATIONS = 5  # of a winner, in processes of their own: their median counts
PROBLEMS = 6  # on which a kernel of everybody's is measured, at most
LONGEST_CALL_NS = 20e6


class Search:
    """Of one kernel: a problem's own in one layout, or one that everybody gets."""

    WIN = WIN  # of what there is

    def __init__(self, family, problems, untried, patient=False):
        self.family, self.patient = family, patient
        self.problems = problems  # [(workload.Workload, layout)] on which it is measured
        self.untried = untried
        self.best = None  # a schedule; None: the kernel that everybody gets, or its present schedule
        self.over_default = 1.0  # how many times as fast
        self.noise = 0.0  # how far its two measurements lie apart
        self.tried = []  # (schedule, time over the default's)

    def next(self):
        if not self.patient and len(self.tried) > 1 and min(ratio for _, ratio in self.tried) > HOPELESS:
            self.untried.clear()
        return self.untried.pop(0) if self.untried else None

    def judge(self, schedule, ratios):
        """ratios: the candidate's time over the default's, of one or several measurements. Whether it is the best now."""
        ratio = statistics.median(ratios) if len(ratios) > 2 else max(ratios)
        self.tried.append((schedule, ratio))
        if len(ratios) < 2 or ratio >= (self.WIN if self.best is None else BETTER) / self.over_default:
            return False
        self.best, self.over_default, self.noise = schedule, 1 / ratio, max(ratios) / min(ratios) - 1
        return True

    def extend(self, schedule):
        """Tries what differs from this one in one parameter, too."""
        known = {json.dumps(each, sort_keys=True) for each in [schedule, *self.untried, *(tried for tried, _ in self.tried)]}
        self.untried += [other for other in neighbours(schedule, self.target, self.alignment) if json.dumps(other, sort_keys=True) not in known]

    def skip_parameters(self, schedule):
        """This candidate's kernel is the same as without: so are those of others that differ in that parameter alone."""
        base = self.best or self.present
        changed = {name for name in schedule if schedule[name] != base.get(name)}
        self.untried = [other for other in self.untried if {name for name in other if other[name] != base.get(name)} != changed]


class OwnSearch(Search):
    """Of a kernel of one problem's own (HALPOOL_WORKLOADS)."""

    def __init__(self, workload, problem, target, patient=False):
        super().__init__(workload.family, [(problem, workload.layout)], candidates(workload, target), patient)
        self.workload, self.problem, self.layout = workload, problem, workload.layout
        self.target, self.alignment, self.present = target, 0, {}

    def judge(self, schedule, ratios):
        better = super().judge(schedule, ratios)
        if better and self.patient:
            self.extend(schedule)
        return better


class ClassSearch(Search):
    """Of a kernel of schedules/<target>.json, from its present schedule on, one parameter at a time."""

    WIN = CLASS_WIN

    def __init__(self, family, problems, schedule, target, alignment):
        super().__init__(family, problems, [])
        self.present, self.target, self.alignment = schedule, target, alignment
        self.extend(schedule)

    def judge(self, schedule, ratios):
        better = super().judge(schedule, ratios)
        if better:
            self.extend(schedule)
        return better


class Builder:
    """Libraries with one candidate a kernel, in one tree: what did not change is not built again."""

    def __init__(self, options, state):
        self.options, self.state = options, state
        # The builds inherit it: one that outlives a killed search holds the next one off, as another search does.
        self.lock = open(state / "lock", "w", encoding="utf-8")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"halpool-tune: waiting for another search in {state}, or the end of its build", file=sys.stderr)
            fcntl.flock(self.lock, fcntl.LOCK_EX)

    def command(self, *words, limit_s=None):
        """Runs it, its output in build.log; whether it succeeded in time."""
        with open(self.state / "build.log", "a", encoding="utf-8") as out:
            process = subprocess.Popen([str(word) for word in words], stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                                       pass_fds=[self.lock.fileno()])
            try:
                return process.wait(limit_s) == 0
            except subprocess.TimeoutExpired:
                out.write(f"halpool-tune: stopped after {limit_s:.0f} s\n")
                return False
            finally:
                if process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def objects(self, families):
        """Of each family, what identifies its compiled kernel; those that were not compiled are missing."""
        found, target = {}, self.options.target
        for family in families:
            path = self.state / "tree/kernels" / target / f"halpool_{kernel_manifest.identifier(f'{family}_{target}')}.o"
            with contextlib.suppress(OSError):
                found[family] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def build(self, name, kernels, limit_s=EMISSION_S):
        """The program to measure, and {family: its object}: without those whose schedules cannot be compiled, which are left out."""
        schedules, tree, options = self.state / "candidates.json", self.state / "tree", self.options
        write_whole(self.state / "build.log", "")
        kernels = dict(kernels)
        for _ in range(3):
            write_whole(schedules, schedule_text({"target": options.target, "kernels": kernels}))
            if not self.command(*configure_command(options, tree, schedules, options.tuned_workloads, options.tuned_layouts)):
                break
            go_on = ["-k", "0"] if "Ninja" in options.cmake_generator else ["-k"]
            if self.command(options.cmake, "--build", tree, "--target", "peer_halpool", "--", *go_on, limit_s=limit_s):
                peer = self.state / f"peer_{name}"
                shutil.copy2(tree / "bench/peer_halpool", peer)
                return peer, self.objects(kernels)
            failed = [family for family in kernels if kernels[family] is not None and self.failed(family)]
            if not failed:
                break
            for family in failed:
                print(f"halpool-tune: {family}: {json.dumps(kernels.pop(family))} cannot be compiled", file=sys.stderr)
        raise TuneFailed(f"a build failed: see {self.state / 'build.log'}")

    def failed(self, family):
        """Whether the build says that this kernel's object could not be made, or linked: kernels may call nothing, malloc least of all."""
        name = f"halpool_{kernel_manifest.identifier(f'{family}_{self.options.target}')}.o"
        log = (self.state / "build.log").read_text(encoding="utf-8", errors="replace")
        return any(name in line for line in log.splitlines() if line.startswith("FAILED:") or "***" in line or "in function" in line)


def provenance(options, seconds):
    return {"how": f"{options.how}, {seconds:.0f} s; over_default: how many times as fast as the kernel without, the median of five measurements",
            "halpool": options.version, "halide": halide_version(), "cpu": device_identity.of_this_machine().get("device", platform.machine()),
            "cores": os.cpu_count(), "date": datetime.date.today().isoformat(), "threads": 1}


def not_tried(workload, problem, patient):
    """Why a problem gets no kernel of its own, or none that could win; None if it may."""
    if max(workload.kernel) > 16:
        return "windows above 16 have no kernels of their own"
    if patient:
        return None
    if problem.bytes() >= STREAMING_BYTES:
        return "so large that its kernel writes past the caches, which kernels of its own do not"
    if workload.output == [1, 1] and workload.kernel == workload.input:
        return "global: its kernel is bound by memory"
    if any(kernel > LARGE_STRIDES * stride for kernel, stride in zip(workload.kernel, workload.stride)):
        return "its window is so large that tap by tap cannot win"
    return None


def problems(options):
    """A search for each problem and layout that a kernel can be built for."""
    # First, as it refuses a wrong file with the line and what is allowed. Of f32 alone, as `entries` are; it says which it skips.
    workloads = kernel_manifest.read_workloads(str(SOURCE / "schedules"), str(options.workloads))
    _, entries = read_workloads(options.workloads, with_ceil_mode=True)
    by_name = {entry.name: entry for entry in entries}
    found = []
    for workload in workloads:
        problem = by_name[workload.name]
        if options.group and problem.group != options.group:
            continue
        why = not_tried(workload, problem, options.effort == "patient")
        if why:
            print(f"halpool-tune: {workload.family}: {why}", file=sys.stderr)
        else:
            found.append(OwnSearch(workload, problem, options.target, options.effort == "patient"))
    if not found:
        raise TuneFailed(f"{options.workloads} has no problem to tune")
    return found


def classes(options, default, target):
    """A search for each kernel that everybody gets and that is the best for a problem of the file; and those without one."""
    facts = json.loads((SOURCE / "schedules/targets.json").read_text())["targets"][target]
    path = SOURCE / "schedules" / f"{facts.get('schedule', target)}.json"
    present = kernel_manifest.read(str(path))["kernels"]
    layouts, entries = read_workloads(options.workloads)
    measured = {}
    peer = PeerProcess("default", [str(default), "--threads", "1", "--target", target], {})
    try:
        peer.ask("ready")
        for problem in entries:
            for layout in layouts:
                if float(peer.ask(problem.command(layout))[0]) > LONGEST_CALL_NS:
                    continue
                family = peer.ask("run 1")[0].removesuffix(f"_{target}")
                if family not in present:  # one kernel for both layouts
                    family = family.replace("_nhwc_", "_nchw_")
                if present.get(family):
                    measured.setdefault(family, []).append((problem, layout))
    finally:
        peer.stop()
    found = []
    for family, those in measured.items():
        those.sort(key=lambda each: each[0].group != "judged")
        alignment = int(family.split("-a")[1].split("-")[0]) if "-streaming" in family else 0
        found.append(ClassSearch(family, those[:PROBLEMS], present[family], target, alignment))
    return found, present


def result(searches, options, seconds, present=None):
    """present: of all kernels that everybody gets, for a whole schedule file."""
    kernels = {search.family: search.best for search in searches}
    if present is not None:
        kernels = {family: kernels.get(family) or schedule for family, schedule in present.items()}
    return {"target": options.target, "tuned_on": device_identity.of_this_machine(), "provenance": provenance(options, seconds),
            "over_default": {search.family: round(search.over_default, 3) for search in searches},
            "noise": {search.family: round(search.noise, 3) for search in searches}, "kernels": kernels}


def measured_ratio(search, first, second, state, options):
    """The candidate's time over the default's: of several problems, the geometric mean, or the worst if it loses too much."""
    ratios = [compare(search, problem, layout, first, second, state, options.round_s) for problem, layout in search.problems]
    return max(ratios) if max(ratios) > SLOWER else math.exp(sum(map(math.log, ratios)) / len(ratios))


def candidate_ratios(search, default, peer, state, options):
    """Of one measurement, and of others where that is better than the best so far. Against what is there without: figures that
    stay true whatever won before."""
    ratios = [measured_ratio(search, default, peer, state, options)]
    if ratios[0] * search.over_default < 1:
        ratios += [measured_ratio(search, default, peer, state, options) for _ in range(MEASUREMENTS - 1)]
    return ratios


def estimate(options):
    """Schedules by the cost model, for problems that are known to gain by a kernel of their own: nothing is built or measured."""
    searches = problems(options)
    target = json.loads((SOURCE / "schedules/targets.json").read_text())["targets"][options.target]
    present = kernel_manifest.read(str(SOURCE / "schedules" / f"{target.get('schedule', options.target)}.json"))["kernels"]
    for search in searches:
        workload = search.workload
        taken = present.get(f"avg_pool2d_f32_{workload.layout}_{workload.window}") is not None  # by everybody's
        if not taken and workload.class_schedule(present, registers_of(options.target)) is not None:
            search.best = search.untried[0]
    document = result(searches, options, 0)
    for key in ("over_default", "noise"):  # not known
        del document[key]
    document["provenance"]["how"] = "halpool-tune --effort estimate: the cost model's choice, not measured"
    write_whole(options.output, schedule_text(document))
    print(f"{options.output}: build with -DHALPOOL_WORKLOADS={options.workloads} -DHALPOOL_SCHEDULES={options.output}")


def tune(options):
    if options.effort == "estimate":
        return estimate(options)
    begin = time.monotonic()
    state = options.build / "tune" / options.target / ("classes" if options.classes else "own")
    state.mkdir(parents=True, exist_ok=True)
    builder = Builder(options, state)
    present = None
    if options.classes:
        options.tuned_workloads, options.tuned_layouts = "", kernel_manifest.LAYOUTS
        default, _ = builder.build("default", {}, limit_s=None)
        searches, present = classes(options, default, options.target)
        objects = builder.objects(present)
        print(f"halpool-tune: {len(searches)} kernels; no problem of {options.workloads.name} takes: "
              f"{', '.join(family for family in present if present[family] and family not in {s.family for s in searches})}", file=sys.stderr)
    else:
        searches = problems(options)
        options.tuned_workloads = chosen_workloads(options, state, searches)
        options.tuned_layouts = {search.workload.layout for search in searches}
        default, _ = builder.build("default", {search.family: None for search in searches}, limit_s=None)
        objects = {}  # of kernels that are not there; what an earlier search left in the tree is not meant
    jit = None if options.classes else jit_of(options, state)
    # What was measured is true of this machine, this generator and what it was measured against.
    used = [options.build / "bin/halpool_generator", default, *([jit.program] if jit else [])]
    programs = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in used)
    journal = Journal(state / "measured.jsonl", f"{platform.node()} {hashlib.sha256(programs).hexdigest()[:16]}")
    order = random.Random(options.seed)
    for search in searches:  # the first ones in their order, the others by chance
        rest = search.untried[2:]
        order.shuffle(rest)
        search.untried = search.untried[:2] + rest
    estimates = {search.family: search.untried[0] for search in searches if search.untried and not options.classes}
    bar = tqdm(total=sum(len(search.untried) for search in searches), unit=" candidates", file=sys.stderr) if tqdm and sys.stderr.isatty() else None

    # Without the default's build, which takes as long as it takes.
    begin_of_search = time.monotonic()

    def out_of_time():
        return time.monotonic() - begin_of_search > options.budget * 0.8  # then the winners are measured once more

    number = 0
    write_whole(options.output, schedule_text(result(searches, options, 0, present)))
    while not out_of_time() and number < options.rounds:
        turn = {search.family: search.next() for search in searches}
        new = [search for search in searches if turn[search.family] is not None]
        if not new:
            break
        number += 1
        known = {search.family: journal.ratios(search.family, turn[search.family]) for search in new}
        peer, built, compiled = None, {}, {}
        if None in known.values() and not jit:
            chosen = {search.family: turn[search.family] or search.best for search in searches}
            peer, built = builder.build("candidate", {family: schedule for family, schedule in chosen.items() if schedule or not options.classes})
        for search in new:
            ratios = known[search.family]
            if ratios is None:
                if out_of_time():
                    break
                if jit and search.family not in compiled:
                    next_ones = [each for each in new[new.index(search):] if known[each.family] is None][:len(jit.workers)]
                    compiled = jit.compile([(each, turn[each.family]) for each in next_ones])
                cannot = not compiled[search.family] if jit else search.family not in built
                if cannot or (not jit and built[search.family] == objects.get(search.family)):
                    ratios = [math.inf if cannot else 1.0]
                else:
                    ratios = candidate_ratios(search, default, compiled[search.family] if jit else peer, state, options)
                journal.add(search.family, turn[search.family], ratios)
            search.judge(turn[search.family], ratios)
            if ratios == [1.0]:
                search.skip_parameters(turn[search.family])
            if bar:
                bar.total = bar.n + 1 + sum(len(each.untried) for each in searches)
                bar.update()
                bar.set_postfix_str(f"best {max(s.over_default for s in searches):.2f} times as fast")
        write_whole(options.output, schedule_text(result(searches, options, time.monotonic() - begin, present)))
    if bar:
        bar.close()
    if jit:
        jit.stop()
    confirm([search for search in searches if search.best], builder, default, state, journal, options)
    write_whole(options.output, schedule_text(result(searches, options, time.monotonic() - begin, present)))
    report(searches, options, number, time.monotonic() - begin, estimates)


def confirm(winners, builder, default, state, journal, options):
    """All winners in one library, compiled ahead of time as they will be used, again: who does not gain there is dropped. Kept as well: the same
    measurements make the same decisions."""
    name = "{} confirmed".format
    known = {search.family: journal.ratios(name(search.family), search.best) for search in winners}
    peer = None
    if None in known.values():
        peer, _ = builder.build("winners", {search.family: search.best for search in winners})
    for search in winners:
        if known[search.family] is None:
            known[search.family] = [measured_ratio(search, default, peer, state, options) for _ in range(CONFIRMATIONS)]
            journal.add(name(search.family), search.best, known[search.family])
        ratio = statistics.median(known[search.family])
        if ratio > search.WIN:
            print(f"halpool-tune: {search.family}: {json.dumps(search.best)} gained {search.over_default:.2f} and, measured again, {1 / ratio:.2f}: "
                  "dropped", file=sys.stderr)
            search.best, search.over_default, search.noise = None, 1.0, 0.0
        else:
            search.noise = max(search.noise, ratio * search.over_default - 1, 1 / (ratio * search.over_default) - 1)
            search.over_default = min(search.over_default, 1 / ratio)


def chosen_workloads(options, state, searches):
    """The problems that are searched, alone, in a file of their own: a build makes kernels for all problems of its file."""
    document = kernel_manifest.read(str(options.workloads))
    names = {search.workload.name for search in searches}
    document["workloads"] = [entry for entry in document["workloads"] if entry["name"] in names]
    path = state / "workloads.json"
    write_whole(path, json.dumps(document, indent=1) + "\n")
    return path


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def report(searches, options, rounds, seconds, estimates):
    for search in searches:
        print(f"{search.family}: " + (f"{search.over_default:.2f} times as fast with {json.dumps(search.best)}" if search.best
                                      else "no schedule is faster than what there is"))
    if not searches:
        return
    print(f"geometric mean: {mean([search.over_default for search in searches]):.2f} times as fast; {rounds} rounds, {seconds:.0f} s")
    # What the cost model alone would have chosen, where any kernel of its own pays.
    known = [(dict((json.dumps(s), r) for s, r in search.tried).get(json.dumps(estimates.get(search.family))), search) for search in searches if search.best]
    known = [(ratio, search) for ratio, search in known if ratio and math.isfinite(ratio)]
    if known:
        print(f"the cost model's first choice, for these {len(known)} problems: {mean([ratio * search.over_default for ratio, search in known]):.2f} "
              "times the time of the best")
    if options.classes:
        print(f"{options.output}: a whole schedule file; to ship it: cp {options.output} schedules/{options.target}.json")
    else:
        print(f"{options.output}: build with -DHALPOOL_WORKLOADS={options.workloads} -DHALPOOL_SCHEDULES={options.output}")
