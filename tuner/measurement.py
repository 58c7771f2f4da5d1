"""Two libraries against each other, on one problem."""

import contextlib
import os
import statistics

from common import TuneFailed
from peer_process import PeerProcess

# Of the tensors in memory. Which of their lines meet in the second-level cache is up to where their pages lie: that alone changes a call by
# a tenth and more, and stays so for as long as they lie there. So each is placed anew many times, and what counts is the median.
PLACEMENTS = 24


@contextlib.contextmanager
def on_one_core(peers):
    """Two virtual cores are not alike: their hosts' others are not."""
    core, everywhere = max(os.sched_getaffinity(0)), os.sched_getaffinity(0)
    try:
        for peer in peers:
            os.sched_setaffinity(peer.process.pid, {core})
        yield
    finally:
        for peer in peers:
            with contextlib.suppress(OSError):  # it has ended
                os.sched_setaffinity(peer.process.pid, everywhere)


def measure(problem, layout, peers, state, round_s):
    """The time of the second of two libraries over that of the first: of each placement the minimum of several calls, in turns.
    round_s: seconds of one library in a placement, at most, where a call is shorter."""
    set_up = problem.command(layout)
    for peer in peers:
        peer.ask(f"keep {2 * PLACEMENTS}")  # inputs and outputs
        peer.ask(set_up)
    output = state / "output.bin"
    peers[0].ask(f"write {output}")
    difference = float(peers[1].ask(f"compare {output}")[0])
    output.unlink()
    if not difference <= problem.tolerance():
        raise TuneFailed(f"{problem.name} {layout}: a candidate's result is wrong by {difference}")
    ratios = []
    for _ in range(PLACEMENTS):
        best = []
        for peer in peers:
            ns = float(peer.ask(set_up)[0])
            calls = max(3, min(1000, int(round_s * 1e9 / max(ns, 1))))
            best.append(min(map(float, peer.ask(f"run {calls}")[1:])))
        ratios.append(best[1] / best[0])
    return statistics.median(ratios)


def compare(search, problem, layout, first, second, state, round_s):
    """first, second: programs, each of which gets a process for this, or processes that are there."""
    own, peers = [], []
    try:
        for peer in (first, second):
            if not isinstance(peer, PeerProcess):
                peer = PeerProcess(peer.name, [str(peer), "--threads", "1", "--target", search.target], {})
                own.append(peer)
            peer.ask("ready")
            peers.append(peer)
        with on_one_core(peers):
            return measure(problem, layout, peers, state, round_s)
    finally:
        for peer in own:
            peer.stop()
