#!/usr/bin/env python3
"""Searches schedules for your own problems on this machine: build/bin/halpool-tune, or ./dev tune.

Each round builds, the way a user's build does, one candidate for every problem and layout: a library whose kernels for
these problems are the candidates. It is measured against the best so far, in turns; who is faster in two independent
measurements takes its place. In the end every winner is measured against the kernel that the problem gets without it.
What was measured is kept: an interrupted search goes on where it was.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

from common import SOURCE, TuneFailed, kernel_manifest
from peer_process import PeerFailed
from schedule_file import merge
from search import tune


def seconds(text):
    value = float(text[:-1] if text.endswith("s") else text)
    if not 0 < value < 1e6:
        raise ValueError
    return value


def merge_command(arguments):
    parser = argparse.ArgumentParser(prog="halpool-tune merge", description="Writes one schedule file of several for one target: of each kernel what gains most.")
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
    parser.add_argument("--workloads", type=pathlib.Path, default=SOURCE / "benchmarks/workloads.json", metavar="FILE",
                        help="the problems, in the form of benchmarks/workloads.json (default)")
    parser.add_argument("--target", default=None, metavar="NAME", help="a CPU target that this machine runs (default: the best)")
    parser.add_argument("--budget", type=seconds, default=300.0, metavar="SECONDS", help="stop searching after so long (default: 300s)")
    parser.add_argument("--rounds", type=int, default=1000, metavar="N", help="at most so many rounds")
    parser.add_argument("--output", type=pathlib.Path, default=None, metavar="FILE", help="the schedules (default: build/tune/<target>.json)")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which candidates are tried")
    options = parser.parse_args(arguments)
    if not options.build:
        raise TuneFailed("run build/bin/halpool-tune or ./dev tune: the tuner builds with the generator of a build")
    options.build, options.workloads = options.build.resolve(), options.workloads.resolve()
    information = json.loads(subprocess.run([str(options.build / "bin/halpool"), "info", "--json"], check=True, text=True,
                                            stdout=subprocess.PIPE).stdout)
    usable = [target["name"] for target in information["targets"] if target["device"] == "cpu" and target["available"] and target["name"] != "any"]
    options.target, options.version = options.target or usable[0], information["version"]
    if options.target not in usable:
        raise TuneFailed(f"target {options.target} does not run here; these do: {', '.join(usable)}")
    options.output = (options.output or options.build / "tune" / f"{options.target}.json").resolve()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    tune(options)


COMMANDS = {"merge": merge_command}  # search without a word


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
