"""The problems of an ONNX model: its average poolings, in the form of benchmarks/workloads.json."""

import json
import pathlib
import re
import sys

from common import SOURCE, TuneFailed, kernel_manifest

POOLINGS = ("AveragePool", "GlobalAveragePool")
LARGEST = 536870911  # of workloads.schema.json


class Skipped(Exception):
    """Why a node gives no problem."""


def import_onnx():
    try:
        import onnx
        import onnx.inliner
        import onnx.shape_inference
    except ImportError as error:
        raise TuneFailed(f"reading models needs the onnx package ({error}); install it with: {sys.executable} -m pip install "
                         f"--requirement {SOURCE / 'tuner/requirements.txt'}") from error
    return onnx


def read_model(onnx, path):
    """With the shapes of its values. Weights in files of their own are not read: no shape depends on them."""
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise TuneFailed(f"{path}: {error.strerror}") from error
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's, whose class depends on how it was built
        raise TuneFailed(f"{path}: not an ONNX model: {error}") from error
    if not model.ir_version or not model.HasField("graph"):  # other bytes that protobuf happens to take
        raise TuneFailed(f"{path}: not an ONNX model: it has no graph")
    try:
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # of many classes: all say that the model contradicts itself, or is beyond this release
        raise TuneFailed(f"{path}: its shapes cannot be inferred: {error}") from error


def poolings(onnx, graph, outer=()):
    """(node, {value's name: type}) of a graph, and of the graphs that its nodes run."""
    types = {**dict(outer), **{value.name: value.type for values in (graph.value_info, graph.input, graph.output) for value in values}}
    for node in graph.node:
        if node.op_type in POOLINGS and node.domain in ("", "ai.onnx"):
            yield node, types
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from poolings(onnx, inner, types)


def extents(onnx, types, name):
    """Of a value, None where the model leaves one open."""
    tensor = types[name].tensor_type if name in types else None
    if tensor is None or not tensor.elem_type or not tensor.HasField("shape"):
        raise Skipped("the shape of its input is not known")
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        names = {number: name for name, number in onnx.TensorProto.DataType.items()}
        raise Skipped(f"its type is {names.get(tensor.elem_type, tensor.elem_type)}, not FLOAT")
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]


def same_padding(auto_pad, shape, kernel, stride):
    """What SAME_UPPER and SAME_LOWER stand for, [height, width]; begin and end must get the same."""
    padding = []
    for extent, window, step in zip(shape, kernel, stride):
        total = max(0, ((extent - 1) // step) * step + window - extent)
        if total % 2:
            raise Skipped(f"{auto_pad} pads begin and end differently here")
        padding.append(total // 2)
    return padding


def output_of(entry):
    return kernel_manifest.Workload(entry, "nchw", "f32", "it").output


def short(values):
    return values[0] if values[0] == values[1] else values


def problem(onnx, node, types, batch):
    """A workload without its name."""
    shape = extents(onnx, types, node.input[0] if node.input else "")
    if len(shape) != 4:
        raise Skipped(f"its input has {len(shape)} dimensions, not 4")
    if shape[0] is None:
        shape[0] = batch or 1
    if None in shape:
        raise Skipped(f"the input's {'NCHW'[shape.index(None)]} is left open: fix it in the model")

    if node.op_type == "GlobalAveragePool":
        kernel, stride, padding, ceil, count = shape[2:], shape[2:], [0, 0], False, False
    else:
        given = {attribute.name: attribute for attribute in node.attribute}
        kernel, stride, dilations, pads = (
            list(given[name].ints) if name in given else default
            for name, default in (("kernel_shape", []), ("strides", [1, 1]), ("dilations", [1, 1]), ("pads", [0] * 4)))
        auto_pad = given["auto_pad"].s.decode("utf-8", "replace") if "auto_pad" in given else "NOTSET"
        if [len(kernel), len(stride), len(dilations), len(pads)] != [2, 2, 2, 4] or min(*kernel, *stride) < 1:
            raise Skipped("its attributes are not those of a 2-D pooling")
        if dilations != [1, 1]:
            raise Skipped(f"its dilations are {dilations}")
        ceil, count = (name in given and given[name].i != 0 for name in ("ceil_mode", "count_include_pad"))
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            padding, ceil = same_padding(auto_pad, shape[2:], kernel, stride), False
        elif auto_pad == "VALID":
            padding = [0, 0]
        elif pads[:2] != pads[2:]:
            raise Skipped(f"its pads are {pads}: begin and end differ")
        else:
            padding = pads[:2]
    if min(*shape, *kernel, *stride) < 1 or min(padding) < 0 or max(*shape, *kernel, *stride, *padding) > LARGEST:
        raise Skipped("an extent is not positive, or too large")

    entry = {"name": "", "input": shape, "kernel_size": short(kernel), "stride": short(stride), "padding": short(padding)}
    # Without padding it makes no difference: nodes that differ in nothing else are one problem.
    if any(padding) and not count:
        entry["count_include_pad"] = False
    return rounded(entry, ceil, inferred(onnx, node, types))


def inferred(onnx, node, types):
    """[height, width] of the node's output, None for what is not known."""
    try:
        return (extents(onnx, types, node.output[0]) + [None] * 4)[2:4]
    except Skipped:
        return [None, None]


def rounded(entry, ceil, expected):
    """The entry with ceil_mode where it makes a difference: rounded down, the kernel is the same and the benchmark takes it."""
    tried = [{**entry, "ceil_mode": True}] if ceil else [entry]
    try:
        output = output_of(tried[0])
    except kernel_manifest.BadInput as error:
        raise Skipped(str(error).split(": ", 1)[-1]) from error
    if any(known not in (None, own) for known, own in zip(expected, output)):
        raise Skipped(f"its output is {expected} in the model and {output} here")
    if ceil:
        try:
            if output_of(entry) == output:
                return entry
        except kernel_manifest.BadInput:
            pass  # only rounded up there is an output at all
    return tried[0]


def workloads_of_model(path, batch=None):
    """A document in the form of benchmarks/workloads.json. `batch` stands for one that the model leaves open (default: 1)."""
    onnx = import_onnx()
    found, names, count = {}, set(), 0
    for node, types in poolings(onnx, read_model(onnx, path).graph):
        count += 1
        # Names appear in JSON, in regular expressions and on terminals; one that is not UTF-8 comes as bytes.
        name = re.sub(r"[^A-Za-z0-9_./:-]", "_", str(node.name or (node.output[0] if node.output else ""))) or node.op_type
        try:
            entry = problem(onnx, node, types, batch)
        except Skipped as reason:
            print(f"halpool-tune: {path}: {name} is skipped: {reason}", file=sys.stderr)
            continue
        key = json.dumps(entry)
        if key in found:
            continue
        unique, number = name, 1
        while unique in names:
            number += 1
            unique = f"{name}-{number}"
        names.add(unique)
        found[key] = {**entry, "name": unique}
    if not count:
        raise TuneFailed(f"{path} has no {' and no '.join(POOLINGS)}")
    if not found:
        raise TuneFailed(f"{path}: none of its average poolings can be tuned")
    return {"op": "avg_pool2d", "dtype": "f32", "layouts": ["nchw", "nhwc"], "workloads": list(found.values())}
