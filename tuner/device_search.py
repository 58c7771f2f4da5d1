"""The schedules that are tried for a GPU's kernels: of those that everybody gets, the ones that the problems take."""

import json

from common import SOURCE, TuneFailed, kernel_manifest
from workload import read_workloads


class DeviceSearch:
    """Of one kernel: the largest problem that takes it, its present schedule, and those that are tried."""

    def __init__(self, family, kernel, problem, schedule):
        self.family, self.problem, self.present = family, problem, schedule
        self.layout = kernel["layout"]
        self.untried = neighbours(schedule, kernel.get("alignment", 0))


def neighbours(schedule, alignment):
    """Schedules that differ from it in one parameter, by twice and four times either way, the nearest first. alignment: bytes that
    rows, or pixels, are multiples of, or 0: then they have no vectors."""
    found = []
    for factor in (2, 4):
        for name, value in schedule.items():
            for other in (value * factor, value // factor):
                wide = name == "vector" and other > 1 and (not alignment or alignment % (4 * other))
                if other in kernel_manifest.PARAMETERS["gpu"][name] and not wide:
                    found.append({**schedule, name: other})
    return found


def takes(kernel, problem):
    """Whether the kernel is for the problem: what runtime/kernel_selector.cpp says of devices."""
    kernel_h, kernel_w, stride_h, stride_w = kernel["extents"]
    window, alignment = kernel["window_class"], kernel["parameters"].get("alignment", 1)
    if window == "fixed" and (problem.kernel != [kernel_h, kernel_w] or problem.stride != [stride_h, stride_w]):
        return False
    if window == "global" and (problem.kernel != problem.input[2:] or any(problem.pad) or problem.output[2:] != [1, 1]):
        return False
    if window == "separable" and (problem.kernel[0] > kernel_h or problem.kernel[1] > kernel_w or problem.stride[1] > stride_w):
        return False
    if problem.kernel[0] * problem.kernel[1] < kernel.get("min_taps", 0):
        return False
    aligned = [problem.input[1]] if kernel["layout"] == "nhwc" else [problem.input[3], problem.output[3]]
    return all(extent % alignment == 0 for extent in aligned)


def problems(options):
    """A search for each kernel of options.target that is the first that takes a problem of options.workloads."""
    schedules = SOURCE / "schedules"
    facts = json.loads((schedules / "targets.json").read_text(encoding="utf-8"))["targets"][options.target]
    present = kernel_manifest.read(str(schedules / f"{facts.get('schedule', options.target)}.json"))["kernels"]
    kernels = kernel_manifest.kernels_of(options.target, facts, str(schedules), {}, dtypes=["f32"], ops=["avg_pool2d"])
    kernel_manifest.read_workloads(str(schedules), str(options.workloads))  # refuses a wrong file with the line and what is allowed
    layouts, entries = read_workloads(options.workloads)
    largest = {}
    for problem in entries:
        for layout in layouts:
            kernel = next((kernel for kernel in kernels if kernel["layout"] == layout and takes(kernel, problem)), None)
            family = kernel and kernel["name"].removesuffix(f"_{options.target}")
            if kernel and (family not in largest or problem.bytes() > largest[family][1].bytes()):
                largest[family] = (kernel, problem)
    found = [DeviceSearch(family, kernel, problem, present[family]) for family, (kernel, problem) in largest.items()]
    if not found:
        raise TuneFailed(f"{options.workloads} has no problem that a kernel of {options.target} takes")
    return found
