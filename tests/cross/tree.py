"""Scratch builds of halpool: kernels and runtime, no programs, with the generator of the build under test."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

SOURCE, WORK = pathlib.Path(os.environ["SOURCE"]), pathlib.Path(os.environ["WORK"])
DOCUMENT = json.loads((SOURCE / "schedules/targets.json").read_text())
SYSTEMS, TARGETS = DOCUMENT["systems"], DOCUMENT["targets"]
CMAKE = os.environ["CMAKE"]
MACHINE = os.uname().machine
HOST = next(name for name, facts in SYSTEMS.items() if MACHINE in facts["processors"])


def component(target):
    facts = TARGETS[target]
    return facts["device"] if "device" in facts else SYSTEMS[facts["system"]]["component"]


def is_foreign(target):
    return TARGETS[target].get("system", HOST) != HOST


def compiler(target):
    """The C++ compiler that links programs for this target."""
    if not is_foreign(target):
        return os.environ["CXX"]
    system = SYSTEMS[TARGETS[target]["system"]]
    return system["compilers"]["cxx"] if "compilers" in system else system["triple"] + "-g++"


def link_environment(target):
    """The environment in which that compiler links."""
    return {**os.environ, **(SYSTEMS[TARGETS[target]["system"]].get("link_environment", {}) if is_foreign(target) else {})}


def program_options(target):
    """What that compiler needs besides to link a program that the system's emulator runs."""
    options = SYSTEMS[TARGETS[target]["system"]].get("program_options", []) if is_foreign(target) else []
    return [option.replace("{source}", str(SOURCE)) for option in options]


def run(*words, **options):
    print("+", *words, flush=True)
    return subprocess.run([str(word) for word in words], check=True, **options)


# A tree's kernels of this dtype alone, which are few; some targets have none of it.
FEW_KERNELS = "i64"


def has_few_kernels(target):
    return FEW_KERNELS in TARGETS[target].get("only", {}).get("dtypes", [FEW_KERNELS])


def configure(folder, *options, source=SOURCE, fresh=True):
    """fresh: else what CMake found out about the compiler stays, and every option that is not named."""
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    return subprocess.run(
        [CMAKE, "-S", source, "-B", folder, f"-DCMAKE_MAKE_PROGRAM={os.environ['MAKE_PROGRAM']}",
         f"-DPython3_EXECUTABLE={sys.executable}", f"-DHALPOOL_GENERATOR={os.environ['GENERATOR']}", "-DHALPOOL_BUILD_CLI=OFF",
         "-DCMAKE_BUILD_TYPE=Debug", "-DHALPOOL_DTYPES=f32", "-DHALPOOL_OPS=avg_pool2d", "-DHALPOOL_LAYOUTS=nchw",  # the others would take most of the time
         *options], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def build(folder, *options):
    """Configure and compile; `archives` says where the archives then are."""
    configured = configure(folder, *options)
    print(configured.stdout)
    configured.check_returncode()
    run(CMAKE, "--build", folder, stdout=subprocess.DEVNULL)


def tree_of(folder, target):
    """The tree, this one or one in it, that builds the target's archive."""
    return folder / "systems" / component(target) / "build" if is_foreign(target) else folder


def archives(folder, target):
    """The folder of libraries in the tree `folder` that holds the target's archive, once built."""
    return tree_of(folder, target) / "lib"


def symbols(folder, target):
    """The names in all those libraries."""
    if is_foreign(target) and "compilers" in SYSTEMS[TARGETS[target]["system"]]:
        nm = SYSTEMS[TARGETS[target]["system"]]["compilers"]["nm"]  # CMake may have found one that reads other formats
    else:
        nm = re.search("^CMAKE_NM:.*=(.*)$", (tree_of(folder, target) / "CMakeCache.txt").read_text(), re.M)[1]
    found = set()
    for archive in sorted(archives(folder, target).glob("*.a")):
        listed = subprocess.run([nm, "--format=posix", archive], text=True, check=True, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout
        found |= {line.split()[0] for line in listed.splitlines() if line}
    return found
