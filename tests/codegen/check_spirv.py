"""Emit every Vulkan kernel of a build once more and hold its SPIR-V against the validator.

Fails when spirv-val refuses a module for Vulkan 1.1, or when one declares a capability beyond Shader and those that its target
requires: the selector asks for no more (schedules/targets.json).
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

CAPABILITIES = {"vk_int8": "Int8", "vk_int16": "Int16", "vk_int64": "Int64", "vk_float64": "Float64"}
FEATURES = "no_runtime-no_bounds_query-no_asserts-user_context"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("kernels", "generator", "work", "spirv-val", "spirv-dis"):
        parser.add_argument("--" + name, required=True)
    arguments = parser.parse_args()

    shutil.rmtree(arguments.work, ignore_errors=True)
    os.makedirs(arguments.work)
    wrong, modules = [], 0
    with open(arguments.kernels, encoding="utf-8") as file:
        kernels = re.findall(r'^  "(.*)"$', file.read(), re.MULTILINE)
    for kernel in kernels:
        function, _, halide_target, device, op, _, parameters = kernel.split("|")
        if device != "vulkan":
            continue
        folder = os.path.join(arguments.work, function)
        os.makedirs(folder)
        # Halide writes one file an entry point, into the working directory.
        subprocess.run([arguments.generator, "-g", op, "-f", function, "-n", function, "-o", ".", "-e", "object",
                        f"target={halide_target}-{FEATURES}", *parameters.split(",")],
                       check=True, cwd=folder, env=dict(os.environ, HL_SPIRV_DUMP_FILE="module.spv"))
        found = sorted(name for name in os.listdir(folder) if name.endswith(".spv"))
        if not found:
            wrong.append(f"{function}: no SPIR-V was emitted")
        for name in found:
            modules += 1
            path = os.path.join(folder, name)
            verdict = subprocess.run([arguments.spirv_val, "--target-env", "vulkan1.1", path], capture_output=True, text=True)
            if verdict.returncode != 0:
                wrong.append(f"{function}: {(verdict.stdout + verdict.stderr).strip()}")
            text = subprocess.run([arguments.spirv_dis, path], check=True, capture_output=True, text=True).stdout
            capabilities = set(re.findall(r"OpCapability (\w+)", text))
            allowed = {"Shader"} | {name for feature, name in CAPABILITIES.items() if feature in halide_target.split("-")}
            if not {"Shader"} <= capabilities <= allowed:
                wrong.append(f"{function}: declares {', '.join(sorted(capabilities))}")
    print(f"{modules} modules checked")
    if wrong or modules == 0:
        sys.exit("\n".join(wrong) or "no Vulkan kernel was found: the check proves nothing")


if __name__ == "__main__":
    main()
