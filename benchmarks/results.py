"""What the benchmark's raw figures say: the rows of its table, and the summary."""

import math

ENOUGH_REPETITIONS = 15
# A call shorter than this pays more for waking threads than they give.
WORTH_THREADS_US = 30


class Row:
    """One workload in one layout and with one number of threads: an entry of the report's "rows"."""

    def __init__(self, entry, bound):
        self.entry = entry
        self.bound = bound
        self.layout = entry["layout"]
        self.dtype = entry.get("dtype", "f32")  # older figures do not say it
        self.threads = entry["threads"]
        self.peers = entry["peers"]
        self.name = f"{entry['workload']} {self.layout}"

    def us(self, peer="halpool"):
        return min(min(ns) for ns in self.peers[peer]["ns"]) / 1e3

    def repetitions(self, peer):
        return sum(map(len, self.peers[peer]["ns"]))

    def wrong(self, peer):
        return self.peers[peer].get("wrong", False)

    def best_peer(self):
        """The fastest of those whose output agrees; None where no peer does this."""
        right = [name for name in self.peers if name not in ("halpool", self.bound) and not self.wrong(name)]
        return min(right, key=self.us, default=None)

    def speed_up(self, peer=None):
        """Over this peer, or the best one; None without it."""
        peer = peer or self.best_peer()
        if peer not in self.peers or self.wrong(peer):
            return None
        return self.us(peer) / self.us()

    def over_bound(self):
        return self.us() / self.us(self.bound)


def over_one_thread(rows):
    """{row's name: {threads: speed-up of halpool over its own time with one thread}}."""
    alone = {row.name: row.us() for row in rows if row.threads == 1}
    found = {}
    for row in rows:
        if row.threads > 1 and row.name in alone:
            found.setdefault(row.name, {})[row.threads] = alone[row.name] / row.us()
    return found


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def number(us):
    return f"{us:.3f}" if us < 1 else f"{us:.2f}" if us < 100 else f"{us:.0f}"


def factor(value):
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def count_of_threads(threads):
    return f"{threads} thread{'s' if threads > 1 else ''}"


class Table:
    """Printed row by row, as the figures come."""

    def __init__(self, peers, bound, problems):
        self.peers = peers
        self.bound = bound
        self.first_width = max([len("workload"), *map(len, problems)])
        self.printed = []
        # What a bound that is a bandwidth of the device makes of halpool's time.
        self.rate = bound == "copy"

    def head(self):
        return self.cells("workload", "memory", "threads", "halpool", "best peer", "", "speed-up", self.bound,
                          "x bound", "over 1 thr", *self.peers, "GB/s" if self.rate else "", "kernel")

    def line(self, row, rate_bytes):
        best = row.best_peer()
        scaling = over_one_thread([*self.printed, row]).get(row.name, {}).get(row.threads)
        self.printed.append(row)
        return self.cells(row.entry["problem"], row.layout, row.threads, self.time(row, "halpool"), best or "none",
                          self.time(row, best) if best else "", factor(row.speed_up()), self.time(row, self.bound),
                          factor(row.over_bound()), factor(scaling), *(self.time(row, peer) for peer in self.peers),
                          f"{rate_bytes / row.us() / 1e3:.0f}" if self.rate else "", row.peers["halpool"]["kernel"])

    def unsupported(self, problem, layout, threads, reason):
        return f"{problem:{self.first_width}} {layout:6} {threads:>7} {reason}"

    def time(self, row, peer):
        if peer not in row.peers:
            return "-"
        few = "~" if row.repetitions(peer) < ENOUGH_REPETITIONS else ""
        return few + number(row.us(peer)) + (" wrong" if row.wrong(peer) else "")

    def cells(self, workload, memory, threads, halpool, best, best_time, speed_up, bound, over_bound, scaling, *rest):
        *peers, rate, kernel = rest
        text = (f"{workload:{self.first_width}} {memory:6} {threads:>7} {halpool:>8}  {best:>11} {best_time:>8} "
                f"{speed_up:>8} {bound:>9} {over_bound:>7} {scaling:>10} ")
        text += "".join(f" {time:>11}" for time in peers)
        return f"{text} {rate:>5}  {kernel}" if self.rate else f"{text}  {kernel}"


def spread(named):
    """Of [(value, name)]: the geometric mean and the lowest."""
    lowest, name = min(named)
    return f"geometric mean {geometric_mean([value for value, _ in named]):.2f}, lowest {lowest:.2f} ({name})"


def main_dtype(rows):
    """The one that figures of several rows are of, unless they say another: no mean is of more than one."""
    return "f32" if any(row.dtype == "f32" for row in rows) else rows[0].dtype


def summary(rows, peers):
    """Lines of text. Of dtypes other than the main one, of which there are few rows, the best peer and the bound alone."""
    main = main_dtype(rows)
    others = [dtype for dtype in dict.fromkeys(row.dtype for row in rows) if dtype != main]
    for threads in sorted({row.threads for row in rows}):
        here = [row for row in rows if row.threads == threads and row.dtype == main]
        yield f"{count_of_threads(threads)}{'' if main == 'f32' else f', {main}'}: speed-up over"
        for layout in sorted({row.layout for row in here}):
            yield from speed_ups(f"the best peer, {layout}", [row for row in here if row.layout == layout])
        for peer in peers:
            yield from speed_ups(peer, here, peer)
        for layout in sorted({row.layout for row in here}):
            bounds = [(row.over_bound(), row.name) for row in here if row.layout == layout]
            highest, name = max(bounds)
            yield (f"  time over the {here[0].bound}'s, {layout}: geometric mean "
                   f"{geometric_mean([value for value, _ in bounds]):.2f}, highest {highest:.2f} ({name})")
        for dtype in others:
            of_it = [row for row in rows if row.threads == threads and row.dtype == dtype]
            for layout in sorted({row.layout for row in of_it}):
                yield of_dtype(dtype, layout, [row for row in of_it if row.layout == layout])
    rows = [row for row in rows if row.dtype == main]
    long = {row.name for row in rows if row.threads == 1 and row.us() > WORTH_THREADS_US}
    scaling = over_one_thread(rows)
    for threads in sorted({count for factors in scaling.values() for count in factors}):
        named = [(factors[threads], name) for name, factors in scaling.items() if name in long and threads in factors]
        if named:
            yield f"{count_of_threads(threads)} over 1, rows above {WORTH_THREADS_US} us: {spread(named)}"
            yield "  " + ", ".join(f"{name} {value:.2f}" for value, name in named)


def of_dtype(dtype, layout, rows):
    named = [(row.speed_up(), row.name) for row in rows if row.best_peer()]
    best = f"over the best peer: {spread(named)}" if named else "no peer"
    bound = geometric_mean([row.over_bound() for row in rows])
    return f"  {dtype}, {layout}: {best}; time over the {rows[0].bound}'s: {bound:.2f}"


def speed_ups(what, rows, peer=None):
    named = [(row.speed_up(peer), row.name) for row in rows if row.speed_up(peer) is not None]
    if named:
        slower = sum(value < 1 for value, _ in named)
        yield f"  {what}: {spread(named)}, below 1 in {slower} of {len(named)} rows"
