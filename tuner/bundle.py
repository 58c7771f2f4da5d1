"""Tuning for a device that has neither a compiler nor Python: the candidates go there as programs, with a script that
measures them, and its results come back."""

import datetime
import hashlib
import json
import math
import os
import pathlib
import platform
import shutil
import subprocess
import sys

from common import SOURCE, TuneFailed, configure_command, device_identity, halide_version, kernel_manifest, read_json
from schedule_file import schedule_text, write_whole
from search import WIN

FORMAT = 1
DEVICES = {"cuda": "peer_halpool_cuda"}  # what can be tuned so besides CPUs, and the program that runs there


# ---- There -------------------------------------------------------------------------------------------------------

class Place:
    """Where a target's programs run. TuneFailed where none can be built for it."""

    def __init__(self, target):
        document = json.loads((SOURCE / "schedules/targets.json").read_text(encoding="utf-8"))
        known = [name for name, facts in document["targets"].items() if facts.get("device") in DEVICES or "system" in facts]
        if target not in known:
            raise TuneFailed(f"no candidates can be built for {target}; they can for {', '.join(known)}")
        self.device = document["targets"][target].get("device")
        system = {} if self.device else document["systems"][document["targets"][target]["system"]]
        # Of a device: programs for machines like this one, its driver found when they run.
        self.component = "" if self.device or platform.machine() in system["processors"] else system["component"]
        self.link = [word.replace("{source}", str(SOURCE)) for word in system.get("program_options", [])]
        if system.get("elf", True):
            self.link += ["-static-libstdc++", "-static-libgcc", "-s"] if self.device else ["-static", "-s"]
        self.program = DEVICES.get(self.device, "peer_halpool")
        self.parameters = kernel_manifest.PARAMETERS["gpu" if self.device else "cpu"]


def build(options, place, state, kernels, layouts):
    """The peer with these schedules, as search.Builder has it, but for another machine: nothing is looked up there."""
    schedules, tree, log = state / "candidates.json", state / "tree", state / "build.log"
    if place.device:  # a kernel of everybody's cannot be left out
        kernels = {family: schedule for family, schedule in kernels.items() if schedule}
    write_whole(schedules, schedule_text({"target": options.target, "kernels": kernels}))
    with open(log, "w", encoding="utf-8") as out:
        for command in (
                configure_command(options, tree, schedules, "" if place.device else options.workloads, layouts,
                                  f"-DHALPOOL_SYSTEM={place.component}", f"-DCMAKE_EXE_LINKER_FLAGS={' '.join(place.link)}"),
                [options.cmake, "--build", tree, "--target", place.program]):
            if subprocess.run([str(word) for word in command], stdout=out, stderr=subprocess.STDOUT).returncode:
                raise TuneFailed(f"a build failed: see {log}")
    return next(path for path in (tree / "bench" / f"{place.program}{suffix}" for suffix in ("", ".js")) if path.exists())


def identity(document):
    """Of a bundle: of all that candidates.json says, the programs' hashes among it."""
    rest = {key: value for key, value in document.items() if key != "id"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]


def script(document):
    """run.sh of a bundle."""
    count = max(len(problem["schedules"]) for problem in document["problems"])
    table = [f"{number + 1} {problem['family']} {problem['tolerance']:.6g} {problem['setup']}" for number in range(count)
             for problem in document["problems"] if problem["schedules"][number] is not None]
    text = (pathlib.Path(__file__).parent / "run_bundle.sh").read_text(encoding="utf-8")
    values = {"BUNDLE": document["id"], "TARGET": document["target"], "DEVICE": Place(document["target"]).device or "",
              "TOTAL": str(len(table)), "TABLE": "\n".join(table)}
    for word, value in values.items():
        text = text.replace(f"@{word}@", value)
    return text


def candidates_text(document):
    """One problem a line, for messages that name lines."""
    head = json.dumps({key: value for key, value in document.items() if key != "problems"}, indent=2)[:-2]
    problems = ",\n".join(f"    {json.dumps(problem)}" for problem in document["problems"])
    return f'{head},\n  "problems": [\n{problems}\n  ]\n}}\n'


def emit(options, searches):
    """Writes the folder options.emit_candidates."""
    folder = options.emit_candidates.resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise TuneFailed(f"{folder} is there already; name a folder that is not, or is empty")
    place = Place(options.target)
    tried = {search.family: search.untried[:options.rounds] for search in searches}
    count = max(map(len, tried.values()), default=0)
    if not count:
        raise TuneFailed(f"{options.workloads}: no problem has schedules to try on {options.target}")
    document = {
        "format": FORMAT, "target": options.target, "host": platform.node(), "date": datetime.date.today().isoformat(),
        "halpool": options.version, "halide": halide_version(),
        "problems": [{"family": search.family, "layout": search.layout, "setup": search.problem.command(search.layout),
                      "tolerance": search.problem.tolerance(), **({"present": search.present} if place.device else {}),
                      "schedules": tried[search.family] + [None] * (count - len(tried[search.family]))} for search in searches]}
    state = options.build / "tune" / f"{options.target}.bundle"
    state.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        document["programs"] = {}
        for number in range(count + 1):  # 0: what everybody gets
            name = f"candidate-{number}" if number else "default"
            print(f"halpool-tune: {name} of {count}" if number else "halpool-tune: default", file=sys.stderr, flush=True)
            peer = build(options, place, state, {problem["family"]: problem["schedules"][number - 1] if number else None
                                          for problem in document["problems"]},
                         {problem["layout"] for problem in document["problems"]})
            shutil.copy2(peer, temporary / name)
            document["programs"][name] = hashlib.sha256(peer.read_bytes()).hexdigest()
        document = {"format": FORMAT, "id": identity(document), **document}
        (temporary / "candidates.json").write_text(candidates_text(document), encoding="utf-8")
        (temporary / "run.sh").write_text(script(document), encoding="utf-8")
        (temporary / "run.sh").chmod(0o755)
        temporary.chmod(0o755)
        try:
            os.replace(temporary, folder)  # over an empty folder too
        except OSError as error:
            raise TuneFailed(f"{folder} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    print(f"{folder}: copy it to the device, run ./run.sh there, and bring results.json back")


# ---- And back ----------------------------------------------------------------------------------------------------

def read_document(path, what):
    """Of this tuner's format, and how to refuse what stands at one of its keys."""
    path = str(path)
    document = read_json(path)

    def refuse(word, why):
        raise TuneFailed(f"{kernel_manifest.line_of(path, word)}: {why}")

    if not isinstance(document, dict):
        raise TuneFailed(f"{path}:1: not {what}")
    if document.get("format") != FORMAT or isinstance(document.get("format"), bool):
        refuse("format", f"format {document.get('format')!r}; this tuner reads {FORMAT}")
    return document, refuse


def read_bundle(folder):
    path = str(folder / "candidates.json")
    document, refuse = read_document(path, "a bundle's list of candidates")
    if document.get("id") != identity(document):
        refuse("id", "this is not what was emitted: its id does not fit")
    for key, kind in (("target", str), ("halpool", str), ("halide", str), ("problems", list)):
        if not isinstance(document.get(key), kind):
            refuse(key, f'no "{key}"')
    place = Place(document["target"])
    families, counts = set(), set()
    for problem in document["problems"]:
        if not isinstance(problem, dict) or not isinstance(problem.get("family"), str) or not isinstance(problem.get("schedules"), list):
            refuse("problems", 'a problem without "family" or "schedules"')
        family = problem["family"]
        if family in families:
            refuse(family, f"{family} is there twice")
        for schedule in problem["schedules"] + [problem.get("present")]:
            if schedule is not None:
                try:
                    kernel_manifest.check_parameters(path, family, schedule, place.parameters)
                except kernel_manifest.BadInput as error:
                    raise TuneFailed(str(error)) from error
        families.add(family)
        counts.add(len(problem["schedules"]))
    if len(counts) != 1 or counts == {0}:
        refuse("problems", "no candidates, or not equally many of each problem")
    return document


def is_time(value):
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    except OverflowError:
        return False


def read_results(path, bundle):
    """(device, {(family, candidate): ratios of the candidate's time to the default's, or None where it fails})"""
    path = str(path)
    document, refuse = read_document(path, "the results of a bundle's run.sh")
    if document.get("bundle") != bundle["id"]:
        refuse("bundle", f"results of the bundle {document.get('bundle')!r}; the candidates are those of {bundle['id']}")
    device, measured = document.get("device"), document.get("measured")
    if not isinstance(device, dict) or not all(isinstance(device.get(key), str) and device[key] for key in ("cpu", "date")):
        refuse("device", 'a "device" with its "cpu", "cores" and "date" is missing')
    cores = device.get("cores", 0)  # null: the device does not say
    if cores is not None and (type(cores) is not int or cores < 1):
        refuse("device", f"cores is {cores!r}")
    if not isinstance(device.get("gpu", ""), str):
        refuse("gpu", "gpu is not a text")
    cpuinfo = device.get("cpuinfo", [])
    if not isinstance(cpuinfo, list) or not all(isinstance(line, str) for line in cpuinfo):
        refuse("cpuinfo", "cpuinfo is not a list of lines")
    if not isinstance(measured, list) or not measured:
        refuse("measured", 'nothing is "measured"')
    schedules = {problem["family"]: problem["schedules"] for problem in bundle["problems"]}
    with open(path, encoding="utf-8") as file:  # run.sh writes one a line
        lines = [number for number, line in enumerate(file, 1) for _ in range(line.count('"family"'))]
    ratios = {}
    for i, entry in enumerate(measured):
        where = f"{path}:{lines[i]}" if len(lines) == len(measured) else kernel_manifest.line_of(path, "measured")
        if not isinstance(entry, dict):
            raise TuneFailed(f"{where}: measurement {i + 1} is not an object")
        family, number = entry.get("family"), entry.get("candidate")
        if not isinstance(family, str) or family not in schedules:
            raise TuneFailed(f"{where}: measurement {i + 1} is of {family!r}, which the bundle does not have")
        if type(number) is not int or not 1 <= number <= len(schedules[family]) or schedules[family][number - 1] is None:
            raise TuneFailed(f"{where}: {family} has no candidate {number!r}")
        if (family, number) in ratios:
            raise TuneFailed(f"{where}: candidate {number} of {family} is there twice")
        if "error" in entry:
            print(f"{family}: candidate {number} is not taken, it failed on {device['cpu']}: {entry['error']}", file=sys.stderr)
            ratios[family, number] = None
            continue
        times = [entry.get(key) for key in ("default_ns", "candidate_ns")]
        for key, values in zip(("default_ns", "candidate_ns"), times):
            if not isinstance(values, list) or not values or not all(map(is_time, values)):
                raise TuneFailed(f"{where}: {key} of candidate {number} of {family} is not a list of times: {json.dumps(values)[:80]}")
        if len(times[0]) != len(times[1]):
            raise TuneFailed(f"{where}: candidate {number} of {family} has {len(times[1])} times, its default {len(times[0])}")
        ratios[family, number] = [candidate / default for default, candidate in zip(*times)]
        if not all(map(is_time, ratios[family, number])):
            raise TuneFailed(f"{where}: times of candidate {number} of {family} that no machine takes")
    return device, ratios


def from_results(options):
    """Writes options.output, of one or more results of the bundle options.bundle: on several devices, what gains on each."""
    paths = options.from_results if isinstance(options.from_results, (list, tuple)) else [options.from_results]
    bundle = read_bundle(options.bundle)
    results = [read_results(path, bundle) for path in paths]
    if not results:
        raise TuneFailed("no results")
    best, over_default, noise = {}, {}, {}
    for problem in bundle["problems"]:
        family = problem["family"]
        best[family], over_default[family], noise[family] = problem.get("present"), 1.0, 0.0  # None: the kernel that it gets anyway
        for number, schedule in enumerate(problem["schedules"], 1):
            found = [ratios[family, number] for _, ratios in results if (family, number) in ratios]
            # As in the search: faster in two independent measurements, on each device, the smaller gain counts.
            if not found or not all(ratios and len(ratios) > 1 for ratios in found):
                continue
            ratios = sum(found, [])
            if max(ratios) < WIN / over_default[family]:
                best[family], over_default[family] = schedule, 1 / max(ratios)
                noise[family] = max(max(each) / min(each) - 1 for each in found)
    origins = [{"how": "halpool-tune's candidates measured by their run.sh; over_default: how many times as fast as the kernel that the "
                       "problem gets without, the smaller of two measurements",
                "halpool": bundle["halpool"], "halide": bundle["halide"], "cpu": device["cpu"], "cores": device["cores"],
                **({"gpu": device["gpu"]} if "gpu" in device else {}), "date": device["date"], "threads": 1} for device, _ in results]
    # What all devices are, and no more. Which CPU feeds a GPU says nothing of it.
    on_device = Place(bundle["target"]).device is not None
    machines = [{} if on_device else device_identity.of_cpuinfo("\n".join(device.get("cpuinfo", []))) for device, _ in results]
    tuned_on = {key: value for key, value in machines[0].items() if all(machine.get(key) == value for machine in machines)}
    write_whole(options.output, schedule_text({
        "target": bundle["target"], "tuned_on": tuned_on, "provenance": origins[0] if len(origins) == 1 else origins,
        "over_default": {family: round(gain, 3) for family, gain in over_default.items()},
        "noise": {family: round(spread, 3) for family, spread in noise.items()}, "kernels": best}))
    for family, schedule in best.items():
        print(f"{family}: " + (f"{over_default[family]:.2f} times as fast with {json.dumps(schedule)}" if over_default[family] > 1
                               else "no schedule is faster than the kernel that it gets anyway"))
    own = "" if on_device else "-DHALPOOL_WORKLOADS=<the bundle's> "
    print(f"{options.output}: build with {own}-DHALPOOL_SCHEDULES={options.output}")
