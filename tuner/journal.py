"""What was measured, kept on disk: an interrupted search goes on where it was."""

import json
import os


class Journal:
    """What was measured, a line each, in the order of time."""

    def __init__(self, path, key):
        self.path, self.key, self.known = path, key, {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            try:
                entry = json.loads(line)
                if entry["key"] == key:
                    self.known[entry["family"], json.dumps(entry["schedule"])] = entry["ratios"]
            except (ValueError, KeyError, TypeError):
                continue  # the line at which it was stopped

    def ratios(self, family, schedule):
        return self.known.get((family, json.dumps(schedule)))

    def add(self, family, schedule, ratios):
        self.known[family, json.dumps(schedule)] = ratios
        entry = json.dumps({"key": self.key, "family": family, "schedule": schedule, "ratios": ratios})
        whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"", b"\n")
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(("" if whole else "\n") + entry + "\n")
            file.flush()
            os.fsync(file.fileno())
