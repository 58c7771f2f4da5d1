#!/usr/bin/env python3
"""Searches schedules for your own problems on this machine: build/bin/halpool-tune, or ./dev tune.

Each candidate is compiled in the process that measures it, the runtime around it being the library's, and measured against
the library without it, in turns; where that is faster four more follow, and a candidate whose median is clearly better than the
best so far takes its place. In the end the winners are compiled ahead of time, as a user's build does, in one library, and
measured again. (--classes, and builds without the program for it, link every round's candidates into a library.)
What was measured is kept: an interrupted search goes on where it was.

halpool-tune merge: one schedule file of several. halpool-tune report: a page of a benchmark's results.
"""

import argparse
import json
import os
import pathlib
import sys

import bundle
import device_search
from common import SOURCE, TuneFailed, halpool_version, kernel_manifest, usable_targets
from onnx_workloads import workloads_of_model
from peer_process import PeerFailed
import report
from schedule_file import merge, write_whole
from search import chosen_workloads, problems, tune


EFFORTS = ("estimate", "measure", "patient")
ROUND_S = {"estimate": 0, "measure": 0.005, "patient": 0.03}  # of one library in one placement, at most, where a call is shorter


def seconds(text):
    value = float(text[:-1] if text.endswith("s") else text)
    if not 0 < value < 1e6:
        raise ValueError
    return value


def merge_command(arguments):
    parser = argparse.ArgumentParser(prog="halpool-tune merge",
                                     description="Writes one schedule file of several for one target: of each kernel what gains most.")
    parser.add_argument("files", type=pathlib.Path, nargs="+", metavar="FILE", help="schedule files of halpool-tune")
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="FILE", help="where the result is written")
    options = parser.parse_args(arguments)
    merge(options.files, options.output.resolve())


def search_command(arguments):
    parser = argparse.ArgumentParser(prog="halpool-tune", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    # Of the build that this belongs to: bin/halpool-tune says them.
    parser.add_argument("--build", type=pathlib.Path, default=os.environ.get("HALPOOL_TUNE_BUILD"), help=argparse.SUPPRESS)
    parser.add_argument("--cmake", default=os.environ.get("HALPOOL_TUNE_CMAKE", "cmake"), help=argparse.SUPPRESS)
    parser.add_argument("--make-program", default=os.environ.get("HALPOOL_TUNE_MAKE_PROGRAM", "ninja"), help=argparse.SUPPRESS)
    parser.add_argument("--cmake-generator", default=os.environ.get("HALPOOL_TUNE_CMAKE_GENERATOR", "Ninja"), help=argparse.SUPPRESS)
    parser.add_argument("--workloads", type=pathlib.Path, default=None, metavar="FILE",
                        help="the problems: in the form of benchmarks/workloads.json (default: its judged ones), or an ONNX model, whose "
                             "pooling nodes they are")
    parser.add_argument("--target", default=None, metavar="NAME", help="a CPU target that this machine runs (default: the best)")
    parser.add_argument("--budget", type=seconds, default=300.0, metavar="SECONDS", help="stop searching after so long (default: 300s)")
    parser.add_argument("--rounds", type=int, default=None, metavar="N", help="at most so many rounds")
    parser.add_argument("--output", type=pathlib.Path, default=None, metavar="FILE", help="the schedules (default: build/tune/<target>.json)")
    parser.add_argument("--effort", choices=EFFORTS, default="measure",
                        help="estimate: by the cost model, without measuring; measure (default); patient: longer measurements of more "
                             "candidates")
    parser.add_argument("--classes", action="store_true",
                        help="search the kernels that everybody gets, on the problems of the file: writes a whole schedules/<target>.json")
    parser.add_argument("--all", action="store_true", help="of the default file all problems, not only the judged ones")
    parser.add_argument("--emit-candidates", type=pathlib.Path, metavar="DIR",
                        help="build the candidates (--rounds of each problem, default 6) as programs into a folder for a device that has no "
                             "compiler, of any CPU target or of CUDA; its run.sh measures them there")
    parser.add_argument("--from-results", type=pathlib.Path, nargs="+", metavar="FILE", help="schedules from what run.sh wrote; with --bundle")
    parser.add_argument("--bundle", type=pathlib.Path, metavar="DIR", help="the folder that --emit-candidates wrote")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which candidates are tried")
    options = parser.parse_args(arguments)
    if options.classes and (options.effort == "estimate" or options.emit_candidates):
        parser.error("--classes measures, on this machine")
    if options.from_results:
        if not (options.bundle and options.output):
            parser.error("--from-results needs --bundle and --output")
        return bundle.from_results(options)
    if not options.build:
        raise TuneFailed("run build/bin/halpool-tune or ./dev tune: the tuner builds with the generator of a build")
    workloads_named = options.workloads is not None
    options.group = "judged" if not (options.workloads or options.all or options.classes) else None
    options.build, options.workloads = options.build.resolve(), (options.workloads or SOURCE / "benchmarks/workloads.json").resolve()
    usable = usable_targets()
    if not (options.target or usable):
        raise TuneFailed("no CPU target runs on this machine: name one, for --effort estimate or --emit-candidates, with --target")
    options.target, options.version = options.target or usable[0], halpool_version()
    known = json.loads((SOURCE / "schedules/targets.json").read_text())["targets"]
    on_device = known.get(options.target, {}).get("device") in bundle.DEVICES and options.emit_candidates
    if options.target not in known or ("device" in known[options.target] and not on_device):
        raise TuneFailed(f"there is no CPU target {options.target}; known: {', '.join(name for name in known if 'device' not in known[name])}"
                         f"; with --emit-candidates also {', '.join(name for name in known if known[name].get('device') in bundle.DEVICES)}")
    if on_device and not workloads_named:
        options.workloads = (SOURCE / "benchmarks/workloads_cuda.json").resolve()
    if options.target not in usable and not (options.effort == "estimate" or options.emit_candidates):
        raise TuneFailed(f"target {options.target} does not run here; these do: {', '.join(usable)}")
    options.output = (options.output or options.build / "tune" / f"{options.target}.json").resolve()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    if options.workloads.suffix == ".onnx":
        model = options.output.with_name(f"{options.workloads.stem}.workloads.json")
        write_whole(model, json.dumps(workloads_of_model(options.workloads), indent=1) + "\n")
        options.workloads = model
    options.round_s = ROUND_S[options.effort]
    options.how = f"./dev tune{' --classes' if options.classes else ''} --target {options.target} --budget {options.budget:.0f}s --effort {options.effort}"
    if options.emit_candidates:
        options.rounds = options.rounds or 6
        if on_device:
            return bundle.emit(options, device_search.problems(options))
        searches = problems(options)
        state = options.build / "tune"
        state.mkdir(parents=True, exist_ok=True)
        options.workloads = chosen_workloads(options, state, searches)
        return bundle.emit(options, searches)
    options.rounds = options.rounds or 1000
    tune(options)


COMMANDS = {"merge": merge_command, "report": report.command}  # search without a word


def main():
    words = sys.argv[1:]
    try:
        if words and words[0] in COMMANDS:
            COMMANDS[words[0]](words[1:])
        else:
            search_command(words)
    except KeyboardInterrupt:
        sys.exit("halpool-tune: interrupted; the same command goes on where it was")
    except (TuneFailed, PeerFailed, kernel_manifest.BadInput, ValueError, OSError) as error:
        sys.exit(f"halpool-tune: {error}")


if __name__ == "__main__":
    main()
