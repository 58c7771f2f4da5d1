#!/usr/bin/env python3
"""Writes docs/support.md: which operator, dtype and layout each target has kernels for, and which of these passed their tests.

    HALPOOL_TEST_TARGETS=all ./dev test && python3 tests/support_table.py --build build > docs/support.md

From the lists of kernels that the builds made of schedules/ (kernels.cmake), and from the results that ctest left
(test-results.xml in each): each kernel, forced, on all of PyTorch's cases. A target of another processor has one test for all
its kernels, under its first emulator.
"""
import argparse
import json
import re
import sys
import xml.etree.ElementTree
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
OPS = {"avg_pool2d": "GoldenCases", "avg_pool2d_backward": "BackwardGoldenCases"}


def kernels_of(folder):
    """{target: [function]} of a build folder."""
    found = {}
    for function, target in re.findall(r'^  "(\w+)\|([\w.-]+)\|', (folder / "kernels/kernels.cmake").read_text(), re.M):
        found.setdefault(target, []).append(function)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, nargs="+", required=True, help="one, or several of different targets")
    builds = parser.parse_args().build
    document = json.loads((SOURCE / "schedules/targets.json").read_text())
    dtypes = list(json.loads((SOURCE / "schedules/dtypes.json").read_text()))
    passed, kernels = set(), {}
    for build in builds:
        cases = xml.etree.ElementTree.parse(build / "test-results.xml").iter("testcase")
        passed |= {case.get("name") for case in cases if case.get("status") == "run"}
        for folder in (build, *sorted(build.glob("systems/*/build"))):
            kernels.update(kernels_of(folder))
    for target, facts in document["targets"].items():  # whose kernels are mostly another's
        same = facts.get("same_kernels")
        if same and target in kernels:
            ending = lambda name: re.sub(r"\W", "_", name)
            of_other = [each for each in kernels[same["as"]] if not re.search(f"_({'|'.join(same['but'])})_nc?h", each)]
            kernels[target] += [each.removesuffix(ending(same["as"])) + ending(target) for each in of_other]

    def test_of(target, op, function):
        """The test that forces this kernel."""
        facts = document["targets"][target]
        system = document["systems"][facts["system"]] if "system" in facts else None
        emulated = next((name for name in passed if system and re.match(rf"{system['component']}\.{OPS[op]}_On_", name)), None)
        if emulated:
            return emulated
        where = {"cuda": "Cuda", "vulkan": "Vulkan"}.get(facts.get("device"), "Cpu")
        return f"conformance.{where}/{OPS[op]}.AgreeWithPyTorchOnThisKernelInEveryMemoryFormat/{function.removeprefix('halpool_')}"

    print("# What is supported, and what tested it\n")
    print("Written by `tests/support_table.py` from a build of all targets and its test results; not to be edited. A cell is the number of kernels that\n"
          "passed PyTorch's cases, each forced; `of` so many where not all could run there. Every other problem, and any strides, are the portable\n"
          "kernel's, on the CPU: `portable`. A kernel for windows of both layouts (`lines`) counts once.\n")
    print("| target | operator | memory | " + " | ".join(dtypes) + " | test |\n|---|---|---|" + "---|" * (len(dtypes) + 1))
    reference = "conformance.Cpu/{}.AgreeWithPyTorchOnThisKernelInEveryMemoryFormat/{}_{}_reference"
    for target in document["targets"]:
        for op in OPS:
            for layout in ("nchw", "nhwc"):
                cells, tests = [], set()
                for dtype in dtypes:
                    functions = [each for each in kernels.get(target, ()) if re.match(rf"halpool_{op}_{dtype}_{layout}_", each)]
                    ran = [each for each in functions if test_of(target, op, each) in passed]
                    tests.update(test_of(target, op, each).split("/")[0] for each in functions)
                    cells.append("" if not functions else str(len(ran)) if len(ran) == len(functions) else f"{len(ran)} of {len(functions)}")
                if any(cells):
                    print(f"| {target} | {op} | {layout.upper()} | " + " | ".join(cells) + f" | `{', '.join(sorted(tests))}` |")
    for op, suite in OPS.items():
        becomes_another = lambda dtype: dtype.startswith("q") or "_" in dtype  # of the forward pass alone
        cells = ["" if becomes_another(dtype) and op != "avg_pool2d" else "1" if reference.format(suite, op, dtype) in passed else "0 of 1" for dtype in dtypes]
        print(f"| portable | {op} | any | " + " | ".join(cells) + f" | `conformance.Cpu/{suite}` |")
    print("\nWindows of stride 1 with one divisor need no kernel of the backward pass, nor do planar ones of float32 and float64: those of the forward\n"
          "pass compute them, which `BackwardGoldenCases`, `property.*Backward*` and `property.*SpreadGradients*` force as well. Random problems against an oracle, of every dtype: `property.*RandomProblems*`.\n"
          "All 65,536 words of float16 and bfloat16, both ways: `conformance.*HalfConversions*`, under qemu on SSE4.1 and ARM as well.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
