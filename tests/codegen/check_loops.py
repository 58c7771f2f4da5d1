#!/usr/bin/env python3
"""Checks the inner loops of every kernel of a CPU target, as llvm-objdump shows them.

    check_loops.py --target NAME --kernels DIRECTORY --objdump LLVM-OBJDUMP --filecheck FILECHECK
    check_loops.py ... --show KERNEL      # prints its loops, and what FileCheck gets to see: nchw_3x3s1

DIRECTORY holds the target's kernel objects. What counts are the innermost loops that add packed floats in vectors of the
target's width: narrower ones are for boxes and channels below a full vector. A kernel has many: one for each of its
variants.

Every kernel must have such loops, two of them clean: without masks, branches and spills. None of them may gather, call,
load the lanes of a vector one by one, or divide: windows known at run time may, once an output. The steady loop, that of
the largest tile without masks, must have no branch inside and spill no vector; where <layout>_<window>.check lies beside
this file, FileCheck compares the steady loop's text with it. Vectors are stored past the caches where the kernel's name
says so, and nowhere else. All of that is asked of the forward pass of f32. Of the backward pass, and of other floats, kernels for
fixed windows must have loops that add or multiply vectors of the target's width, on AVX-512 of half, and none of these may
gather, call or divide. A new kernel needs no line here; what a kernel cannot meet
is in EXCEPTIONS, with the reason. Exit code 1: a kernel is not as it must be.
"""
import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from object_loops import X86, Arm64, loops_of


@dataclass
class Target:
    machine: type
    width: int  # of its vectors, in bytes
    prefixes: str  # FileCheck's


TARGETS = {
    "x86-64-sse41": Target(X86, 16, "CHECK,X86,SSE"),
    "x86-64-avx2": Target(X86, 32, "CHECK,X86,AVX,AVX2"),
    "x86-64-avx512": Target(X86, 64, "CHECK,X86,AVX,AVX512"),
    "arm-64-neon": Target(Arm64, 16, "CHECK,NEON"),
    "arm-64-neon-fp16": Target(Arm64, 16, "CHECK,NEON"),
}

WIDTH, LANES, STEADY_LANES, STEADY_SPILLS, CLEAN, MASKED, NO_LOOP = (
    "width", "lanes loaded one by one", "lanes loaded one by one in the steady loop", "spills in the steady loop", "clean loops",
    "all loops masked", "no inner loop of full width")


@dataclass
class Excepted:
    """Kernels (layout_window) and targets are patterns of whole names."""
    rule: str
    kernels: str
    targets: str
    limit: int  # bytes of a vector; lanes loaded one by one in a loop; spills in the steady loop; least number of clean loops
    why: str
    loops: int = 1  # so many may be so


EXCEPTIONS = [
    Excepted(WIDTH, "nchw_a32_streaming_.*", "x86-64-avx512", 32, "vectors stay aligned in rows that are multiples of 32 bytes"),
    Excepted(WIDTH, "nchw_(a64_streaming_)?2x2s2|nchw_blocks[23457]|nhwc_c3_.*", "x86-64-avx512", 32, "its schedule, chosen by measuring, has 8 lanes"),
    Excepted(WIDTH, "nchw_global", "x86-64-avx512", 32, "its schedule, chosen by measuring, has 8 lanes"),
    Excepted(LANES, "nchw_generic", "x86-64-sse41|arm-64-neon.*", 4,
               "strides other than 1 and 2 are known at run time alone: their columns are loaded one by one", loops=3),
    Excepted(LANES, "nchw_lines", "x86-64-avx2|x86-64-sse41|arm-64-neon.*", 16, "strides above 2: the sums of a row are picked one by one", loops=4),
    Excepted(LANES, "nchw_(3x3|5x5)s1", "x86-64-sse41|arm-64-neon.*", 26,
               "narrow boxes whose taps may lie outside: without masked loads each lane is tested and loaded by itself",
               loops=6),
    Excepted(LANES, "nhwc_c3_[23]x[23]s[12]", "x86-64-sse41|arm-64-neon.*", 81,
               "every third float of a row: LLVM finds no shuffles for 4 lanes; the last variant tests each lane", loops=6),
    Excepted(STEADY_LANES, "nhwc_c3_[23]x[23]s2", "x86-64-sse41|arm-64-neon.*", 81,
               "every sixth float of a row: LLVM finds no shuffles for 4 lanes"),
    Excepted(STEADY_SPILLS, "nhwc_3x3s1", "arm-64-neon.*", 1, "four vectors of two rows, whose sums of two columns are half of 32 registers"),
    Excepted(STEADY_SPILLS, "nhwc_a64_streaming_3x3s1", "x86-64-avx2", 15,
             "4 rows of 2 vectors: memory is read less often, which is faster than a tile that fits the registers"),
    Excepted(WIDTH, "nchw_5x5s3", "x86-64-avx2", 16, "its schedule, chosen by measuring, has 4 lanes"),
    Excepted(LANES, "nchw_(2x2s1|3x3s2|4x4s2|5x5s[23])", "x86-64-sse41|arm-64-neon.*", 49,
             "narrow boxes whose taps may lie outside: without masked loads each lane is tested and loaded by itself", loops=12),
    # Carried: the columns of the rows that two windows share.
    Excepted(STEADY_SPILLS, "nchw_(3x3|4x4|5x5)s[23]", "x86-64-avx2|x86-64-sse41", 36, "two vectors, chosen by measuring, whose columns 16 registers do not hold"),
    Excepted(STEADY_SPILLS, "nchw_(4x4|5x5)s2", "x86-64-avx512|arm-64-neon.*", 6, "two vectors, whose columns 32 registers hardly hold"),
    Excepted(STEADY_SPILLS, "nchw_a64_streaming_3x3s1", "x86-64-avx2", 20, "8 vectors a row, chosen by measuring: memory is read in longer runs, which is worth more than what spills"),
    Excepted(STEADY_SPILLS, "nchw_a32_streaming_3x3s2", "x86-64-avx2", 36, "whole rows: memory is read in order, which is worth more than what spills"),
    Excepted(CLEAN, "nchw_5x5s[23]", "x86-64-avx2|x86-64-sse41", 0, "the same"),
    Excepted(CLEAN, "nchw_5x5s1", "x86-64-avx2", 1, "strips of one vector, chosen by measuring: one loop takes them"),
    # Larger tiles than the registers hold, chosen by measuring: memory is read in longer runs, which is worth more than what spills.
    Excepted(STEADY_SPILLS, "nhwc_a64_streaming_3x3s2", "x86-64-avx2", 52, "4 rows of 8 vectors"),
    Excepted(STEADY_SPILLS, "nhwc_a64_streaming_2x2s2", "x86-64-sse41", 58, "4 rows of 8 vectors"),
    Excepted(STEADY_SPILLS, "nchw_blocks", "x86-64-sse41", 50, "32 vectors of sums in 16 registers"),
    Excepted(LANES, "nchw_blocks", "x86-64-sse41", 16, "columns that are a window apart are loaded one by one, 16 outputs at a time", loops=2),
    Excepted(STEADY_SPILLS, "nhwc_c3_(a64_streaming_)?2x2s2", "x86-64-avx2", 5, "its shuffles need more than 16 registers"),
    Excepted(STEADY_SPILLS, "nhwc_c3_3x3s2", "x86-64-sse41|x86-64-avx2", 18, "its shuffles need more than 16 registers"),
    Excepted(WIDTH, "nchw_7x7p1_3x3s1", "x86-64-avx.*", 16, "a plane of 7 columns: two vectors of 4 that overlap"),
    Excepted(WIDTH, "nchw_14x14p1_3x3s1", "x86-64-avx512", 32, "a plane of 14 columns: two vectors of 8 that overlap"),
    Excepted(MASKED, "nhwc_c3_2x2s2", "x86-64-avx512", 0, "vectors of 16, chosen by measuring: its shuffles are merged under masks"),
    Excepted(MASKED, "nchw_(7x7|14x14)p1_3x3s1", "x86-64-avx.*", 0, "the padding is part of every plane"),
    Excepted(CLEAN, "nchw_(7x7|14x14)p1_3x3s1", ".*", 0,
             "a plane is straight code, a loop takes the next: one for each kind of divisor"),
    Excepted(LANES, "nchw_(7x7|14x14)p1_3x3s1", "x86-64-sse41|arm-64-neon.*", 200,
             "without masked loads the lanes at the border are loaded one by one", loops=3),
    Excepted(STEADY_LANES, "nchw_14x14p1_3x3s1", "x86-64-sse41|arm-64-neon.*", 200,
             "without masked loads the lanes at the border are loaded one by one"),
    Excepted(STEADY_SPILLS, "nchw_14x14p1_3x3s1", "x86-64-sse41|arm-64-neon.*", 42,
             "four vectors a row of a plane of 14 columns"),
    Excepted(LANES, "nchw_(a\\d+_streaming_)?2x2s2", "x86-64-sse41", 5, "padded or narrow boxes", loops=4),
    Excepted(LANES, "(nchw|nhwc_c3)_blocks", ".*", 8, "columns that are a window apart are loaded one by one", loops=2),
    Excepted(LANES, "nchw_large", ".*", 16, "strides above 1: sums are picked one by one out of the row of sums; what tells that rows lie beside the input", loops=4),
    Excepted(STEADY_SPILLS, "nhwc_large", "x86-64-sse41", 16, "strips of two vectors, of whose 8 sums 16 registers hold no more"),
    Excepted(CLEAN, "nhwc_c3_.*", ".*", 0, "what is above leaves few"),
]

# Windows that overlap along planar rows and move by more than a column: whole vectors of the input, masked at both ends of a row.
DENSE = re.compile(r"nchw_(a\d+_streaming_)?\d+x(?P<kernel>\d+)s(?P<stride>[2-9])$")

# Not in any loop of full width; of lanes, fewer than a vector has: such as a factor that is then the same in all.
FIXED = re.compile(r"_\d+x\d+s\d+(x\d+)?$")
FORBIDDEN = {"gather": "gathers", "call": "calls", "divides": "divisions"}


class Kernel:
    def __init__(self, path, target_name, objdump):
        found = re.fullmatch(r"halpool_avg_pool2d_((backward_)?(f32_f16|f32_bf16|[iu]8_f32|f32|f64|f16|bf16))_(\w+)_" + re.sub(r"\W", "_", target_name), path.stem)
        self.measured = found[1] == "f32"  # its schedule was
        self.name = found[4] if self.measured else f"{found[1]}_{found[4]}"
        self.target_name, self.wrong, self.excused = target_name, [], []
        target = TARGETS[target_name]
        self.width = self.limit(WIDTH, target.width)
        self.loops = [loop for loop in loops_of(path, objdump, target.machine) if loop.width >= self.width]
        if not self.measured:  # 16-bit floats are stored in half of the vector that they are added in
            self.width = min(target.width, 32)
            self.loops = [loop for loop in loops_of(path, objdump, target.machine)
                          if loop.count("add", width=self.width) + loop.count("multiply", width=self.width)]
        dense = DENSE.match(self.name)
        self.may_mask = bool(dense) and int(dense["kernel"]) > int(dense["stride"]) and "AVX" in target.prefixes
        # The loop that stores most in an iteration or, where sums stay in registers, adds most; the shortest of such.
        straight = [loop for loop in self.loops if loop.straight and not self.masks(loop)]
        self.steady = max(straight, default=None,
                          key=lambda loop: (loop.outputs, loop.count("add"), -len(loop.instructions)))

    def masks(self, loop):
        return 0 if self.may_mask else loop.count("masked")

    def exception(self, rule):
        return next((each for each in EXCEPTIONS if each.rule == rule and re.fullmatch(each.kernels, self.name) and
                     re.fullmatch(each.targets, self.target_name)), None)

    def limit(self, rule, usual):
        excepted = self.exception(rule)
        return excepted.limit if excepted else usual

    def within(self, rule, loops, count, usual):
        """No more than usual in each of the loops, or what an exception allows."""
        beyond = [loop for loop in loops if count(loop) > usual]
        excepted = self.exception(rule)
        for loop in beyond:
            if count(loop) > (excepted.limit if excepted else usual):
                self.wrong.append(f"{rule}: {count(loop)} in{describe(loop)}")
        if excepted and len(beyond) > excepted.loops:
            self.wrong.append(f"{rule}: in {len(beyond)} loops, where {excepted.loops} are excepted")
        if beyond:
            self.excused.append(rule)

    def check(self):
        if not self.loops:
            if self.exception(NO_LOOP):
                self.excused.append(NO_LOOP)
            else:
                self.wrong.append(f"no inner loop adds vectors of {self.width} bytes")
            return
        if not self.measured:
            self.forbid()
            return
        if self.width < TARGETS[self.target_name].width:
            self.excused.append(WIDTH)
        lanes = self.width // 4
        clean = sum(loop.straight and not self.masks(loop) and not loop.spills and loop.count("element") < lanes
                    for loop in self.loops)
        if clean < self.limit(CLEAN, 2):
            self.wrong.append(f"{CLEAN}: {clean}, where {self.limit(CLEAN, 2)} are the least")
        elif clean < 2:
            self.excused.append(CLEAN)
        self.forbid()
        others = [loop for loop in self.loops if loop is not self.steady]
        self.within(LANES, others, lambda loop: loop.count("element"), lanes - 1)
        if self.steady is None and self.exception(MASKED):
            self.excused.append(MASKED)
        elif self.steady is None:
            self.wrong.append("every loop of full width has branches or masks")
        else:
            self.within(STEADY_LANES, [self.steady], lambda loop: loop.count("element"), lanes - 1)
            self.within(STEADY_SPILLS, [self.steady], lambda loop: loop.spills, 0)
        streams = "_streaming_" in self.name
        for loop in self.loops:
            for each in loop.instructions:
                whole = each.store and not each.stack and each.width == self.width and re.fullmatch(r"v?mov(nt|u|a)p[sd]", each.opcode)
                if whole and ("movnt" in each.opcode) != streams:
                    self.wrong.append(f"{each.opcode} in{describe(loop)}")

    def forbid(self):
        for loop in self.loops:
            for fact, name in FORBIDDEN.items():
                # Windows known at run time divide once an output; fixed ones multiply by a reciprocal.
                usual = loop.outputs // self.width if fact == "divides" and not FIXED.search(self.name) else 0
                if loop.count(fact) > usual:
                    self.wrong.append(f"{name} in{describe(loop)}")

    def text(self):
        """What FileCheck sees: what a vector of output costs, and the steady loop."""
        loop, vectors = self.steady, self.steady.outputs / self.width
        if not vectors:
            return loop.text()
        return (f"a vector of output: reads {loop.inputs / loop.outputs:g}, adds {loop.count('add') / vectors:g}, "
                f"multiplies {loop.count('multiply') / vectors:g}, shuffles {loop.count('shuffle') / vectors:g}\n{loop.text()}")

    def compare(self, filecheck):
        pattern = Path(__file__).with_name(self.name + ".check")
        if not pattern.exists() or self.steady is None:
            return False
        done = subprocess.run([filecheck, str(pattern), f"--check-prefixes={TARGETS[self.target_name].prefixes}",
                               "--allow-unused-prefixes", "--dump-input=never"], input=self.text() + "\n", text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            self.wrong.append(f"the steady loop is not as {pattern.name} says:\n{done.stdout}{self.text()}")
        return True


def describe(loop):
    counts = {"adds": "add", "multiplies": "multiply", "shuffles": "shuffle", "copies": "copy", "masked": "masked",
              "lanes one by one": "element"} | {name: fact for fact, name in FORBIDDEN.items()}
    found = {name: loop.count(fact) for name, fact in counts.items()} | {"spills": loop.spills}
    return (f" {len(loop.instructions)} instructions{'' if loop.straight else ' with branches'} that load {loop.inputs} and "
            f"store {loop.outputs} bytes: " + ", ".join(f"{count} {name}" for name, count in found.items() if count))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, choices=TARGETS)
    parser.add_argument("--kernels", required=True, type=Path)
    parser.add_argument("--objdump", required=True)
    parser.add_argument("--filecheck", required=True)
    parser.add_argument("--show", metavar="KERNEL")
    arguments = parser.parse_args()

    # Objects of an earlier build may still lie there.
    built = (arguments.kernels.parent / "kernels.cmake").read_text()
    paths = sorted(path for path in arguments.kernels.glob("*.o") if f'"{path.stem}|' in built)
    # Integers, and windows known at run time of what is not measured, are not looked at.
    paths = [path for path in paths if "_avg_pool2d_f32_n" in path.stem or re.search(r"_(f32|f64|f16|bf16)_nc?h\w+_\d+x\d+s\d", path.stem)]
    if not paths:
        sys.exit(f"check_loops: {arguments.kernels} has no kernel objects")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        kernels = list(pool.map(lambda path: Kernel(path, arguments.target, arguments.objdump), paths))

    if arguments.show:
        for kernel in kernels:
            if kernel.name == arguments.show:
                print("\n".join(describe(loop) for loop in kernel.loops))
                print(kernel.text() if kernel.steady else "no steady loop")
        return 0

    compared, used = 0, []
    for kernel in kernels:
        kernel.check()
        compared += kernel.compare(arguments.filecheck)
        print(f"{kernel.name}: {len(kernel.loops)} loops, {sum(loop.spills > 0 for loop in kernel.loops)} of them spill; "
              f"steady:{describe(kernel.steady) if kernel.steady else ' none'}")
        for rule in dict.fromkeys(kernel.excused):
            if kernel.exception(rule):
                used.append(kernel.exception(rule))
                print(f"    excepted: {rule}: {used[-1].why}")
    for kernel in kernels:
        for line in dict.fromkeys(kernel.wrong):
            print(f"WRONG: {kernel.name}: {line}")
    for each in EXCEPTIONS:
        if re.fullmatch(each.targets, arguments.target) and each not in used:
            print(f"no kernel needs this exception any more: {each.rule}, {each.kernels}")
    print(f"{len(kernels)} kernels, {sum(len(kernel.loops) for kernel in kernels)} loops; {compared} compared by FileCheck")
    return 1 if any(kernel.wrong for kernel in kernels) else 0


if __name__ == "__main__":
    sys.exit(main())
