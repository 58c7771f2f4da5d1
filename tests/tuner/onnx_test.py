import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

from common import SOURCE, TuneFailed
from onnx_workloads import workloads_of_model

try:
    import fastjsonschema
    import onnx
    from onnx import TensorProto, helper
except ImportError as reason:
    onnx = None

SHAPE = ["N", 8, 40, 50]


def pool(name, source="x", op="AveragePool", **attributes):
    return helper.make_node(op, [source], [f"y of {name}"], name=name, **attributes)


@unittest.skipIf(onnx is None, "needs the onnx package")
class OnnxTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "model.onnx"

    def read(self, *nodes, shape=SHAPE, dtype=None, batch=None, **of_model):
        """({name: workload without its name}, what was said)."""
        graph = helper.make_graph(list(nodes), "graph", [helper.make_tensor_value_info("x", dtype or TensorProto.FLOAT, shape)],
                                  [helper.make_empty_tensor_value_info(nodes[-1].output[0])])
        of_model = {"opset_imports": [helper.make_opsetid("", 19)], **of_model}
        self.path.write_bytes(helper.make_model(graph, **of_model).SerializeToString())
        with contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                document = workloads_of_model(self.path, batch)
            finally:
                self.said = said.getvalue()
        fastjsonschema.validate(json.loads((SOURCE / "schedules/workloads.schema.json").read_text()), document)
        self.assertEqual(document["layouts"], ["nchw", "nhwc"])
        found = {entry.pop("name"): entry for entry in document["workloads"]}
        self.assertEqual(len(found), len(document["workloads"]))
        return found

    def skipped(self, reason, *nodes, **of_model):
        with self.assertRaisesRegex(TuneFailed, "model.onnx: none of its average poolings"):
            self.read(*nodes, **of_model)
        self.assertRegex(self.said, reason)


class AModel(OnnxTest):
    def test_gives_its_poolings(self):
        found = self.read(
            pool("plain", kernel_shape=[3, 3]),
            pool("exclude", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
            pool("include", kernel_shape=[3, 5], strides=[2, 1], pads=[1, 2, 1, 2], count_include_pad=1),
            pool("global", op="GlobalAveragePool"))
        self.assertEqual(found, {
            "plain": {"input": [1, 8, 40, 50], "kernel_size": 3, "stride": 1, "padding": 0},
            "exclude": {"input": [1, 8, 40, 50], "kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
            "include": {"input": [1, 8, 40, 50], "kernel_size": [3, 5], "stride": [2, 1], "padding": [1, 2]},
            "global": {"input": [1, 8, 40, 50], "kernel_size": [40, 50], "stride": [40, 50], "padding": 0}})
        self.assertEqual(self.said, "")

    def test_has_shapes_behind_its_input_inferred(self):
        weight = helper.make_node("Constant", [], ["w"], value=helper.make_tensor("w", TensorProto.FLOAT, [4, 8, 3, 3], [0.0] * 288))
        conv = helper.make_node("Conv", ["x", "w"], ["c"], strides=[2, 2])
        found = self.read(weight, conv, pool("p", "c", kernel_shape=[2, 2], strides=[2, 2]))
        self.assertEqual(found["p"]["input"], [1, 4, 19, 24])

    def test_leaves_its_batch_open(self):
        self.assertEqual(self.read(pool("p", kernel_shape=[2, 2]), batch=8)["p"]["input"], [8, 8, 40, 50])
        self.assertEqual(self.read(pool("p", kernel_shape=[2, 2]), batch=8, shape=[2, 8, 40, 50])["p"]["input"], [2, 8, 40, 50])
        self.assertEqual(self.read(pool("p", kernel_shape=[2, 2]), shape=[None, 8, 40, 50])["p"]["input"], [1, 8, 40, 50])

    def test_gives_the_same_problem_once_and_names_each_after_its_node(self):
        found = self.read(
            pool("a", kernel_shape=[2, 2]), pool("same", kernel_shape=[2, 2], count_include_pad=1),
            pool("also", kernel_shape=[2, 2], ceil_mode=1), pool("hostile \"\x1b[2J", kernel_shape=[3, 3]),
            pool("hostile_\"_[2J", kernel_shape=[4, 4]), pool("", kernel_shape=[5, 5]))
        self.assertEqual(list(found), ["a", "hostile____2J", "hostile____2J-2", "y_of_"])

    def test_is_read_into_its_inner_graphs_and_functions(self):
        inner = helper.make_graph([pool("inner", kernel_shape=[2, 2])], "then", [], [helper.make_empty_tensor_value_info("y of inner")])
        other = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "else", [], [helper.make_empty_tensor_value_info("z")])
        condition = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
        self.assertEqual(list(self.read(condition, helper.make_node("If", ["c"], ["i"], then_branch=inner, else_branch=other))), ["inner"])
        function = helper.make_function("own", "Block", ["x"], ["y of f"], [pool("f", kernel_shape=[2, 2])], [helper.make_opsetid("", 19)])
        found = self.read(helper.make_node("Block", ["x"], ["b"], domain="own"), functions=[function],
                          opset_imports=[helper.make_opsetid("", 19), helper.make_opsetid("own", 1)])
        self.assertEqual([entry["kernel_size"] for entry in found.values()], [2])


class Padding(OnnxTest):
    def test_of_same_is_that_of_both_sides(self):
        for auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            found = self.read(pool("p", kernel_shape=[3, 5], auto_pad=auto_pad))
            self.assertEqual(found["p"], {"input": [1, 8, 40, 50], "kernel_size": [3, 5], "stride": 1, "padding": [1, 2],
                                          "count_include_pad": False})
            self.assertEqual(self.read(pool("p", kernel_shape=[1, 2], strides=[3, 2], auto_pad=auto_pad))["p"]["padding"], 0)
            self.skipped(f"p is skipped: {auto_pad} pads begin and end differently", pool("p", kernel_shape=[2, 2], auto_pad=auto_pad))

    def test_of_valid_is_none(self):
        self.assertEqual(self.read(pool("p", kernel_shape=[3, 3], auto_pad="VALID"))["p"]["padding"], 0)

    def test_that_differs_is_skipped(self):
        self.skipped(r"p is skipped: its pads are \[0, 0, 1, 1\]", pool("p", kernel_shape=[3, 3], pads=[0, 0, 1, 1]))

    def test_of_more_than_half_a_window_is_skipped(self):
        self.skipped("p is skipped: padding 2 is more than half", pool("p", kernel_shape=[3, 3], pads=[2, 2, 2, 2]))


class CeilMode(OnnxTest):
    def test_is_kept_where_it_makes_a_difference(self):
        self.assertTrue(self.read(pool("p", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1))["p"]["ceil_mode"])
        self.assertNotIn("ceil_mode", self.read(pool("p", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1))["p"])


class ANode(OnnxTest):
    def test_of_another_kind_is_skipped_with_its_name(self):
        window = {"kernel_shape": [3, 3]}
        self.skipped("p is skipped: its dilations", pool("p", dilations=[2, 2], **window))
        self.skipped("p is skipped: its type is FLOAT16", pool("p", **window), dtype=TensorProto.FLOAT16)
        self.skipped("p is skipped: its input has 3 dim", pool("p", kernel_shape=[3]), shape=[1, 8, 40])
        self.skipped("p is skipped: the input's H is left open", pool("p", **window), shape=[1, 8, "height", 50])
        self.skipped("p is skipped: the shape of its input", pool("p", **window), shape=None)
        self.skipped("p is skipped: ", pool("p", kernel_shape=[41, 3]))

    def test_that_is_skipped_leaves_the_others(self):
        self.assertEqual(list(self.read(pool("bad", kernel_shape=[3, 3], dilations=[2, 2]), pool("good", kernel_shape=[3, 3]))), ["good"])
        self.assertIn("bad is skipped", self.said)


class AFile(OnnxTest):
    def test_that_is_no_model_is_refused(self):
        for content in (b"", b"{}", b"hello world\n", b"\x89PNG\r\n"):
            self.path.write_bytes(content)
            with self.assertRaisesRegex(TuneFailed, "model.onnx: not an ONNX model"):
                workloads_of_model(self.path)
        self.path.unlink()
        with self.assertRaisesRegex(TuneFailed, "model.onnx: No such file"):
            workloads_of_model(self.path)

    def test_without_an_average_pooling_is_refused(self):
        with self.assertRaisesRegex(TuneFailed, "model.onnx has no AveragePool and no GlobalAveragePool"):
            self.read(helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2]))
        with self.assertRaisesRegex(TuneFailed, "model.onnx has no AveragePool"):
            self.read(helper.make_node("AveragePool", ["x"], ["y"], domain="else", kernel_shape=[2, 2]),
                      opset_imports=[helper.make_opsetid("", 19), helper.make_opsetid("else", 1)])


class WithoutOnnx(unittest.TestCase):
    def test_the_command_that_installs_it_is_said(self):
        with mock.patch.dict(sys.modules, {"onnx": None}):
            with self.assertRaisesRegex(TuneFailed, "-m pip install --requirement .*requirements.txt"):
                workloads_of_model("model.onnx")


if __name__ == "__main__":
    passed = unittest.main(exit=False).result.wasSuccessful()
    if passed and onnx is None:
        print("[  SKIPPED ] needs the onnx package")  # CTest looks for this, and then not at the exit status
    sys.exit(not passed)
