"""Two libraries against each other, on one problem."""

from common import TuneFailed
from peer_process import PeerProcess

ROUNDS = 5
ROUND_S = 0.02  # of one library, at most, where a call is shorter


def measure(search, peers, state):
    """The time of the second of two libraries over that of the first: each the minimum of many calls, in turns."""
    best, calls = [], []
    for peer in peers:
        ns = float(peer.ask(search.problem.command(search.workload.layout))[0])
        calls.append(max(3, min(1000, int(ROUND_S * 1e9 / max(ns, 1)))))
        best.append(float("inf"))
    output = state / "output.bin"
    peers[0].ask(f"write {output}")
    difference = float(peers[1].ask(f"compare {output}")[0])
    output.unlink()
    if not difference <= search.problem.tolerance():
        raise TuneFailed(f"{search.family}: a candidate's result is wrong by {difference}")
    for _ in range(ROUNDS):
        for i, peer in enumerate(peers):
            best[i] = min(best[i], *map(float, peer.ask(f"run {calls[i]}")[1:]))
    return best[1] / best[0]


def compare(search, first, second, state):
    peers = []
    try:
        for path in (first, second):
            peers.append(PeerProcess(path.name, [str(path), "--threads", "1", "--target", search.target], {}))
            peers[-1].ask("ready")
        return measure(search, peers, state)
    finally:
        for peer in peers:
            peer.stop()
