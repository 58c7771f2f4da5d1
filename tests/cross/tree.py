"""Scratch builds of halpool: kernels and runtime, no programs, with the generator of the build under test."""
import json
import os
import pathlib
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
    return f"{SYSTEMS[TARGETS[target]['system']]['triple']}-g++" if is_foreign(target) else os.environ["CXX"]


def run(*words, **options):
    print("+", *words, flush=True)
    return subprocess.run([str(word) for word in words], check=True, **options)


def configure(folder, *options, source=SOURCE):
    shutil.rmtree(folder, ignore_errors=True)
    return subprocess.run(
        [CMAKE, "-S", source, "-B", folder, f"-DCMAKE_MAKE_PROGRAM={os.environ['MAKE_PROGRAM']}",
         f"-DPython3_EXECUTABLE={sys.executable}", f"-DHALPOOL_GENERATOR={os.environ['GENERATOR']}", "-DHALPOOL_BUILD_CLI=OFF",
         "-DCMAKE_BUILD_TYPE=Debug", *options], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def build(folder, *options):
    """Configure and compile; `archives` says where the archives then are."""
    configured = configure(folder, *options)
    print(configured.stdout)
    configured.check_returncode()
    run(CMAKE, "--build", folder, stdout=subprocess.DEVNULL)


def archives(folder, target):
    """The folder of libraries in the tree `folder` that holds the target's archive, once built."""
    return folder / "systems" / component(target) / "build/lib" if is_foreign(target) else folder / "lib"
