"""Times halpool against other libraries and against the cost of moving the data: ./dev bench.

Every peer is a process of its own, started once a pass (one pass for each number of threads), with its own buffers
and its own clock. The workloads are taken one after the other; the peers take turns at each, in interleaved
rounds, so that a noisy moment meets all of them, and stand still between their turns. A figure is the minimum of
all repetitions, in warm caches: of tensors that caches hold, in other memory each round, since where pages lie alone is
worth a tenth of a time; of one thread, on one core. The outputs are compared: a time counts only for the right answer.
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

from peer_process import PeerFailed, PeerProcess, Unsupported
from results import Row, Table, summary
from workload import DTYPES, read_workloads

HERE = pathlib.Path(__file__).resolve().parent
# Of each device; its bound is the cost of moving the data.
PEERS = {"cpu": ("onednn", "onnxruntime", "opencv", "scipy", "torch"), "cuda": ("cudnn", "torch")}
BOUND = {"cpu": "roofline", "cuda": "copy"}
GROUPS = ("judged", "dtypes")  # that run unless others are named
WORKLOADS = {"cpu": HERE / "workloads.json", "cuda": HERE / "workloads_cuda.json"}
ROUNDS = 5
REPETITIONS = 3  # a round, of calls that take long
SHORT_CALL_REPETITIONS = 30
SHORT_CALL_NS = 100e3
# Of a workload's input and output together, at most: these get other memory each round.
PLACED_ANEW_BYTES = 16 << 20

# What all repetitions of one peer at one workload may take; a slower one gets fewer. Such a peer is far behind.
BUDGET_S = 4.0
QUICK_BUDGET_S = 0.4
# More additions than this (W13) take a library without a trick for large windows seconds a call.
QUICK_TAPS = 5e9

# --isa: halpool's target, and how each peer is told. SciPy's filter is compiled for every x86-64; the roofline is the
# machine's.
ISA_TARGET = {"sse41": "x86-64-sse41", "avx2": "x86-64-avx2"}
ISA_ENVIRONMENT = {
    "sse41": {"onednn": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
              "opencv": {"OPENCV_CPU_DISABLE": "SSE4.2,AVX,FP16,AVX2,AVX512-SKX", "OPENCV_IPP": "sse42"},
              "torch": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}},
    "avx2": {"onednn": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
             "opencv": {"OPENCV_CPU_DISABLE": "AVX512-SKX", "OPENCV_IPP": "avx2"},
             "torch": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}},
}
NO_ISA_LIMIT = ("onnxruntime",)


def peer_commands(options, threads):
    programs = options.build / "bench"
    count = ["--threads", str(threads)]
    halpool = [str(programs / "peer_halpool_cuda")] if options.device == "cuda" else [
        str(programs / "peer_halpool"), *count]
    for name in ("target", "kernel"):
        if getattr(options, name):
            halpool += [f"--{name}", getattr(options, name)]
    # The user's own Python: on x86-64, PyPI has PyTorch for CUDA alone, of gigabytes.
    users_python = os.environ.get("PYTHON", "python3")
    commands = {
        "halpool": halpool,
        "roofline": [str(programs / "peer_roofline"), *count],
        "onednn": [str(programs / "peer_onednn")],
        "onnxruntime": [sys.executable, str(HERE / "peer_onnxruntime.py"), *count],
        "opencv": [sys.executable, str(HERE / "peer_opencv.py"), *count],
        "scipy": [sys.executable, str(HERE / "peer_scipy.py")],
        "torch": [users_python, str(HERE / "peer_torch.py"), "--device", options.device, *count],
        "copy": [str(programs / "peer_copy_cuda")],
        "cudnn": [str(programs / "peer_cudnn")],
    }
    return {name: commands[name] for name in ("halpool", BOUND[options.device], *options.peers)}


def start_peers(options, threads, report):
    """Those that are there. Only a peer that nobody asked for by name may be missing, or on CUDA any."""
    started, peers = {}, {}
    core = max(os.sched_getaffinity(0)) if threads == 1 and options.device == "cpu" else None
    may_miss = options.peers if options.any_peers or options.device == "cuda" else ()
    try:
        for name, command in peer_commands(options, threads).items():
            environment = {"OMP_NUM_THREADS": str(threads), **ISA_ENVIRONMENT.get(options.isa, {}).get(name, {})}
            try:
                started[name] = PeerProcess(name, command, environment, core)
            except PeerFailed as failure:
                missing(name, failure, may_miss, options)
        for name, peer in started.items():
            try:
                report["versions"][name] = " ".join(peer.ask("ready"))
                peers[name] = peer
            except PeerFailed as failure:
                missing(name, failure, may_miss, options)
        return peers
    finally:
        for name, peer in started.items():
            if name not in peers:
                peer.stop()


def missing(name, failure, may_miss, options):
    if name not in may_miss:
        raise PeerFailed(f"{name}: {failure}") from failure
    options.peers.remove(name)
    print(f"bench: without {name}: {failure}", file=sys.stderr)


def set_up(name, peer, workload, layout, options):
    """What a call takes, in nanoseconds."""
    try:
        return float(peer.ask(workload.command(layout))[0])
    except Unsupported:
        # Of one channel, both layouts are the same memory, and a library that takes one takes this.
        if name not in options.peers or not workload.same_in_both_layouts():
            raise
        return float(peer.ask(workload.command({"nchw": "nhwc", "nhwc": "nchw"}[layout]))[0])


def measure(workload, layout, peers, options):
    """One row's raw figures: {peer: {"kernel", "ns": [[of a round]...], "difference"}}."""
    budget_ns = (QUICK_BUDGET_S if options.quick else BUDGET_S) * 1e9
    reference = options.output.parent / "halpool_output.bin"
    row = {}
    turns = []
    for name, peer in peers.items():
        try:
            peer.ask(f"keep {2 * ROUNDS}")  # inputs and outputs
            call_ns = set_up(name, peer, workload, layout, options)
        except Unsupported:
            if name == "halpool":
                raise
            continue
        figures = row[name] = {"kernel": None, "ns": []}
        if name == "halpool":
            peer.ask(f"write {reference}")
        elif name in options.peers:
            figures["difference"] = float(peer.ask(f"compare {reference}")[0])
            figures["wrong"] = not figures["difference"] <= workload.tolerance()
        if call_ns <= SHORT_CALL_NS:
            turns.append((name, ROUNDS, SHORT_CALL_REPETITIONS))
        elif call_ns * ROUNDS * REPETITIONS <= budget_ns or name not in options.peers:
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
            if this_round > 0 and workload.bytes() <= PLACED_ANEW_BYTES:
                set_up(name, peers[name], workload, layout, options)
            kernel, *ns = peers[name].ask(f"run {repetitions}")
            ns = [float(figure) for figure in ns]
            row[name]["ns"].append(ns)
            if min(ns) < best.get(name, math.inf):
                best[name] = min(ns)
                row[name]["kernel"] = kernel
    return row


def cpu_model():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit():
    """Of the tree this was run in; None outside of one."""
    try:
        return subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty"], check=True,
                              capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


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


def run_pass(threads, rows, table, options, report):
    """Appends to the report's rows; `rows` are the (workload, layout) to run."""
    peers = start_peers(options, threads, report)
    try:
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
        if not report["rows"]:
            versions = ", ".join(f"{name} {report['versions'][name]}" for name in ("halpool", *options.peers))
            where = report["cpu"] if options.device == "cpu" else "CUDA device 0"
            print(f"{where}: {versions}\nmicroseconds; speed-up: the best peer's time over halpool's; x bound: "
                  f"halpool's over the {BOUND[options.device]}'s\n\n{table.head()}", flush=True)
        for workload, layout in rows:
            try:
                figures = measure(workload, layout, peers, options)
            except Unsupported as reason:
                print(table.unsupported(str(workload), layout, threads, reason), flush=True)
                continue
            entry = {"workload": workload.name, "problem": str(workload), "dtype": workload.dtype, "layout": layout,
                     "threads": threads, "peers": figures}
            report["rows"].append(entry)
            print(table.line(Row(entry, BOUND[options.device]), workload.bytes()), flush=True)
    except PeerFailed as failure:
        raise PeerFailed(f"{threads} threads: {failure}") from failure
    finally:
        for peer in peers.values():
            peer.stop()


def as_json(report):
    """One line a row: thousands of figures stay readable."""
    head = json.dumps({key: value for key, value in report.items() if key != "rows"}, indent=2)[:-2]
    rows = ",\n".join("    " + json.dumps(row) for row in report["rows"])
    return f'{head},\n  "rows": [\n{rows}\n  ]\n}}\n'


def draw(report, options):
    try:
        import plot
    except ImportError as reason:
        print(f"bench: no plot: {reason}", file=sys.stderr)
        return
    plot.draw(report, options.plot)
    print(f"plot: {options.plot}")


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__,
        epilog="A figure marked ~ is the minimum of fewer than 15 repetitions, for a call that takes long. PyTorch is "
               "compared\nwith where the user's own Python (python3, or PYTHON=...) has it and numpy: on x86-64, "
               "PyPI has it with CUDA\nalone, which is too large to install for a benchmark.")
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--device", choices=PEERS, default="cpu",
                        help="cuda: against a device-to-device copy, and cuDNN and PyTorch where they are installed")
    parser.add_argument("--workloads", type=pathlib.Path, metavar="FILE",
                        help="the problems (default: benchmarks/workloads.json, which shows the form, or workloads_cuda.json)")
    parser.add_argument("--all", action="store_true", help=f"the rows of every group, not only of {' and '.join(GROUPS)}")
    parser.add_argument("--only", type=re.compile, metavar="REGEX",
                        help='rows to run, of every group, by name and layout: --only "^W[345].* nhwc"')
    parser.add_argument("--peers", metavar="LIST",
                        help="of " + ",".join(PEERS["cpu"]) + ", or of " + ",".join(PEERS["cuda"]) +
                             " on CUDA (default: those that are there)")
    parser.add_argument("--threads", metavar="LIST", help="one pass for each (default: 1,2; 1 on CUDA)")
    parser.add_argument("--backward", action="store_true",
                        help="the gradient of each workload, of workloads_backward.json unless another file is named; on the CPU")
    parser.add_argument("--quick", action="store_true",
                        help="under two minutes: less time for slow peers, and without the largest windows")
    parser.add_argument("--isa", choices=ISA_TARGET,
                        help="x86: as on a CPU that has no more; without ONNX Runtime, which cannot be limited")
    parser.add_argument("--target", metavar="NAME", help="force halpool's target")
    parser.add_argument("--kernel", metavar="NAME", help="force halpool's kernel: only the rows that it takes")
    parser.add_argument("--output", type=pathlib.Path, metavar="FILE",
                        help="the raw figures (default: build/bench/results.json)")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE",
                        help="of the first pass, as .svg or .png (default: results.svg beside the raw figures)")
    options = parser.parse_args()

    known = PEERS[options.device]
    options.any_peers = options.peers is None
    options.peers = list(known) if options.any_peers else [name for name in options.peers.split(",") if name]
    for name in options.peers:
        if name not in known:
            parser.error(f"no peer {name}: there are {', '.join(known)}")
    if options.isa:
        if options.target or options.device != "cpu":
            parser.error("--isa chooses a target of the CPU")
        options.target = ISA_TARGET[options.isa]
        unlimited = [name for name in options.peers if name in NO_ISA_LIMIT]
        if unlimited and not options.any_peers:
            parser.error(f"--isa cannot limit {', '.join(unlimited)}")
        options.peers = [name for name in options.peers if name not in NO_ISA_LIMIT]
    try:
        default = "1" if options.device == "cuda" or os.cpu_count() == 1 else "1,2"
        options.threads = [int(threads) for threads in (options.threads or default).split(",")]
    except ValueError:
        parser.error("--threads takes numbers: 1,2")
    if options.backward and options.device != "cpu":
        parser.error("--backward is measured on the CPU")
    options.workloads = options.workloads or (HERE / "workloads_backward.json" if options.backward else WORKLOADS[options.device])
    options.output = (options.output or options.build / "bench" / "results.json").resolve()
    options.plot = (options.plot or options.output.with_suffix(".svg")).resolve()
    return options


def chosen_rows(options):
    """[(workload, layout)] that the options name."""
    def chosen(workload, layout):
        if options.quick and workload.taps() > QUICK_TAPS:
            return False
        if options.only:
            return options.only.search(f"{workload.name} {layout}")
        return options.all or workload.group in GROUPS

    layouts, workloads = read_workloads(options.workloads, dtypes=DTYPES)
    for workload in workloads:
        workload.backward = options.backward
    return [(workload, layout) for workload in workloads for layout in layouts if chosen(workload, layout)]


def main():
    options = parse_arguments()
    try:
        rows = chosen_rows(options)
    except ValueError as error:
        sys.exit(f"bench: {error}")
    if not rows:
        sys.exit("bench: no workload left to run")

    bound = BOUND[options.device]
    report = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              "cpu": cpu_model(), "cores": os.cpu_count(), "commit": commit(), "command": [os.path.basename(word) if os.path.isabs(word) else word for word in sys.argv[3:]],
              "isa": options.isa, "bound": bound, "versions": {}, "unit": "ns", "busy_cores": {}, "rows": []}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        table = Table(options.peers, bound, [str(workload) for workload, _ in rows])
        for threads in options.threads:
            run_pass(threads, rows, table, options, report)
    except PeerFailed as failure:
        sys.exit(f"bench: {failure}")
    finally:
        options.output.write_text(as_json(report))
    if not report["rows"]:
        sys.exit("bench: halpool takes none of these rows")
    measured = [Row(entry, bound) for entry in report["rows"]]
    print()
    for line in summary(measured, options.peers):
        print(line)
    print(f"\nraw figures: {options.output}")
    draw(report, options)
    wrong = [f"{row.name} ({name})" for row in measured for name in row.peers if row.wrong(name)]
    if wrong:
        sys.exit("bench: outputs differ from halpool's: " + "; ".join(wrong))


if __name__ == "__main__":
    main()
