"""Schedule files: written whole, and merged."""

import contextlib
import json
import os

from common import SOURCE, TuneFailed, kernel_manifest


def schedule_text(document):
    """One kernel a line."""
    head = json.dumps({key: value for key, value in document.items() if key != "kernels"}, indent=2)[:-2]
    kernels = ",\n".join(f"    {json.dumps(family)}: {json.dumps(schedule)}" for family, schedule in document["kernels"].items())
    return f'{head},\n  "kernels": {{\n{kernels}\n  }}\n}}\n'


def write_whole(path, text):
    """The old file or the new one, whenever this is stopped."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise TuneFailed(f"{path} cannot be written: {error.strerror}") from error


def merge(paths, output):
    """One schedule file of several for the same target: of each kernel the schedule that gained most where it was measured."""
    known = json.loads((SOURCE / "schedules/targets.json").read_text())["targets"]
    merged, target, machines = {"provenance": [], "over_default": {}, "kernels": {}}, None, []
    for path in map(str, paths):
        (name, (_, kernels)), = kernel_manifest.read_tuned([path], known).items()
        document = kernel_manifest.read(path)
        target = target or name
        machines.append(document.get("tuned_on", {}))
        if name != target:
            raise TuneFailed(f"{kernel_manifest.line_of(path, 'target')}: schedules for {name}; those of {paths[0]} are for {target}")
        gains = document.get("over_default", {})
        merged["provenance"].append(document.get("provenance"))
        for family, schedule in kernels.items():
            if schedule is not None:
                kernel_manifest.check_parameters(path, family, schedule, kernel_manifest.PARAMETERS["gpu" if "device" in known[name] else "cpu"])
            gain = gains.get(family, 1.0) if isinstance(gains, dict) else None
            if isinstance(gain, bool) or not isinstance(gain, (int, float)):
                raise TuneFailed(f"{kernel_manifest.line_of(path, 'over_default')}: the gain of {family} is not a number")
            if family not in merged["kernels"]:
                merged["kernels"][family], merged["over_default"][family] = schedule, gain
            elif schedule != merged["kernels"][family]:
                before = merged["over_default"][family]
                print(f"{family}: {json.dumps(schedule)} of {path} gains {gain:g}, {json.dumps(merged['kernels'][family])} {before:g}: "
                      f"{'the first' if gain > before else 'the second'} is taken")
                if gain > before:
                    merged["kernels"][family], merged["over_default"][family] = schedule, gain
    # What all of them were tuned on, and no more.
    tuned_on = {key: value for key, value in machines[0].items() if all(machine.get(key) == value for machine in machines)}
    write_whole(output, schedule_text({"target": target, "tuned_on": tuned_on, **merged}))
