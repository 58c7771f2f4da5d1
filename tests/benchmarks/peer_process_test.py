import pathlib
import sys
import unittest

from peer_process import PeerFailed, PeerProcess, Unsupported

# Answers `count` with how far a thread got that never rests, as an idle thread of OpenMP's may not.
RESTLESS = """
import sys, threading
count = 0
def spin():
    global count
    while True:
        count += 1
threading.Thread(target=spin, daemon=True).start()
for line in sys.stdin:
    print({"count": "ok %d" % count, "pool": "unsupported not this one"}.get(line.strip(), "error what?"), flush=True)
"""


def state(process):
    return pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


class APeer(unittest.TestCase):
    def start(self, program, **environment):
        peer = PeerProcess("peer", [sys.executable, "-c", program], environment)
        self.addCleanup(peer.stop)
        return peer

    def test_answers_what_it_is_asked(self):
        peer = self.start(RESTLESS)
        self.assertEqual(len(peer.ask("count")), 1)
        with self.assertRaisesRegex(Unsupported, "not this one"):
            peer.ask("pool")
        with self.assertRaisesRegex(PeerFailed, "fly: error what?"):
            peer.ask("fly")
        self.assertEqual(len(peer.ask("count")), 1)

    def test_stands_still_between_its_turns(self):
        peer = self.start(RESTLESS)
        peer.ask("count")
        self.assertEqual(state(peer.process), "T")

    def test_that_cannot_start_says_why(self):
        peer = self.start("import no_such_library")
        with self.assertRaisesRegex(PeerFailed, "ModuleNotFoundError: No module named 'no_such_library'"):
            peer.ask("ready")

    def test_that_is_no_program_says_so(self):
        with self.assertRaisesRegex(PeerFailed, "cannot be started"):
            PeerProcess("peer", ["/nonexistent/peer"], {})

    def test_gets_its_own_environment(self):
        peer = self.start("import os; input(); print('ok', os.environ['OMP_NUM_THREADS'])", OMP_NUM_THREADS="2")
        self.assertEqual(peer.ask("ready"), ["2"])


if __name__ == "__main__":
    unittest.main()
