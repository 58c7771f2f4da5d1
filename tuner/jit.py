"""Candidates that are compiled in the processes that measure them: peer_halpool_jit.cpp."""

import os
import sys

from common import SOURCE, kernel_manifest
from peer_process import PeerFailed, PeerProcess
from schedule_file import write_whole


MOST_WORKERS = 8  # each has a compiler in memory


class Jit:
    """A process for each core: they compile side by side, and stand still while one of them is measured."""

    def __init__(self, program, target, state):
        document = kernel_manifest.read_targets(str(SOURCE / "schedules"))
        self.program, self.target, self.state = program, target, state
        self.facts = document["targets"][target]
        features = kernel_manifest.halide_target(document, self.facts["system"], self.facts)
        self.halide_target = f"{features}-{kernel_manifest.KERNEL_FEATURES}"
        self.workers = [None] * min(MOST_WORKERS, len(os.sched_getaffinity(0)))

    def compile(self, candidates):
        """{family: the process that has its kernel, or None where it cannot be compiled} of at most as many candidates, (search,
        schedule) each, as there are processes. What one had before is forgotten."""
        asked, found = [], {}
        for i, (search, schedule) in enumerate(candidates):
            self.workers[i] = self.workers[i] or PeerProcess(self.program.name, [str(self.program), self.target, "--threads", "1", "--target", self.target], {})
            path = self.state / f"candidate{i}.kernels"
            kernel, = kernel_manifest.workload_kernels(self.target, self.facts, [search.workload], {}, {search.family: str(path)}, {search.family: schedule})
            write_whole(path, kernel_manifest.jit_line(kernel, self.halide_target))
            asked.append((i, search, schedule, f"kernels {path}"))
            self.workers[i].begin(asked[-1][-1])
        for i, search, schedule, line in asked:
            try:
                self.workers[i].finish(line)
                found[search.family] = self.workers[i]
            except PeerFailed as error:
                print(f"halpool-tune: {search.family}: {schedule} cannot be compiled: {error}", file=sys.stderr)
                self.workers[i].stop()
                self.workers[i], found[search.family] = None, None
        return found

    def stop(self):
        for worker in filter(None, self.workers):
            worker.stop()


def jit_of(options, state):
    """Of the build that the tuner belongs to; None where it has no such program (tuner/CMakeLists.txt): candidates are then linked."""
    program = options.build / "bin/peer_halpool_jit"
    return Jit(program, options.target, state) if program.exists() else None
