"""The command lines in README.md's section Retarget."""
import re
import shlex

import tree

SECTION = re.search(r"^## Retarget\n(.*?)^## ", (tree.SOURCE / "README.md").read_text(), re.M | re.S)[1]
COMMANDS = [shlex.split(line) for line in re.findall(r"^    (.+)$", SECTION, re.M)]
BUILDS = [words[3] for words in COMMANDS if words[:3] == ["./dev", "build", "--"] and len(words) == 4]
PRESETS = [words[2] for words in COMMANDS if words[:2] == ["cmake", "--preset"] and len(words) == 3]
assert len(BUILDS) + len(PRESETS) == len(COMMANDS), COMMANDS
