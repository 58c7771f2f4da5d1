import unittest

import report
from results import Row, Table, geometric_mean, over_one_thread, summary


def row(workload="W1", layout="nchw", threads=1, wrong=(), dtype=None, **us):
    """halpool=10 is 10 us in the best of two rounds."""
    peers = {name: {"kernel": f"{name}_kernel", "ns": [[time * 2000, time * 1000], [time * 3000]]}
             for name, time in us.items()}
    for name in wrong:
        peers[name]["wrong"] = True
    entry = {"workload": workload, "problem": f"{workload} 1x1x8x8", "layout": layout, "threads": threads, "peers": peers}
    return Row(entry if dtype is None else {**entry, "dtype": dtype}, "roofline")


class ARow(unittest.TestCase):
    def test_a_time_is_the_minimum_of_all_rounds(self):
        self.assertEqual(row(halpool=10, roofline=5).us(), 10)

    def test_the_best_peer_is_neither_halpool_nor_the_bound(self):
        measured = row(halpool=10, roofline=1, onednn=30, opencv=20)
        self.assertEqual(measured.best_peer(), "opencv")
        self.assertEqual(measured.speed_up(), 2)
        self.assertEqual(measured.speed_up("onednn"), 3)
        self.assertEqual(measured.over_bound(), 10)

    def test_a_peer_with_a_wrong_output_is_not_the_best(self):
        measured = row(halpool=10, roofline=1, onednn=30, opencv=20, wrong=["opencv"])
        self.assertEqual(measured.best_peer(), "onednn")
        self.assertIsNone(measured.speed_up("opencv"))

    def test_without_a_peer_there_is_no_speed_up(self):
        measured = row(halpool=10, roofline=1)
        self.assertIsNone(measured.best_peer())
        self.assertIsNone(measured.speed_up())
        self.assertIsNone(measured.speed_up("scipy"))


class OverOneThread(unittest.TestCase):
    def test_compares_the_same_workload_and_layout(self):
        rows = [row(halpool=10), row(layout="nhwc", halpool=40), row(threads=2, halpool=5),
                row(layout="nhwc", threads=2, halpool=32), row("W2", threads=2, halpool=1)]
        self.assertEqual(over_one_thread(rows), {"W1 nchw": {2: 2}, "W1 nhwc": {2: 1.25}})


class Summary(unittest.TestCase):
    def test_a_geometric_mean_of_a_factor_and_its_inverse_is_one(self):
        self.assertAlmostEqual(geometric_mean([4, 0.25]), 1)

    def test_names_the_lowest_row_of_each_layout_and_counts_the_losses(self):
        rows = [row(halpool=10, roofline=5, onednn=20), row("W2", halpool=10, roofline=5, onednn=5),
                row(layout="nhwc", halpool=10, roofline=10, onednn=80)]
        lines = list(summary(rows, ["onednn"]))
        self.assertEqual(lines[0], "1 thread: speed-up over")
        self.assertIn("  the best peer, nchw: geometric mean 1.00, lowest 0.50 (W2 nchw), below 1 in 1 of 2 rows", lines)
        self.assertIn("  the best peer, nhwc: geometric mean 8.00, lowest 8.00 (W1 nhwc), below 1 in 0 of 1 rows", lines)
        self.assertIn("  onednn: geometric mean 2.00, lowest 0.50 (W2 nchw), below 1 in 1 of 3 rows", lines)
        self.assertIn("  time over the roofline's, nchw: geometric mean 2.00, highest 2.00 (W2 nchw)", lines)

    def test_threads_are_judged_by_calls_that_are_worth_them(self):
        rows = [row(halpool=10, roofline=5), row("W2", halpool=100, roofline=5),
                row(threads=2, halpool=40, roofline=5), row("W2", threads=2, halpool=50, roofline=5)]
        lines = list(summary(rows, []))
        self.assertIn("2 threads over 1, rows above 30 us: geometric mean 2.00, lowest 2.00 (W2 nchw)", lines)
        self.assertEqual(lines[-1], "  W2 nchw 2.00")

    def test_says_nothing_of_a_peer_that_did_no_row(self):
        self.assertFalse(any("scipy" in line for line in summary([row(halpool=10, roofline=5)], ["scipy"])))


class OtherDtypes(unittest.TestCase):
    ROWS = [row("W19", dtype="bf16", halpool=10, roofline=2, onednn=90), row(halpool=10, roofline=5, onednn=20),
            row("W5i-f64", dtype="f64", halpool=10, roofline=5), row("W19", threads=2, dtype="bf16", halpool=5, roofline=2, onednn=10)]

    def test_figures_that_do_not_say_one_are_of_f32(self):
        self.assertEqual([r.dtype for r in self.ROWS], ["bf16", "f32", "f64", "bf16"])

    def test_are_in_no_mean_of_f32(self):
        lines = list(summary(self.ROWS[:3], ["onednn"]))
        self.assertEqual(lines, [
            "1 thread: speed-up over",
            "  the best peer, nchw: geometric mean 2.00, lowest 2.00 (W1 nchw), below 1 in 0 of 1 rows",
            "  onednn: geometric mean 2.00, lowest 2.00 (W1 nchw), below 1 in 0 of 1 rows",
            "  time over the roofline's, nchw: geometric mean 2.00, highest 2.00 (W1 nchw)",
            "  bf16, nchw: over the best peer: geometric mean 9.00, lowest 9.00 (W19 nchw); time over the roofline's: 5.00",
            "  f64, nchw: no peer; time over the roofline's: 2.00"])

    def test_may_be_alone(self):
        lines = list(summary([self.ROWS[0], self.ROWS[3]], ["onednn"]))
        self.assertEqual(lines[0], "1 thread, bf16: speed-up over")
        self.assertIn("  onednn: geometric mean 9.00, lowest 9.00 (W19 nchw), below 1 in 0 of 1 rows", lines)
        # One pass may have rows that another does not.
        self.assertIn("  bf16, nchw: over the best peer: geometric mean 2.00, lowest 2.00 (W19 nchw); time over the roofline's: 2.50",
                      list(summary(self.ROWS, ["onednn"])))

    def test_have_means_of_their_own_in_the_documentations_table(self):
        lines = list(report.lines({"bound": "roofline", "rows": [r.entry for r in self.ROWS[:3]]}))
        self.assertIn("NCHW, 1 thread: geometric mean of the speed-up over the best peer 2.00, lowest 2.00.", lines)
        self.assertIn("NCHW, bf16, 1 thread: geometric mean of the speed-up over the best peer 9.00, lowest 9.00.", lines)


class ATable(unittest.TestCase):
    def lines(self, *rows, peers=("onednn", "scipy")):
        table = Table(list(peers), "roofline", [r.entry["problem"] for r in rows])
        return [table.head(), *(table.line(r, 1) for r in rows)]

    def test_has_a_cell_for_every_column(self):
        head, line = self.lines(row(halpool=10, roofline=5, onednn=20))
        self.assertEqual(line.split(), ["W1", "1x1x8x8", "nchw", "1", "~10.00", "onednn", "~20.00", "2.00", "~5.00", "2.00",
                                        "~20.00", "-", "halpool_kernel"])
        self.assertEqual(head.index("kernel"), line.index("halpool_kernel"))

    def test_a_second_pass_is_compared_with_the_first(self):
        *_, line = self.lines(row(halpool=10, roofline=5), row(threads=2, halpool=8, roofline=5))
        self.assertIn(" 1.25 ", line)

    def test_says_the_bandwidth_where_the_bound_is_a_copy(self):
        measured = Row(row(halpool=10, copy=5).entry, "copy")
        table = Table([], "copy", [measured.entry["problem"]])
        self.assertIn("GB/s", table.head())
        self.assertEqual(table.line(measured, 1e6).split()[-2:], ["100", "halpool_kernel"])

    def test_marks_a_wrong_output(self):
        _, line = self.lines(row(halpool=10, roofline=5, onednn=2, scipy=30, wrong=["onednn"]))
        self.assertIn("~2.00 wrong", line)
        self.assertIn("scipy   ~30.00     3.00", line)


if __name__ == "__main__":
    unittest.main()
