"""A peer of the benchmark, seen from bench.py: a process that obeys the line protocol of peer.hpp."""

import ctypes
import os
import signal
import subprocess
import tempfile


PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class PeerFailed(Exception):
    pass


class Unsupported(Exception):
    """A workload that a peer does not do."""


def die_with_the_parent():
    """However bench.py ends: a process that is stopped would stay for ever."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class PeerProcess:
    """Stopped between its turns: the idle threads of a pool may spin for a while after the work (OpenMP's and ONNX
    Runtime's do), which makes their own next call faster, and would take the cores from the peer whose turn it is."""

    def __init__(self, name, command, environment, core=None):
        """core: the one it runs on; else any."""
        def start():
            die_with_the_parent()
            if core is not None:
                os.sched_setaffinity(0, {core})

        self.name = name
        self.stderr = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=self.stderr, text=True, env={**os.environ, **environment},
                                            preexec_fn=start)
        except OSError as error:
            self.stderr.close()
            raise PeerFailed(f"cannot be started: {error}") from error

    def ask(self, line):
        """The words after "ok"."""
        self.begin(line)
        return self.finish(line)

    def begin(self, line):
        """Asks, and goes on: finish() waits for the answer."""
        self.resume()
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer says what there is to say

    def finish(self, line):
        answer = self.process.stdout.readline()
        if not answer:
            raise PeerFailed(f"{line}: {self.last_words()}")
        self.park()
        status, *words = answer.split()
        if status == "unsupported":
            raise Unsupported(" ".join(words))
        if status != "ok":
            raise PeerFailed(f"{line}: {answer.strip()}")
        return words

    def last_words(self):
        """Why it ended: of a Python traceback, the exception."""
        status = self.process.wait()
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"ended with status {status}"

    def park(self):
        self.process.send_signal(signal.SIGSTOP)
        if self.process.returncode is not None:
            return  # it had ended, and send_signal has taken its exit status
        # Until all of its threads have stopped, or it has ended; WNOWAIT leaves its exit status for Popen.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.resume()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.process.stdout.close()
        self.stderr.close()
