import os
import pathlib
import subprocess
import sys
import time
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


def state(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


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
        self.assertEqual(state(peer.process.pid), "T")

    def test_does_not_outlive_a_benchmark_that_is_killed(self):
        benchmark = subprocess.Popen([sys.executable, "-B", "-c", f"""
import sys
from peer_process import PeerProcess
peer = PeerProcess("peer", [sys.executable, "-c", {RESTLESS!r}], {{}})
peer.ask("count")
print(peer.process.pid, flush=True)
sys.stdin.read()"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        peer = pathlib.Path("/proc") / benchmark.stdout.readline().strip()
        self.assertTrue(peer.exists())
        benchmark.kill()
        benchmark.communicate()
        for _ in range(100):
            # Where nobody reaps orphans, it stays as a zombie.
            if not peer.exists() or state(int(peer.name)) == "Z":
                return
            time.sleep(0.05)
        self.fail("the peer is still there")

    def test_that_cannot_start_says_why(self):
        peer = self.start("import no_such_library")
        with self.assertRaisesRegex(PeerFailed, "ModuleNotFoundError: No module named 'no_such_library'"):
            peer.ask("ready")

    def test_that_is_no_program_says_so(self):
        with self.assertRaisesRegex(PeerFailed, "cannot be started"):
            PeerProcess("peer", ["/nonexistent/peer"], {})

    def test_that_ended_after_its_answer_may_be_parked(self):
        peer = self.start("input(); print('ok')")
        self.assertEqual(peer.ask("ready"), [])
        peer.resume()
        peer.process.wait()
        peer.park()

    def test_gets_its_own_environment(self):
        peer = self.start("import os; input(); print('ok', os.environ['OMP_NUM_THREADS'])", OMP_NUM_THREADS="2")
        self.assertEqual(peer.ask("ready"), ["2"])

    def test_runs_on_the_core_that_it_is_given(self):
        core = min(os.sched_getaffinity(0))
        peer = PeerProcess("peer", [sys.executable, "-c", "import os; input(); print('ok', *os.sched_getaffinity(0))"], {}, core)
        self.addCleanup(peer.stop)
        self.assertEqual(peer.ask("ready"), [str(core)])


if __name__ == "__main__":
    unittest.main()
