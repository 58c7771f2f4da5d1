"""Two libraries against each other, on one problem."""

from common import TuneFailed
from peer_process import PeerProcess

ROUNDS = 5


def measure(problem, layout, peers, state, round_s):
    """The time of the second of two libraries over that of the first: each the minimum of many calls, in turns.
    round_s: seconds of one library in a round, at most, where a call is shorter."""
    best, calls = [], []
    for peer in peers:
        ns = float(peer.ask(problem.command(layout))[0])
        calls.append(max(3, min(1000, int(round_s * 1e9 / max(ns, 1)))))
        best.append(float("inf"))
    output = state / "output.bin"
    peers[0].ask(f"write {output}")
    difference = float(peers[1].ask(f"compare {output}")[0])
    output.unlink()
    if not difference <= problem.tolerance():
        raise TuneFailed(f"{problem.name} {layout}: a candidate's result is wrong by {difference}")
    for _ in range(ROUNDS):
        for i, peer in enumerate(peers):
            best[i] = min(best[i], *map(float, peer.ask(f"run {calls[i]}")[1:]))
    return best[1] / best[0]


def compare(search, problem, layout, first, second, state, round_s):
    peers = []
    try:
        for path in (first, second):
            peers.append(PeerProcess(path.name, [str(path), "--threads", "1", "--target", search.target], {}))
            peers[-1].ask("ready")
        return measure(problem, layout, peers, state, round_s)
    finally:
        for peer in peers:
            peer.stop()
