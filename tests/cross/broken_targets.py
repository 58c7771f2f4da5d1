"""What the schema of targets.json forbids stops the configuration, with the file, the line and what is allowed."""
import json
import re
import shutil

import tree

copy = tree.WORK / "broken_targets"
shutil.rmtree(copy, ignore_errors=True)
copy.mkdir(parents=True)
for part in ("CMakeLists.txt", "cmake", "generators", "include", "runtime", "schedules"):
    (shutil.copytree if (tree.SOURCE / part).is_dir() else shutil.copy)(tree.SOURCE / part, copy / part)
path = copy / "schedules/targets.json"
first = next(iter(tree.TARGETS))
first_system = next(iter(tree.SYSTEMS))


def refuse(change, *words):
    document = json.loads((tree.SOURCE / "schedules/targets.json").read_text())
    change(document)
    text = json.dumps(document, indent=2)
    path.write_text(text)
    result = tree.configure(copy / "build", source=copy, fresh=False)
    output = " ".join(result.stdout.split())
    assert result.returncode != 0, words
    for word in words:
        assert word in output, (word, output)
    line = int(re.search(r"targets\.json:(\d+): ", output)[1])
    return text.splitlines()[line - 1]


assert "prefrence" in refuse(lambda d: d["targets"][first].update(prefrence=1), "unknown keys: prefrence; known: system,")
assert '"preference"' in refuse(lambda d: d["targets"][first].update(preference="high"), "preference must be integer")
assert first in refuse(lambda d: d["targets"][first].pop("requires"), "lacks requires")
assert first in refuse(lambda d: d["targets"][first].update(device="cuda"), "either a system or a device")
assert first_system in refuse(lambda d: d["systems"][first_system].pop("triple"), "either a triple, or compilers")
assert "only" in refuse(lambda d: d["targets"][first].update(only={"dtypes": ["f33"], "why": ""}), f"only of {first} names 'f33'; known: f32, f64")
assert "same_kernels" in refuse(lambda d: d["targets"][first].update(same_kernels={"as": "none-such", "but": []}), "names 'none-such'; known:", first)
assert "sparc" in refuse(lambda d: d["targets"][first].update(system="sparc-64"), "'sparc-64'; known:", first_system)
assert "Bad Name" in refuse(lambda d: d["targets"].update({"Bad Name": d["targets"][first]}), "do not match", "Bad Name")
assert "emulators" in refuse(lambda d: d["systems"][first_system]["emulators"][0].update(targets=["none-such"]),
                             f"none-such is no target of {first_system}")
