#!/usr/bin/env python3
"""Turn schedules/ into what the build needs: a list of kernels to emit and the constant tables that register them.

    kernel_manifest.py --schedules DIR --out DIR --processor NAME [--targets NAME[,NAME...]] [--dtypes NAME[,NAME...]]
                       [--layouts NAME[,NAME...]] [--ops NAME[,NAME...]]
                       [--workloads FILE] [--tuned FILE[,FILE...]] [--tuned-for device=D,architecture=A,vendor=V]

A name is a target's or a component's, which stands for all its targets, or "all", or "native": all of this processor's
kind, which is what no name means as well. --dtypes, --layouts, --ops: kernels for these alone; no name means all. --workloads: problems (workloads.schema.json) that get kernels of their own, on CPU
targets; --tuned: schedules of a user's own, for those and in place of schedules/<target>.json's: of
several for one target, those tuned on the machine nearest to --tuned-for (default: this one).
Writes to OUT: kernels.cmake (one entry a kernel), table_<target>.cpp, registry_<component>.cpp, absent_<component>.cpp,
components.cpp. What is for other processors it only lists: each such system has a build of its own. A file is rewritten
only when its text changes, so that touching one schedule rebuilds only what depends on it. Exit status 2 and one line on
stderr when schedules/ or the arguments are wrong.
"""
import argparse
import json
import os
import re
import sys

import device_identity

PARAMETERS = {
    "cpu": {"vector": (1, 2, 4, 8, 16, 32), "wide_vector": (4, 8, 16, 32), "tile_rows": range(1, 65), "tile_columns": range(1, 65),
            "channel_vectors": range(1, 33), "most_channels": range(1, 2**20 + 1), "most_columns": range(1, 2**20 + 1)},
    "gpu": {"vector": (1, 2, 4), "tile_rows": range(1, 17), "tile_columns": range(1, 129), "threads": (32, 64, 128, 256)}}
LAYOUTS = ("nchw", "nhwc")
OPS = ("avg_pool2d", "avg_pool2d_backward")
EXACT_FIELDS = 11  # of an ExactProblem
# Our runtime checks every argument before it calls, so kernels need no assertions; with these gone they refer to no symbol of a Halide
# runtime, and none is linked.
KERNEL_FEATURES = "no_runtime-no_bounds_query-no_asserts-user_context"
PLANE = re.compile(r"(\d+)x(\d+)p(\d+)$")  # 7x7p1
BLOCKS = re.compile(r"blocks(\d*)$")  # of any width, or of one
WINDOW = re.compile(r"(\d+)x(\d+)s(\d+)(?:x(\d+))?$")  # 3x3s2, 3x1s2x1


class BadInput(Exception):
    pass


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}")
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}:{error.lineno}: not JSON: {error.msg}")


def line_of(path, word):
    """Where a key stands in its file, for messages."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if f'"{word}"' in line:
                return f"{path}:{number}"
    return path


def line_of_path(path, keys):
    """Where the value at these keys stands in a JSON file: behind the first key, the next one, and so on."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    position = 0
    for key in keys:
        match = re.compile(f'"{re.escape(key)}"\\s*:').search(text, position)
        if match:
            position = match.start()
    return f"{path}:{text.count(chr(10), 0, position) + 1}"


def read_targets(schedules):
    """targets.json, checked against its schema."""
    try:
        import fastjsonschema
    except ImportError:
        raise BadInput(f"checking targets.json needs fastjsonschema; install it with: {sys.executable} -m pip install fastjsonschema")
    path = os.path.join(schedules, "targets.json")
    document, schema = read(path), read(os.path.join(schedules, "targets.schema.json"))
    try:
        fastjsonschema.validate(schema, document)
    except fastjsonschema.JsonSchemaValueException as error:
        keys = error.path[1:]
        where, problem = " / ".join(keys) or "the document", error.message.split(" ", 1)[1]
        if error.rule == "additionalProperties":
            unknown = [key for key in error.value if key not in error.definition["properties"]]
            keys, problem = keys + unknown[:1], f"has unknown keys: {', '.join(unknown)}; known: {', '.join(error.definition['properties'])}"
        elif error.rule == "propertyNames":
            wrong = [key for key in error.value if not re.search(error.rule_definition["pattern"], key)]
            keys, problem = keys + wrong[:1], f"has keys that do not match {error.rule_definition['pattern']}: {', '.join(wrong)}"
        elif error.rule == "oneOf":
            problem = "must name either a system or a device"
        elif error.rule == "anyOf":
            problem = "must have either a triple, or compilers and their toolchain_file"
        elif error.rule == "required":
            problem = f"lacks {', '.join(key for key in error.rule_definition if key not in error.value)}"
        elif "description" in error.definition:
            problem += f" ({error.definition['description'][0].lower() + error.definition['description'][1:]})"
        raise BadInput(f"{line_of_path(path, keys)}: {where} {problem}")

    systems, targets = document["systems"], document["targets"]
    for name, facts in targets.items():
        if facts.get("system", next(iter(systems))) not in systems:
            raise BadInput(f"{line_of_path(path, ['targets', name, 'system'])}: target {name} is for the system "
                           f"'{facts['system']}'; known: {', '.join(systems)}")
        known_dtypes, only, same = list(read_dtypes(schedules)), facts.get("only", {}), facts.get("same_kernels", {})
        for key, given, known in (("only", only.get("dtypes", []), known_dtypes), ("only", only.get("ops", []), OPS),
                                  ("same_kernels", same.get("but", []), known_dtypes), ("same_kernels", [same["as"]] if same else [], targets)):
            for wrong in given:
                if wrong not in known:
                    raise BadInput(f"{line_of_path(path, ['targets', name, key])}: {key} of {name} names '{wrong}'; known: {', '.join(known)}")
    for name, facts in systems.items():
        own = [target for target, about in targets.items() if about.get("system") == name]
        for target in (target for emulator in facts["emulators"] for target in emulator["targets"]):
            if target not in own:
                raise BadInput(f"{line_of_path(path, ['systems', name, 'emulators'])}: {target} is no target of {name}; "
                               f"its targets: {', '.join(own)}")
    return document


def pair(value):
    return value if isinstance(value, list) else [value, value]


class Workload:
    """A problem that gets a kernel of its own, in one layout, whatever its batch."""

    def __init__(self, entry, layout, dtype, where):
        self.name = entry["name"]
        _, self.channels, *self.input = entry["input"]
        self.kernel = pair(entry["kernel_size"])
        self.stride = pair(entry.get("stride", entry["kernel_size"]))
        self.padding = pair(entry.get("padding", 0))
        self.layout, self.where = layout, where
        self.output = []
        for extent, kernel, stride, pad in zip(self.input, self.kernel, self.stride, self.padding):
            if pad > kernel // 2:
                raise BadInput(f"{where}: padding {pad} is more than half of the kernel, which is {kernel}")
            last = extent + 2 * pad - kernel + (stride - 1 if entry.get("ceil_mode") else 0)
            if last < 0:
                raise BadInput(f"{where}: a kernel of {kernel} does not fit into {extent} and a padding of {pad} on both sides")
            steps = last // stride
            if entry.get("ceil_mode") and steps * stride >= extent + pad:
                steps -= 1
            self.output.append(steps + 1)
        by = "x".join
        equal = self.stride[0] == self.stride[1]
        self.window = f"{by(map(str, self.kernel))}s{by(map(str, self.stride[:1] if equal else self.stride))}"
        plane = by(map(str, [self.channels, *self.input]))
        pads = f"p{by(map(str, self.padding[:1] if self.padding[0] == self.padding[1] else self.padding))}" if any(self.padding) else ""
        ceil = "-ceil" if entry.get("ceil_mode") else ""
        self.family = f"avg_pool2d_{dtype}_{layout}-{plane}{ceil}_{self.window}{pads}"

    def exact(self):
        return (self.channels, *self.input, *self.output, *self.kernel, *self.stride, *self.padding)

    def class_schedule(self, scheduled, registers):
        """The schedule of fixed windows for this one, derived from that of 3x3, or None where
        the class that takes the problem anyway is not slower, as far as is known."""
        kernel_h, kernel_w = self.kernel
        stride_w = self.stride[1]
        base = scheduled.get(f"avg_pool2d_f32_{self.layout}_3x3s{1 if stride_w == 1 else 2}")
        if self.layout == "nchw" and stride_w > 1 and max(self.kernel) > 3 and registers == 16 and self.output[1] > 48:
            return None  # lines: 16 registers hold the columns of short rows alone
        side_by_side = self.kernel == self.stride
        if base is None or kernel_h * kernel_w > 36 or max(kernel_h, kernel_w) > 8 or stride_w > (3 if self.layout == "nchw" else 2) or side_by_side:
            return None
        own = dict(base)
        wide = max(kernel_h, kernel_w) > 3
        if self.layout == "nchw" and stride_w == 1:  # a strip's sums of the rows before stay in registers
            if kernel_w // 2 > own["vector"]:
                return None
            own["tile_columns"] = max(1, min(own.get("tile_columns", 1), registers // 2 // max(kernel_h - 1, 1)))
            if wide:
                own.pop("wide_vector", None)
        elif self.layout == "nchw" and kernel_w > stride_w:  # of the rows that the next windows have as well, all columns
            own["tile_columns"] = max(1, min(own.get("tile_columns", 1), registers // max((kernel_h - self.stride[0]) * stride_w, 1)))
        elif self.layout == "nhwc" and wide:
            own.update(tile_rows=1, channel_vectors=2)
        return own


def read_workloads(schedules, path):
    """The problems of a workload file, checked against its schema: each once, in each of its layouts. The benchmark reads the same
    file, so problems of other dtypes than f32 may be there: they get everybody's kernels, and a line on stderr says so."""
    import fastjsonschema
    document = read(path)
    try:
        fastjsonschema.validate(read(os.path.join(schedules, "workloads.schema.json")), document)
    except fastjsonschema.JsonSchemaValueException as error:
        keys = error.path[1:]
        where, problem = path, error.message.split(" ", 1)[1]
        words = " / ".join(map(str, keys)) or "the document"
        if len(keys) > 1 and keys[0] == "workloads":  # the entry, by its name
            entry = document["workloads"][int(keys[1])]
            name = entry.get("name") if isinstance(entry, dict) else None
            where = line_of(path, name) if isinstance(name, str) else path
            words = " / ".join([f"workload {name or int(keys[1]) + 1}"] + list(map(str, keys[2:])))
        elif keys:
            where = line_of(path, keys[0])
        if error.rule == "additionalProperties":
            unknown = [key for key in error.value if key not in error.definition["properties"]]
            where, problem = line_of(path, unknown[0]), f"has unknown keys: {', '.join(unknown)}; known: {', '.join(error.definition['properties'])}"
        elif error.rule == "required":
            problem = f"lacks {', '.join(key for key in error.rule_definition if key not in error.value)}"
        elif "description" in error.definition:
            problem += f" ({error.definition['description']})"
        raise BadInput(f"{where}: {words} {problem}")
    found = {}
    others = [entry for entry in document["workloads"] if entry.get("dtype", document["dtype"]) != "f32"]
    if others:
        where = line_of(path, others[0]["name"] if "dtype" in others[0] else "dtype")
        if len(others) == len(document["workloads"]):
            raise BadInput(f"{where}: no problem is of f32: kernels of their own are made for f32 alone")
        print(f"{where}: kernels of their own are made for f32 alone, so not for {', '.join(entry['name'] for entry in others)}", file=sys.stderr)
    for entry in document["workloads"]:
        if entry in others:
            continue
        for layout in document["layouts"]:
            workload = Workload(entry, layout, "f32", line_of(path, entry["name"]))
            found.setdefault(workload.family, workload)
    return list(found.values())


def read_tuned(paths, targets, machine=None):
    """{target: ({family: file}, {family: schedule})} of a user's schedule files. Where several are for one target, each kernel's is
    taken from the file that was tuned on the machine nearest to `machine` (device_identity.py)."""
    found = {}
    for path in paths:
        document = read(path)
        if not isinstance(document, dict) or not isinstance(document.get("kernels"), dict) or not isinstance(document.get("target"), str):
            raise BadInput(f'{path}:1: not a schedule file: it has a "target" and "kernels"')
        target = document["target"]
        if target not in targets:
            raise BadInput(f"{line_of(path, 'target')}: unknown target '{target}'; known: {', '.join(targets)}")
        tuned_on = document.get("tuned_on", {})
        if not isinstance(tuned_on, dict) or not all(key in device_identity.NEAR and isinstance(value, str) for key, value in tuned_on.items()):
            raise BadInput(f"{line_of(path, 'tuned_on')}: tuned_on holds texts for {', '.join(device_identity.NEAR)}")
        found.setdefault(target, []).append((device_identity.distance(tuned_on, machine or {}), path, document["kernels"]))
    tuned = {}
    for target, files in found.items():
        files.sort(key=lambda file: -file[0])  # the nearest last: it takes the others' place
        for (far, path, kernels), (near, other, others) in zip(files, files[1:]):
            if far == near:
                raise BadInput(f"{line_of(path, 'target')}: {other} has schedules for {target} of a machine as near as this one's: merge the files "
                               "(halpool-tune merge), or say which machine is meant (HALPOOL_TUNED_FOR)")
        where, schedules = {}, {}
        for _, path, kernels in files:
            schedules.update(kernels)
            where.update(dict.fromkeys(kernels, path))
        tuned[target] = (where, schedules)
    return tuned


def check_parameters(path, family, schedule, known):
    if not isinstance(schedule, dict) or "vector" not in schedule:
        raise BadInput(f'{line_of(path, family)}: the schedule of {family} is not an object with a "vector"')
    for name, value in schedule.items():
        if name not in known:
            raise BadInput(f"{line_of(path, family)}: unknown parameter '{name}'; known: {', '.join(known)}")
        if type(value) is not int or value not in known[name]:
            allowed = known[name]
            words = f"{allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else ", ".join(map(str, allowed))
            raise BadInput(f"{line_of(path, family)}: {name} is {value!r}; allowed: {words}")


def identifier(name):
    return re.sub(r"\W", "_", name)


def parse_window(window, layout, path):
    """The window class with its extents: (class, kernel_h, kernel_w, stride_h, stride_w)."""
    if window in ("generic", "global"):
        return window, 0, 0, 0, 0
    # The limits of the templates: pool_algorithm.hpp (lengths of float sums) (kSeparableKernel, kBlockRows, ...).
    if window == "small":
        return window, 16, 16, 0, 0
    if window == "separable":
        return window, 64, 64, 0, 2
    if window == "lines":
        return window, 64, 64, 0, 0
    if window == "large":
        return window, 1023, 1023, 8, 8
    match = BLOCKS.match(window)
    if match:
        return ("blocks", 16, int(match[1]), 0, int(match[1])) if match[1] else ("blocks", 64, 64, 0, 0)
    match = WINDOW.match(window)
    if not match:
        raise BadInput(f"{line_of(path, window)}: window '{window}' is none of generic, small, separable, lines, large, blocks, blocksN, global, or KHxKWsS[xS]")
    kernel_h, kernel_w, stride_h = (int(match[i]) for i in (1, 2, 3))
    return "fixed", kernel_h, kernel_w, stride_h, int(match[4] or stride_h)


def write(path, text):
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    except OSError:
        pass
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def workload_kernels(target, facts, workloads, scheduled, tuned_in, tuned):
    """The workloads' own kernels on a CPU target."""
    registers = 16 if target.startswith("x86-64") and "avx512" not in facts["features"].split("-") else 32
    kernels = []
    for workload in workloads:
        schedule = tuned.get(workload.family)
        if schedule is None and workload.family not in tuned and scheduled.get(f"avg_pool2d_f32_{workload.layout}_{workload.window}") is None:
            schedule = workload.class_schedule(scheduled, registers)
        if schedule is None:
            continue
        check_parameters(tuned_in.get(workload.family, workload.where), workload.family, schedule, PARAMETERS["cpu"])
        if max(workload.kernel) > 16:
            raise BadInput(f"{line_of(tuned_in[workload.family], workload.family)}: kernels of workloads take windows of at most 16x16; this one is "
                           f"{workload.window}, which the classes of kernels.json take")
        name = f"{workload.family}_{target}"
        parameters = {"layout": workload.layout, "window": "fixed", "fixed_channels": 0, "fixed_kernel_h": workload.kernel[0],
                      "fixed_kernel_w": workload.kernel[1], "fixed_stride_h": workload.stride[0], "fixed_stride_w": workload.stride[1],
                      "fixed_input_w": workload.input[1], "fixed_output_w": workload.output[1], **schedule}
        kernels.append(dict(op="avg_pool2d", dtype="f32", layout=workload.layout, window=workload.window, name=name,
                            function="halpool_" + identifier(name), parameters=parameters, streaming_bytes="",
                            **masks(facts, 4), window_class="fixed", plane=(0, 0, 0),
                            extents=(*workload.kernel, *workload.stride), template="cpu", exact=workload.exact()))
    return kernels


def read_dtypes(schedules):
    """dtypes.json: of each dtype, the bytes of an element, and how many times the lanes of f32's a vector has."""
    return read(os.path.join(schedules, "dtypes.json"))


def masks(facts, bytes):
    """Whether masked loads of elements of so many bytes, and masked stores, cost no more than others."""
    features = facts["features"].split("-")
    return dict(masked_loads="avx512" in features or ("avx" in features and bytes >= 4), masked_stores="avx512" in features)


def derived_schedule(kernel, window, like, lanes, template, walks):
    """The schedule of a dtype's kernel that has none of its own, from that of f32, `like`. lanes: of dtypes.json;
    walks: whether planar windows that overlap walk down the plane (kernel_convention.h: walks_down)."""
    if like is None or template == "gpu":
        return like
    own = {name: value for name, value in like.items() if name not in ("most_channels", "most_columns")}
    for name in ("vector", "wide_vector"):
        if name in like:
            own[name] = max(1, like[name] * lanes[0] // lanes[1])
    if window == "fixed" and kernel["layout"] == "nchw" and kernel["op"] == "avg_pool2d":
        extents = WINDOW.match(kernel["window"])
        if int(extents[1]) == int(extents[3]) or not walks:  # computed in tiles of rows alone
            own.pop("tile_columns", None)
            own.pop("wide_vector", None)
            own["tile_rows"] = 4 if int(extents[1]) > int(extents[3]) else 1
    return own


def entries_of(kernels, dtypes, layouts=LAYOUTS, ops=OPS):
    """The entries of kernels.json, one for each dtype, of these dtypes, layouts and operators."""
    for kernel in kernels:
        for dtype in kernel["dtype"] if isinstance(kernel["dtype"], list) else [kernel["dtype"]]:
            if dtype in dtypes and kernel["layout"] in layouts and kernel["op"] in ops:
                yield dict(kernel, dtype=dtype)


def family_of(kernel):
    layout = kernel["layout"]
    layout += f"-{kernel['plane']}" if "plane" in kernel else ""
    layout += f"-c{kernel['channels']}" if "channels" in kernel else ""
    layout += f"-a{kernel['alignment']}" if "alignment" in kernel else ""
    layout += "-pairs" if kernel.get("pairs") else ""
    layout += "-streaming" if kernel.get("stores") == "streaming" else ""
    return "_".join((kernel["op"], kernel["dtype"], layout, kernel["window"]))


def kernels_of(target, facts, schedules, system, workloads=(), tuned_in=None, tuned=None, dtypes=None, layouts=LAYOUTS, ops=OPS):
    """The kernels of one target in their order of preference, with their schedules checked. system: of targets.json;
    tuned: a user's schedules; tuned_in: the file of each; dtypes, layouts, ops: of this build (default: all)."""
    known_dtypes = read_dtypes(schedules)
    dtypes = known_dtypes if dtypes is None else dtypes
    tuned, tuned_in = tuned or {}, tuned_in or {}
    kernels_path = os.path.join(schedules, "kernels.json")
    schedule_path = os.path.join(schedules, facts.get("schedule", target) + ".json")
    template = "gpu" if "device" in facts else "cpu"
    known = PARAMETERS[template]
    schedules_of_target = read(schedule_path)
    scheduled, only = schedules_of_target.get("kernels", {}), facts.get("only", {})
    dtypes = [dtype for dtype in dtypes if dtype in only.get("dtypes", known_dtypes)]
    ops = [op for op in ops if op in only.get("ops", OPS)]
    every = read(kernels_path)[template]
    for kernel in entries_of(every, known_dtypes):
        family, like = family_of(kernel), family_of(dict(kernel, dtype="f32", pairs=False))
        if family not in scheduled and like in scheduled and kernel["dtype"] != "f32":
            window = parse_window(kernel["window"], kernel["layout"], kernels_path)[0]
            bytes = known_dtypes[kernel["dtype"]]["bytes"]
            walks = bytes > 1 or masks(facts, bytes)["masked_loads"]
            scheduled[family] = derived_schedule(kernel, window, scheduled[like], known_dtypes[kernel["dtype"]]["lanes"], template, walks)
    families = {workload.family for workload in workloads}
    for family in tuned:
        if family not in scheduled and (template == "gpu" or family not in families):
            raise BadInput(f"{line_of(tuned_in[family], family)}: {family} is neither a kernel of {target} nor one of the workloads of HALPOOL_WORKLOADS")
        if family in scheduled and (scheduled[family] is None) != (tuned[family] is None):
            raise BadInput(f"{line_of(tuned_in[family], family)}: whether {target} has {family} is not for a schedule to say")
    own = [workload for workload in workloads if "f32" in dtypes and workload.layout in layouts and "avg_pool2d" in ops]
    kernels = workload_kernels(target, facts, own, scheduled, tuned_in, tuned) if template == "cpu" else []
    scheduled.update({family: schedule for family, schedule in tuned.items() if family in scheduled})
    for kernel in entries_of(every, dtypes, layouts, ops):
        channels, alignment = kernel.get("channels", 0), kernel.get("alignment", 0)
        streams = kernel.get("stores") == "streaming"
        plane = PLANE.match(kernel.get("plane", "0x0p0"))
        if not plane:
            raise BadInput(f"{line_of(kernels_path, kernel['plane'])}: plane '{kernel['plane']}' is not HxWpP: 7x7p1")
        plane_h, plane_w, padding = map(int, plane.groups())
        # One kernel takes both layouts as lines of floats: the planar one, and its schedule. Those that stream take one layout.
        of_both = kernel["window"] == "lines" and not streams
        shared = of_both and kernel["layout"] == "nhwc" and "nchw" in layouts
        name, family = f"{family_of(kernel)}_{target}", family_of(dict(kernel, layout="nchw") if of_both else kernel)
        if streams and not system.get("streaming_stores"):
            continue
        if family not in scheduled:
            raise BadInput(f"{schedule_path}: no schedule for {family}")
        if scheduled[family] is None:  # not for this target
            continue
        check_parameters(tuned_in.get(family, schedule_path), family, scheduled[family], known)
        window, kernel_h, kernel_w, stride_h, stride_w = parse_window(kernel["window"], kernel["layout"], kernels_path)
        parameters = {"layout": "nchw" if window == "lines" else kernel["layout"], "window": window}
        if kernel["dtype"] != "f32":
            parameters["dtype"] = kernel["dtype"]
        if channels:
            parameters["fixed_channels"] = channels
        if kernel.get("pairs"):
            parameters["pairs"] = "true"
        if plane_w:
            parameters.update(fixed_plane_h=plane_h, fixed_plane_w=plane_w, fixed_padding=padding)
        if alignment:
            parameters["alignment"] = alignment // known_dtypes[kernel["dtype"]]["bytes"]
        vector = scheduled[family]["vector"] * known_dtypes[kernel["dtype"]]["bytes"]
        if streams:
            if alignment % vector:
                raise BadInput(f"{line_of(schedule_path, family)}: vectors of {vector} bytes do not stay aligned in rows that are "
                               f"aligned to {alignment}")
            parameters["streaming"] = "true"
        if window == "fixed":
            parameters.update(fixed_kernel_h=kernel_h, fixed_kernel_w=kernel_w, fixed_stride_h=stride_h,
                              fixed_stride_w=stride_w)
        if window == "blocks":
            parameters["fixed_stride_w"] = stride_w
        parameters.update(scheduled[family])
        element_bytes = known_dtypes[kernel["dtype"]]["bytes"]
        kernels.append(dict(kernel, name=name, shared=shared, element_bytes=element_bytes, function="halpool_" + identifier(f"{family}_{target}"), parameters=parameters,
                            streaming_bytes=vector if streams else "", **masks(facts, element_bytes * (2 if kernel.get("pairs") else 1)), window_class=window, plane=(plane_h, plane_w, padding), extents=(kernel_h, kernel_w, stride_h, stride_w), template=template))
    known_families = {family_of(kernel) for kernel in entries_of(every, known_dtypes)}
    for family in scheduled:
        if family not in known_families:
            raise BadInput(f"{line_of(schedule_path, family)}: {family} is not in kernels.json")
    return kernels


def row_fields(kernel):
    """The fields of a KernelRow (kernel_convention.h), but for its entry; those of its ExactProblem in one tuple."""
    cpu, nhwc = kernel["template"] == "cpu", kernel["layout"] == "nhwc"
    parameters = kernel["parameters"]
    # Channels-last with fewer channels than a vector has lanes: rows as lines are faster where windows share columns.
    along = cpu and nhwc and kernel["op"] == "avg_pool2d" and kernel["dtype"] == "f32" and kernel["window_class"] == "fixed" and not kernel.get("channels") and parameters["fixed_stride_w"] == 1
    # Rows of fewer columns than these have kernels with masked stores in one vector.
    masked_stores = cpu and not nhwc and kernel["masked_stores"] and "streaming" not in parameters
    lanes = max(parameters["vector"], parameters.get("wide_vector", 0) if masked_stores else 0)
    # Bytes of fewer channels than a vector of pairs holds fill one of bytes.
    pairs_of_bytes = kernel.get("pairs") and nhwc and kernel["element_bytes"] == 1
    least_channels = 2 * parameters["vector"] if pairs_of_bytes else parameters["vector"] if along and "exact" not in kernel else 0
    return (kernel["name"], kernel["op"], kernel["dtype"], kernel["window"], kernel["layout"], kernel["window_class"],
            cpu and kernel["window_class"] in ("fixed", "small", "lines"), *kernel["extents"],
            kernel.get("channels", 0), bool(kernel.get("pairs")), tuple(kernel.get("exact", (0,) * EXACT_FIELDS)), *kernel["plane"], least_channels, kernel.get("min_taps", 0),
            parameters.get("most_columns", 0), kernel["plane"][0] or parameters.get("tile_rows", 1), lanes, bool(kernel["masked_loads"]), "streaming" in parameters,
            parameters.get("alignment", 1), parameters.get("threads", 0), parameters.get("tile_columns", 1))


def row(kernel):
    """A KernelRow, in C++."""
    def text(value):
        if isinstance(value, tuple):
            return "{" + (", ".join(map(str, value)) if any(value) else "") + "}"
        return str(value).lower() if isinstance(value, bool) else str(value)

    name, op, dtype, window, layout, window_class, *others = row_fields(kernel)
    fields = [f'"{word}"' for word in (name, op, dtype, window)]
    fields += [f"halpool::KernelLayout::{layout}", f"halpool::WindowClass::{window_class}", *map(text, others), kernel["function"] + "_argv"]
    return "    {" + ", ".join(fields) + "},"


def jit_line(kernel, halide_target):
    """A kernel for tuner/peer_halpool_jit.cpp: how it is compiled, and its KernelRow, in words."""
    def words(value):
        return [word for each in value for word in words(each)] if isinstance(value, tuple) else [str(int(value) if isinstance(value, bool) else value)]

    parameters = ",".join(f"{name}={value}" for name, value in kernel["parameters"].items() if name != "most_columns")
    return " ".join([kernel["function"], kernel["op"], halide_target, parameters, *words(row_fields(kernel))]) + "\n"


def table_source(target, facts, kernels):
    op = "avg_pool2d"
    lines = [GENERATED, "#include <halpool/internal/kernel_convention.h>", "", 'extern "C" {']
    lines += dict.fromkeys(f"int {kernel['function']}_argv(void **);" for kernel in kernels)
    lines += ["}", "", "namespace {", "", "const char *const required[] = {"]
    lines += [f'    "{feature}",' for feature in facts["requires"]]
    lines += ["    nullptr};", ""]
    if kernels:
        lines += ["const halpool::KernelRow rows[] = {"] + [row(kernel) for kernel in kernels] + ["};", ""]
    rows = "rows, sizeof rows / sizeof rows[0]" if kernels else "nullptr, 0"
    lines += ["}  // namespace", "",
              f'extern "C" const halpool::KernelTable halpool_{op}_table_{identifier(target)};',
              f"const halpool::KernelTable halpool_{op}_table_{identifier(target)} = {{",
              f'    "{target}", required, {rows}}};', ""]
    return "\n".join(lines)


def registry_source(op, component, device, targets):
    """What links a component's tables, and its device's launcher, to the runtime. No targets: a component that a
    program does not link."""
    symbol = f"halpool_{op}_{identifier(component)}"
    lines = [GENERATED, "#include <halpool/internal/kernel_convention.h>", "", 'extern "C" {']
    lines += [f"extern const halpool::KernelTable halpool_{op}_table_{identifier(target)};" for target in targets]
    if device and targets:
        lines += [f"extern const halpool::DeviceApi halpool_device_{device};"]
    lines += [f"extern const halpool::KernelComponent {symbol};", "}", ""]
    if targets:
        lines += ["static const halpool::KernelTable *const tables[] = {"]
        lines += [f"    &halpool_{op}_table_{identifier(target)}," for target in targets]
        lines += ["    nullptr};", "",
                  f"const halpool::KernelComponent {symbol} = {{{f'&halpool_device_{device}' if device else 'nullptr'}, tables}};"]
    else:
        lines += [f"const halpool::KernelComponent {symbol} = {{nullptr, nullptr}};"]
    return "\n".join(lines + [""])


def components_source(op, components, dtypes, ops, layouts):
    """The list through which the runtime sees the components of this build."""
    symbols = [f"halpool_{op}_{identifier(component)}" for component in components]
    lines = [GENERATED, '#include "dtype.hpp"', '#include "kernel_registry.hpp"', "", 'extern "C" {']
    lines += [f"extern const halpool::KernelComponent {symbol};" for symbol in symbols]
    lines += ["}", "", f"const halpool::KernelComponent *const halpool::{op}_components[] = {{"]
    lines += [f"    &{symbol}," for symbol in symbols] + ["    nullptr};", ""]
    for what, names in (("dtypes", dtypes), ("ops", ops), ("layouts", layouts)):
        lines += [f"const char *const halpool::built_{what}[] = {{"] + [f'    "{name}",' for name in names] + ["    nullptr};", ""]
    return "\n".join(lines)


def chosen(option, given, known):
    """Of the known names those given, in their order; all where none is."""
    names = [name for name in re.split("[,;]", given) if name]
    for name in names:
        if name not in known:
            raise BadInput(f"{option}: unknown name '{name}'; known: {', '.join(known)}")
    return [name for name in known if name in names or not names]


def choose_targets(document, names, processor):
    """The targets that the names stand for, of this processor's system and of devices, best first, the CPU's before the
    devices'; a function from a target to its component; this system; and {another system: its targets among the names}."""
    systems, targets = document["systems"], document["targets"]
    native = next((name for name, system in systems.items() if processor in system["processors"]), None)
    if native is None:
        raise BadInput(f"no targets for the processor {processor}; known: "
                       f"{', '.join(word for system in systems.values() for word in system['processors'])} (schedules/targets.json)")

    def component(name):
        facts = targets[name]
        return facts["device"] if "device" in facts else systems[facts["system"]]["component"]

    chosen = set()
    for name in names or ["native"]:
        found = [target for target in targets if name in ("all", target, component(target)) or
                 name == "native" and targets[target].get("system") == native]
        if not found:
            components = dict.fromkeys(component(target) for target in targets)
            raise BadInput(f"HALPOOL_TARGETS: unknown target '{name}'; known: {', '.join(targets)}; for all targets "
                           f"of a component: {', '.join(components)}; native for this processor's, or all (schedules/targets.json)")
        chosen.update(found)
    order = sorted(chosen, key=lambda name: ("device" in targets[name], component(name), -targets[name]["preference"]))
    foreign = {}
    for name in order:
        system = targets[name].get("system", native)
        if system != native:
            foreign.setdefault(system, []).append(name)
    return [name for name in order if targets[name].get("system", native) == native], component, native, foreign


def halide_target(document, system, facts):
    """Of a target, in Halide's words, without KERNEL_FEATURES."""
    return "-".join(filter(None, (document["systems"][system]["halide"], facts["features"])))


GENERATED = "// Generated by cmake/kernel_manifest.py from schedules/. Not to be edited."


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--processor", required=True)
    parser.add_argument("--targets", default="")
    parser.add_argument("--dtypes", default="")
    parser.add_argument("--layouts", default="")
    parser.add_argument("--ops", default="")
    parser.add_argument("--workloads", default="")
    parser.add_argument("--tuned", default="")
    parser.add_argument("--tuned-for", default="")
    arguments = parser.parse_args()

    document = read_targets(arguments.schedules)
    known = document["targets"]
    names = [name for name in re.split("[,;]", arguments.targets) if name]
    wanted, component_of, system, foreign = choose_targets(document, names, arguments.processor)
    workloads = read_workloads(arguments.schedules, arguments.workloads) if arguments.workloads else []
    try:  # schedules for other processors are for machines that nobody has named
        machine = device_identity.of_text(arguments.tuned_for) if arguments.tuned_for else (
            {} if arguments.processor != os.uname().machine else device_identity.of_this_machine())
    except ValueError as error:
        raise BadInput(f"HALPOOL_TUNED_FOR: {error}")
    tuned = read_tuned([path for path in re.split("[,;]", arguments.tuned) if path], known, machine)

    dtypes = chosen("HALPOOL_DTYPES", arguments.dtypes, list(read_dtypes(arguments.schedules)))
    layouts = chosen("HALPOOL_LAYOUTS", arguments.layouts, list(LAYOUTS))
    ops = chosen("HALPOOL_OPS", arguments.ops, list(OPS))

    os.makedirs(arguments.out, exist_ok=True)
    cmake = ["# Generated by kernel_manifest.py: function|target|halide target|device|op|bytes of its streaming stores|generator parameters", "set(HALPOOL_KERNELS"]
    components = {}
    for target in wanted:
        facts = known[target]
        kernels = kernels_of(target, facts, arguments.schedules, document["systems"][system], workloads, *tuned.get(target, ({}, {})), dtypes, layouts, ops)
        halide = halide_target(document, system, facts)
        # What another target's kernels are to the instruction is not emitted again: the table refers to those.
        same = facts.get("same_kernels", {})
        if same.get("as") in wanted and not {target, same["as"]} & set(tuned):
            for kernel in kernels:
                if kernel["dtype"] not in same["but"]:
                    kernel.update(shared=True, function=kernel["function"].removesuffix(identifier(target)) + identifier(same["as"]))
        for kernel in kernels:
            if kernel.get("shared"):
                continue
            # Which rows a kernel is preferred for is the table's alone.
            parameters = ",".join(f"{name}={value}" for name, value in kernel["parameters"].items() if name != "most_columns")
            cmake.append(f'  "{kernel["function"]}|{target}|{halide}|{facts.get("device", "")}|{kernel["op"]}|{kernel["streaming_bytes"]}|{parameters}"')
        write(os.path.join(arguments.out, f"table_{target}.cpp"), table_source(target, facts, kernels))
        components.setdefault(component_of(target), []).append(target)
    cmake.append(")")
    files = sorted({"targets", "targets.schema", "kernels", "dtypes"} | {known[target].get("schedule", target) for target in wanted})
    cmake.append(f'set(HALPOOL_SCHEDULE_FILES "{";".join(name + ".json" for name in files)}")')
    cmake.append(f'set(HALPOOL_KERNEL_FEATURES "{KERNEL_FEATURES}")')
    cmake.append(f'set(HALPOOL_BUILT_TARGETS "{";".join(wanted)}")')
    cmake.append(f'set(HALPOOL_BUILT_COMPONENTS "{";".join(components)}")')
    cmake.append(f'set(HALPOOL_KERNEL_PROCESSORS "{";".join(document["systems"][system]["processors"])}")')
    cmake.append(f'set(HALPOOL_SYSTEM_COMPONENT "{document["systems"][system]["component"]}")')
    cmake.append(f'set(HALPOOL_OTHER_SYSTEMS "{";".join(document["systems"][name]["component"] for name in foreign)}")')
    for name, targets in foreign.items():
        cmake.append(f'set(HALPOOL_TARGETS_OF_{document["systems"][name]["component"]} "{";".join(targets)}")')
    for component, targets in components.items():
        device = known[targets[0]].get("device", "")
        write(os.path.join(arguments.out, f"registry_{component}.cpp"),
              registry_source("avg_pool2d", component, device, targets))
        write(os.path.join(arguments.out, f"absent_{component}.cpp"), registry_source("avg_pool2d", component, device, []))
        cmake.append(f'set(HALPOOL_TARGETS_OF_{component} "{";".join(targets)}")')
        cmake.append(f'set(HALPOOL_DEVICE_OF_{component} "{device}")')
    write(os.path.join(arguments.out, "components.cpp"), components_source("avg_pool2d", components, dtypes, ops, layouts))
    write(os.path.join(arguments.out, "kernels.cmake"), "\n".join(cmake) + "\n")


if __name__ == "__main__":
    try:
        main()
    except BadInput as error:
        print(error, file=sys.stderr)
        sys.exit(2)
