"""Which CPU a schedule was tuned on, and how near another one is: the same device, architecture or vendor, or neither."""
import os
import re

NEAR = ("device", "architecture", "vendor")  # the nearest first
# Of /proc/cpuinfo: x86's, and ARM's.
FIELDS = {"vendor": ("vendor_id", "CPU implementer"), "family": ("cpu family", "CPU architecture"), "model": ("model", "CPU part"), "device": ("model name", "Hardware")}


def of_cpuinfo(text):
    facts = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and value.strip():
            facts.setdefault(name.strip(), value.strip())
    found = {key: next((facts[name] for name in names if name in facts), None) for key, names in FIELDS.items()}
    architecture = "/".join(filter(None, (found["family"], found["model"])))
    identity = {"device": found["device"] or architecture, "architecture": architecture, "vendor": found["vendor"]}
    return {key: re.sub(r"[^ -~]|[,;=]", " ", value) for key, value in identity.items() if value}


def features_of_cpuinfo(text):
    """What the system calls the CPU's features, with and without underscores (sse4_1: targets.json has sse41); none where it lists none."""
    words = {word for line in re.findall(r"^(?:flags|Features)\s*: (.*)$", text, re.M) for word in line.split()}
    return words | {word.replace("_", "") for word in words}


def of_this_machine():
    """{} where the system does not say."""
    try:
        with open(os.path.join("/proc", "cpuinfo"), encoding="utf-8", errors="replace") as file:
            return of_cpuinfo(file.read())
    except OSError:
        return {}


def of_text(text):
    """ "device=D,architecture=A,vendor=V", each of them optional; ValueError for anything else."""
    identity = dict(part.partition("=")[::2] for part in text.split(",") if part)
    if not all(identity.values()) or not set(identity) <= set(NEAR):
        raise ValueError(f"'{text}' is not device=NAME,architecture=NAME,vendor=NAME, each of them optional")
    return identity


def distance(tuned_on, machine):
    """0: the same device; 1: the same architecture; 2: the same vendor; 3: anybody's; and a half more for what names a device or an
    architecture that is another one. An architecture is one of a vendor."""
    def same(key):
        return tuned_on.get(key) is not None and tuned_on.get(key) == machine.get(key)

    def another_vendor():
        return None not in (tuned_on.get("vendor"), machine.get("vendor")) and tuned_on["vendor"] != machine["vendor"]

    steps = next((steps for steps, key in enumerate(NEAR) if same(key) and not another_vendor()), len(NEAR))
    return steps + (0.5 if any(key in tuned_on for key in NEAR[:steps]) else 0)
