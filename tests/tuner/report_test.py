import contextlib
import html.parser
import io
import json
import pathlib
import re
import tempfile
import unittest

from common import SOURCE, TuneFailed
import report  # behind common: not the benchmark's
from results import Row, number

SPEED = json.loads((SOURCE / "docs/speed.json").read_text())
VOID = {"meta"}


class Page(html.parser.HTMLParser):
    """Its charts, [{bar's title: width}]; AssertionError where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.charts, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "svg":
            self.charts.append([])
        elif tag == "rect":
            self.charts[-1].append([float(dict(attributes)["width"])])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.words.append(data)
        if self.open[-2:] == ["rect", "title"]:
            self.charts[-1][-1].append(data)


class ReportTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content, indent=2).encode())
        return path

    def report(self, results, schedules=None):
        """(text, Page) of it."""
        arguments = [str(self.file("results.json", results)), "--output", str(self.folder / "report.html")]
        if schedules is not None:
            arguments += ["--schedules", str(self.file("schedules.json", schedules))]
        with contextlib.redirect_stdout(io.StringIO()):
            report.command(arguments)
        text = (self.folder / "report.html").read_text(encoding="utf-8")
        return text, Page(text)

    def refused(self, reason, *files):
        with self.assertRaisesRegex(TuneFailed, reason):
            self.report(*files)
        self.assertFalse([path.name for path in self.folder.iterdir() if path.suffix != ".json"])


class APage(ReportTest):
    def test_has_every_row_with_bars_as_long_as_its_times(self):
        text, page = self.report(SPEED)
        rows = [Row(entry, SPEED["bound"]) for problem in dict.fromkeys(entry["problem"] for entry in SPEED["rows"])
                for entry in SPEED["rows"] if entry["problem"] == problem]
        self.assertEqual(len(page.charts), len(SPEED["rows"]))
        for row, bars in zip(rows, page.charts):
            self.assertIn(f"<h3>{row.entry['problem']}</h3>", text)
            self.assertIn(f"<code>{row.peers['halpool']['kernel']}</code>", text)
            self.assertEqual({title.split(":")[0].split(" ")[0] for _, title in bars}, set(row.peers))
            scale = max(map(row.us, row.peers)) / report.BAR_WIDTH
            for width, title in bars:
                name = re.split("[ :]", title)[0]
                self.assertAlmostEqual(width * scale, row.us(name), delta=0.001 * scale)
                self.assertTrue(title.endswith(f": {number(row.us(name))} us"), title)

    def test_says_the_machine_the_versions_and_the_means(self):
        text, page = self.report(SPEED)
        for fact in (f"{SPEED['cpu']}, {SPEED['cores']} cores", SPEED["date"], "onednn 3.2.0", SPEED["commit"], "geometric mean"):
            self.assertIn(fact, text)
        cells = re.findall("<tr>(.*?)</tr>", text)
        rows = [Row(entry, SPEED["bound"]) for entry in SPEED["rows"]]
        ups = [row.speed_up() for row in rows if (row.threads, row.layout, row.dtype) == (1, "nchw", "f32")]
        mean = next(line for line in cells if "speed-up over the best peer</td><td>NCHW" in line)
        self.assertIn(f">{report.factor(report.geometric_mean(ups))}</td>", mean)
        self.assertIn(f">{report.factor(min(ups))}</td>", mean)

    def test_brings_in_nothing_from_elsewhere(self):
        text, page = self.report(SPEED)
        self.assertFalse({"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags})
        names = {name for _, attributes in page.tags for name in attributes}
        self.assertFalse([name for name in names if name in ("src", "href", "style") or name.startswith("on")])
        self.assertNotRegex(text, r"url\(|@import|https?:")

    def test_escapes_what_files_say(self):
        evil = "</title></style><script>alert(1)</script>\"'&\ud800"

        def hostile(value):
            if isinstance(value, dict):
                return {key if key in known else evil + key: hostile(each) for key, each in value.items()}
            if isinstance(value, list):
                return [hostile(each) for each in value]
            return evil + value if isinstance(value, str) else value
        known = {*SPEED, *SPEED["rows"][0], "halpool", "kernel", "ns", "wrong"}
        results = {**hostile({**SPEED, "rows": SPEED["rows"][:6]}), "unit": "ns"}
        self.assertIn(results["bound"], results["rows"][0]["peers"])
        family = evil + "a"
        text, page = self.report(results, {"target": evil, "provenance": {evil: [evil]}, "kernels": {family: {evil: evil}},
                                           "noise": {family: 0.1}})
        self.assertEqual(len(page.charts), 6)
        self.assertNotIn("script", {tag for tag, _ in page.tags})
        self.assertIn("alert(1)", "".join(page.words))
        self.assertFalse({name for _, attributes in page.tags for name in attributes} - {
            "charset", "class", "lang", "name", "content", "http-equiv", "viewbox", "role", "aria-label", "x", "y", "width", "height",
            "text-anchor"})

    def test_marks_a_wrong_result_and_does_without_peers(self):
        entry = SPEED["rows"][0]
        peers = json.loads(json.dumps(entry["peers"]))
        peers["onednn"]["wrong"] = True
        alone = {name: peers[name] for name in ("halpool", "roofline")}
        text, _ = self.report({**SPEED, "rows": [{**entry, "peers": peers}]})
        self.assertIn('<rect class="wrong"', text)
        self.assertNotIn("speed-up over onednn", text)
        text, _ = self.report({**SPEED, "rows": [{**entry, "peers": alone}]})
        self.assertIn("no peer to compare with", text)


class TheSchedules(ReportTest):
    def test_are_said_at_their_workload(self):
        rows = [Row(entry, SPEED["bound"]) for entry in SPEED["rows"]]
        families = [report.family_of(row) for row in rows]
        self.assertEqual([family is not None for family in families], [row.dtype == "f32" for row in rows])  # which alone is tuned
        self.assertEqual(families[0], "avg_pool2d_f32_nchw-64x56x56_2x2s2")
        one, two = "avg_pool2d_f32_nchw-64x56x56_3x3s1p1", "avg_pool2d_f32_nhwc-64x56x56_3x3s1p1"
        self.assertLessEqual({one, two}, set(families))
        schedules = {"target": "x86-64-avx512", "provenance": [{"how": "by search"}, {"how": "again"}],
                     "over_default": {one: 1.354, two: 1.0}, "noise": {one: 0.0123}, "kernels": {one: {"vector": 8}, two: None}}
        results = json.loads(json.dumps(SPEED))
        for entry in results["rows"]:
            if entry["workload"] == "W3i" and entry["layout"] == "nchw" and entry["threads"] == 1:
                entry["peers"]["halpool"]["kernel"] = f"{one}_x86-64-avx512"
        text, _ = self.report(results, schedules)
        said = "tuned: <code>{&quot;vector&quot;: 8}</code>; 1.35 times as fast as without, measured twice within 1.2 %"
        self.assertEqual(text.count(said + "</p>"), 1)  # W3i on one thread
        self.assertEqual(text.count(said + "; another kernel ran here"), 3)  # with two threads, and W3e
        self.assertEqual(text.count("tuned: none is faster than the kernel that it gets anyway</p>"), 4)
        self.assertEqual(text.count("<th>provenance</th>"), 2)
        self.assertIn("W3i, W3e", text)

    def test_may_be_of_kernels_that_everybody_gets_and_not_measured(self):
        family = "avg_pool2d_f32_nchw_2x2s2"
        ran = sum(entry["peers"]["halpool"]["kernel"] == f"{family}_x86-64-avx512" for entry in SPEED["rows"])
        text, _ = self.report(SPEED, {"target": "x86-64-avx512", "kernels": {family: {"vector": 8}, "avg_pool2d_f32_nchw_global": None}})
        self.assertGreater(ran, 0)
        self.assertEqual(text.count("tuned: <code>{&quot;vector&quot;: 8}</code></p>"), ran)
        self.assertIn("<td>none</td>", text)

    def test_that_are_none_are_refused(self):
        def refused(reason, document):
            self.refused(reason, SPEED, document)
        refused("schedules.json: not a schedule file", SPEED)
        refused("schedules.json: not a schedule file", [])
        refused("schedules.json:1: not JSON", b"{,}")
        refused("schedules.json:4: the schedule of a is not", {"target": "t", "kernels": {"a": 3}})
        refused("schedules.json:4: over_default does", {"target": "t", "kernels": {}, "over_default": {"a": "2"}})
        refused("schedules.json:3: noise does", {"target": "t", "noise": [], "kernels": {}})


class AResultsFile(ReportTest):
    def test_that_is_none_is_refused(self):
        self.refused("results.json:3: not JSON", b'{\n"rows": [],\n}')
        self.refused("results.json: not JSON", b"\xff\xfe")
        self.refused("results.json", b"[" * 200000)
        for foreign in ([], 3, {}, {**SPEED, "unit": "s"}, {**SPEED, "rows": {}}, {**SPEED, "versions": None}):
            self.refused("results.json: not a results file", foreign)
        self.refused("results.json: the benchmark that wrote it measured nothing", {**SPEED, "rows": []})
        with self.assertRaisesRegex(TuneFailed, "none.json: No such file"):
            report.command([str(self.folder / "none.json"), "--output", str(self.folder / "report.html")])

    def test_with_a_broken_row_is_refused(self):
        whole = SPEED["rows"][0]

        def refused(reason, **change):
            self.refused(f"results.json: row 2: {reason}", {**SPEED, "rows": [whole, {**whole, **change}]})
        refused("it has no workload", workload=3)
        for threads in ("1", 0, True, 1.5):
            refused("it has no number of threads", threads=threads)
        refused("it has no times of halpool and of roofline", peers={"halpool": whole["peers"]["halpool"]})
        for ns in (None, [], [[]], [[0.0]], [["1"]], [[float("nan")]], [[float("inf")]], [[10 ** 400]], [[True]], [1.0]):
            refused("the times of onednn", peers={**whole["peers"], "onednn": {"kernel": "k", "ns": ns}})
        refused("what onednn ran", peers={**whole["peers"], "onednn": {"kernel": [], "ns": [[1.0]]}})


if __name__ == "__main__":
    unittest.main()
