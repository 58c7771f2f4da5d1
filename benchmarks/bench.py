"""Times halpool against other libraries and against the cost of moving the data: ./dev bench.

Every peer is a process of its own, started once a pass (one pass for each number of threads), with its own buffers
and its own clock. The workloads are taken one after the other; the peers take turns at each, in interleaved
rounds, so that a noisy moment meets all of them. A figure is the minimum of all repetitions, in warm caches. The
outputs are compared: a time counts only for the right answer.
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# Of each device; its bound is the last column: the cost of moving the data.
PEERS = {"cpu": ("onednn", "onnxruntime"), "cuda": ("cudnn", "torch")}
BOUND = {"cpu": "roofline", "cuda": "copy"}
WORKLOADS = {"cpu": HERE / "workloads.json", "cuda": HERE / "workloads_cuda.json"}
ROUNDS = 5
REPETITIONS = 3  # a round, of calls that take long
SHORT_CALL_REPETITIONS = 30
SHORT_CALL_NS = 100e3

# What all repetitions of one peer at one workload may take; a slower one gets fewer. Such a peer is far behind.
BUDGET_S = 4.0
QUICK_BUDGET_S = 0.5
# More additions than this (W9 and W13) take a library without a trick for large windows seconds a call.
QUICK_TAPS = 5e8


def pair(value):
    return value if isinstance(value, list) else [value, value]


class Workload:
    def __init__(self, entry):
        self.name = entry["name"]
        self.input = entry["input"]
        self.kernel = pair(entry["kernel_size"])
        self.stride = pair(entry.get("stride", self.kernel))
        self.pad = pair(entry.get("padding", 0))
        self.count_include_pad = entry.get("count_include_pad", True)
        self.output = self.input[:2] + [
            (extent + 2 * pad - kernel) // stride + 1
            for extent, kernel, stride, pad in zip(self.input[2:], self.kernel, self.stride, self.pad)]

    def __str__(self):
        def short(values):
            return "x".join(map(str, values if values[0] != values[1] else values[:1]))
        text = f"{self.name} {'x'.join(map(str, self.input))} k{short(self.kernel)} s{short(self.stride)}"
        if any(self.pad):
            text += f" p{short(self.pad)}" + ("" if self.count_include_pad else " exclude")
        return text

    def command(self, layout):
        numbers = self.input + self.kernel + self.stride + self.pad + [int(self.count_include_pad)]
        return " ".join(["setup", layout, *map(str, numbers)])

    def taps(self):
        return math.prod(self.output) * math.prod(self.kernel)

    def bytes(self):
        return 4 * (math.prod(self.input) + math.prod(self.output))

    def tolerance(self):
        """For inputs within [-1, 1], a peer that adds one tap after the other in f32, and a rounded division."""
        return (math.prod(self.kernel) + 16) * 2.0 ** -24


class PeerFailed(Exception):
    pass


class Unsupported(Exception):
    """A workload that a peer does not do."""


class Peer:
    def __init__(self, name, command, threads):
        self.name = name
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                            env=environment)
        except OSError as error:
            raise PeerFailed(f"{name} cannot be started: {error}") from error

    def ask(self, line):
        """The words after "ok"."""
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer below says what there is to say
        answer = self.process.stdout.readline()
        status, *words = answer.split() or [f"ended with status {self.process.wait()}"]
        if status == "unsupported":
            raise Unsupported(" ".join(words))
        if status != "ok":
            raise PeerFailed(f"{self.name}: {line}: {answer.strip() or status}")
        return words

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def peer_commands(options, threads):
    programs = options.build / "bench"
    cuda = options.device == "cuda"
    halpool = [str(programs / "peer_halpool_cuda")] if cuda else [str(programs / "peer_halpool"), "--threads", str(threads)]
    for name in ("target", "kernel"):
        if getattr(options, name):
            halpool += [f"--{name}", getattr(options, name)]
    commands = {
        "halpool": halpool,
        "roofline": [str(programs / "peer_roofline"), "--threads", str(threads)],
        "onednn": [str(programs / "peer_onednn")],
        "onnxruntime": [sys.executable, str(HERE / "peer_onnxruntime.py"), "--threads", str(threads)],
        "copy": [str(programs / "peer_copy_cuda")],
        "cudnn": [str(programs / "peer_cudnn")],
        # The user's own Python: PyTorch for CUDA is too large to install for a benchmark.
        "torch": [os.environ.get("PYTHON", "python3"), str(HERE / "peer_torch_cuda.py")],
    }
    return {name: commands[name] for name in ("halpool", BOUND[options.device], *options.peers)}


def measure(workload, layout, peers, threads, options):
    """One row of the table: {peer: {"kernel", "ns": [[of a round]...], "difference"}}."""
    budget_ns = (QUICK_BUDGET_S if options.quick else BUDGET_S) * 1e9
    reference = options.output.parent / "halpool_output.bin"
    row = {}
    turns = []
    for name, peer in peers.items():
        try:
            call_ns = float(peer.ask(workload.command(layout))[0])
        except Unsupported:
            if name == "halpool":
                raise
            continue
        figures = row[name] = {"kernel": None, "ns": []}
        if name == "halpool":
            peer.ask(f"write {reference}")
        elif name != BOUND[options.device]:
            figures["difference"] = float(peer.ask(f"compare {reference}")[0])
        if call_ns <= SHORT_CALL_NS:
            turns.append((name, ROUNDS, SHORT_CALL_REPETITIONS))
        elif call_ns * ROUNDS * REPETITIONS <= budget_ns:
            turns.append((name, ROUNDS, REPETITIONS))
        elif call_ns <= budget_ns:
            turns.append((name, min(ROUNDS, int(budget_ns // call_ns)), 1))
        else:
            figures["ns"].append([call_ns])
    reference.unlink()

    best = {}
    for this_round in range(ROUNDS):
        for name, rounds, repetitions in turns:
            if this_round >= rounds:
                continue
            # The idle threads of the peer before spin for a while before they sleep.
            if threads > 1:
                time.sleep(0.01)
            kernel, *ns = peers[name].ask(f"run {repetitions}")
            ns = [float(figure) for figure in ns]
            row[name]["ns"].append(ns)
            if min(ns) < best.get(name, math.inf):
                best[name] = min(ns)
                row[name]["kernel"] = kernel
    return row


def minimum_us(figures):
    return min(min(ns) for ns in figures["ns"]) / 1e3


def number(figures):
    us = minimum_us(figures)
    few = "~" if sum(map(len, figures["ns"])) < ROUNDS * REPETITIONS else ""
    return few + (f"{us:.3f}" if us < 1 else f"{us:.2f}" if us < 100 else f"{us:.0f}")


class Table:
    def __init__(self, peers, workloads, device):
        self.columns = [*peers, BOUND[device]]
        self.device = device
        self.width = max(len(str(w)) for w in workloads)

    def head(self):
        cells = "".join(f"{name:>20}" for name in self.columns)
        return (f"microseconds, and in brackets halpool's time over this one's\n"
                f"{'workload':{self.width}}  layout {'halpool':>9}{self.rate('GB/s')}{cells}  kernel")

    def rate(self, text):
        """What halpool achieves, where the bound is a bandwidth of the device's."""
        return f"{text:>7}" if self.device != "cpu" else ""

    def line(self, workload, layout, row, wrong):
        halpool = minimum_us(row["halpool"])
        cells = ""
        for name in self.columns:
            if name not in row:
                cells += f"{'-':>20}"
                continue
            ratio = "wrong" if name in wrong else f"{halpool / minimum_us(row[name]):.2f}"
            cells += f"{number(row[name]):>12} {f'({ratio})':>7}"
        kernel = row["halpool"]["kernel"]
        rate = self.rate(f"{workload.bytes() / halpool / 1e3:.0f}")
        return f"{str(workload):{self.width}}  {layout:6} {number(row['halpool']):>9}{rate}{cells}  {kernel}"


def summary(rows, peers, device):
    for name in (*peers, BOUND[device]):
        ratios = [(minimum_us(row["halpool"]) / minimum_us(row[name]), f"{workload.name} {layout}")
                  for workload, layout, row in rows if name in row]
        if not ratios:
            continue
        mean = math.exp(sum(math.log(ratio) for ratio, _ in ratios) / len(ratios))
        worst, where = max(ratios)
        slower = sum(ratio > 1 for ratio, _ in ratios)
        yield (f"halpool / {name}: geometric mean {mean:.2f}, worst {worst:.2f} ({where}), "
               f"slower in {slower} of {len(ratios)}")


def cpu_model():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def busy_cores(seconds=0.5):
    """How many cores other programs use, while the peers wait; None where /proc does not say."""
    def idle_ticks():
        user, nice, system, idle, iowait, *_ = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
        return idle + iowait
    try:
        before, begin = idle_ticks(), time.monotonic()
        time.sleep(seconds)
        idle = (idle_ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begin)
        return max(os.cpu_count() - idle, 0.0)
    except (OSError, ValueError):
        return None


def run_pass(threads, workloads, layouts, options, report):
    """Returns the names of the rows in which outputs differ."""
    peers = {}
    wrong_rows = []
    try:
        for name, command in peer_commands(options, threads).items():
            peers[name] = Peer(name, command, threads)
        for name, peer in list(peers.items()):
            try:
                peer.ask("ready")
            except PeerFailed as failure:
                if options.device == "cpu" or name not in options.peers:
                    raise
                print(f"bench: without {name}: {failure}", file=sys.stderr)  # it need not be installed
                peers.pop(name).stop()
        if options.device != "cpu":
            try:
                peers[BOUND[options.device]].ask("setup nchw 1 1 8 8 2 2 2 2 0 0 1")
            except Unsupported as reason:
                raise PeerFailed(f"no {options.device} device to measure: {reason}") from reason
        busy = busy_cores()
        report["busy_cores"][threads] = busy
        if busy and busy > 0.2:
            print(f"bench: other programs use {busy:.1f} of {os.cpu_count()} cores: times may be far off",
                  file=sys.stderr)
        table = Table(options.peers, workloads, options.device)
        where = f"{threads} thread{'s' if threads > 1 else ''}, {cpu_model()}" if options.device == "cpu" else "CUDA device 0"
        print(f"\n{where}\n{table.head()}", flush=True)
        rows = []
        for workload in workloads:
            for layout in layouts:
                if not options.only.search(f"{workload.name} {layout}"):
                    continue
                try:
                    row = measure(workload, layout, peers, threads, options)
                except Unsupported as reason:
                    print(f"{str(workload):{table.width}}  {layout:6} {reason}", flush=True)
                    continue
                wrong = [name for name in row if not row[name].get("difference", 0) <= workload.tolerance()]
                print(table.line(workload, layout, row, wrong), flush=True)
                rows.append((workload, layout, row))
                report["rows"].append({"workload": workload.name, "problem": str(workload), "layout": layout,
                                       "threads": threads, "peers": row})
                if wrong:
                    wrong_rows.append(f"{workload.name} {layout} ({', '.join(wrong)})")
        for line in summary(rows, options.peers, options.device):
            print(line, flush=True)
    finally:
        for peer in peers.values():
            peer.stop()
    return wrong_rows


def as_json(report):
    """One line a row: thousands of figures stay readable."""
    head = json.dumps({key: value for key, value in report.items() if key != "rows"}, indent=2)[:-2]
    rows = ",\n".join("    " + json.dumps(row) for row in report["rows"])
    return f'{head},\n  "rows": [\n{rows}\n  ]\n}}\n'


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__,
        epilog="A figure marked ~ is the minimum of fewer than 15 repetitions, for a call that takes long.")
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--device", choices=PEERS, default="cpu",
                        help="cuda: against a device-to-device copy, and cuDNN and PyTorch where they are installed")
    parser.add_argument("--workloads", type=pathlib.Path, metavar="FILE",
                        help="the problems (default: benchmarks/workloads.json, which shows the form, or workloads_cuda.json)")
    parser.add_argument("--only", type=re.compile, default=re.compile(""), metavar="REGEX",
                        help='rows to run, by name and layout: --only "^W[345].* nhwc"')
    parser.add_argument("--peers", metavar="LIST",
                        help="of onednn,onnxruntime, or of cudnn,torch on CUDA (default: both)")
    parser.add_argument("--threads", default="1", metavar="LIST", help="one pass for each: --threads 1,2")
    parser.add_argument("--quick", action="store_true",
                        help="under two minutes: less time for slow peers, and without the largest windows")
    parser.add_argument("--target", metavar="NAME", help="force halpool's target")
    parser.add_argument("--kernel", metavar="NAME", help="force halpool's kernel: only the rows that it takes")
    parser.add_argument("--output", type=pathlib.Path, metavar="FILE",
                        help="the raw figures (default: build/bench/results.json)")
    options = parser.parse_args()
    known = PEERS[options.device]
    options.peers = list(known) if options.peers is None else [name for name in options.peers.split(",") if name]
    for name in options.peers:
        if name not in known:
            parser.error(f"no peer {name}: there are {', '.join(known)}")
    options.workloads = options.workloads or WORKLOADS[options.device]
    try:
        options.threads = [int(threads) for threads in options.threads.split(",")]
    except ValueError:
        parser.error("--threads takes numbers: 1,2")
    options.output = (options.output or options.build / "bench" / "results.json").resolve()
    return options


def main():
    options = parse_arguments()
    try:
        data = json.loads(options.workloads.read_text())
        workloads = [Workload(entry) for entry in data["workloads"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"bench: {options.workloads} does not hold workloads: {error!r}")
    if options.quick:
        workloads = [workload for workload in workloads if workload.taps() <= QUICK_TAPS]
    workloads = [workload for workload in workloads
                 if any(options.only.search(f"{workload.name} {layout}") for layout in data["layouts"])]
    if not workloads:
        sys.exit("bench: no workload left to run")

    report = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              "cpu": cpu_model(), "cores": os.cpu_count(), "command": sys.argv[1:], "unit": "ns",
              "busy_cores": {}, "rows": []}
    wrong = []
    try:
        for threads in options.threads:
            wrong += run_pass(threads, workloads, data["layouts"], options, report)
    except PeerFailed as failure:
        sys.exit(f"bench: {failure}")
    finally:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(as_json(report))
    if not report["rows"]:
        sys.exit("bench: halpool takes none of these rows")
    print(f"\nraw figures: {options.output}")
    if wrong:
        sys.exit("bench: outputs differ from halpool's: " + "; ".join(wrong))


if __name__ == "__main__":
    main()
