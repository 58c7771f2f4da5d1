"""What the tuner's modules share: where the repository is, and its failure."""

import pathlib
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent
# Of the two report.py, the tuner's.
sys.path[:0] = [str(SOURCE / folder) for folder in ("tuner", "cmake", "benchmarks")]
import device_identity  # noqa: E402,F401
import kernel_manifest  # noqa: E402,F401  the names and limits of schedules


class TuneFailed(Exception):
    """Why nothing can be tuned, for the user to read."""
