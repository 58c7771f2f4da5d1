"""What the tuner's modules share: where the repository is, and its failure."""

import pathlib
import platform
import re
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent
# Of the two report.py, the tuner's.
sys.path[:0] = [str(SOURCE / folder) for folder in ("tuner", "cmake", "benchmarks")]
import device_identity  # noqa: E402,F401
import kernel_manifest  # noqa: E402,F401  the names and limits of schedules


class TuneFailed(Exception):
    """Why nothing can be tuned, for the user to read."""


def read_json(path):
    """kernel_manifest.read, whose refusals are ours."""
    try:
        return kernel_manifest.read(str(path))
    except kernel_manifest.BadInput as error:
        raise TuneFailed(str(error)) from error
    except (ValueError, RecursionError) as error:  # not UTF-8; a number of thousands of digits; brackets without end
        raise TuneFailed(f"{path}: not JSON that can be read: {error}") from error


def usable_targets(machine=platform.machine(), cpuinfo=pathlib.Path("/proc/cpuinfo")):
    """The CPU targets that a machine runs, the best first: what the library finds, known before there is one."""
    document = read_json(SOURCE / "schedules/targets.json")
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    features = device_identity.features_of_cpuinfo(text)
    own = {name for name, system in document["systems"].items() if machine in system["processors"]}
    # A system that names no features there has the last word when a candidate is run.
    found = [(-facts["preference"], name) for name, facts in document["targets"].items()
             if facts.get("system") in own and (not features or set(facts["requires"]) <= features)]
    return [name for _, name in sorted(found)]


def halpool_version():
    header = (SOURCE / "include/halpool/halpool.h").read_text(encoding="utf-8")
    return ".".join(re.search(rf"^#define HALPOOL_VERSION_{part} (\d+)$", header, re.M)[1] for part in ("MAJOR", "MINOR", "PATCH"))


def halide_version():
    """The pinned one."""
    return re.search(r"^halide==(\S+)", (SOURCE / "dev-requirements.txt").read_text(encoding="utf-8"), re.M)[1]


def configure_command(options, tree, schedules, workloads, layouts, *more):
    """Of a tree whose kernels for `workloads`, or everybody's, have these schedules; kernels of other layouts are not in it."""
    return [options.cmake, "-S", SOURCE, "-B", tree, "-G", options.cmake_generator, f"-DCMAKE_MAKE_PROGRAM={options.make_program}",
            f"-DPython3_EXECUTABLE={sys.executable}", f"-DHALPOOL_GENERATOR={options.build / 'bin/halpool_generator'}",
            f"-DHALPOOL_TARGETS={options.target}", f"-DHALPOOL_WORKLOADS={workloads}", f"-DHALPOOL_SCHEDULES={schedules}",
            "-DHALPOOL_DTYPES=f32", "-DHALPOOL_OPS=avg_pool2d", f"-DHALPOOL_LAYOUTS={';'.join(sorted(layouts))}",  # what is tuned
            "-DHALPOOL_BUILD_BENCHMARKS=ON", "-DHALPOOL_BUILD_CLI=OFF", *more]
