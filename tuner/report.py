"""A results file of the benchmark, and what the tuner found, as one HTML page."""

import argparse
import html
import json
import pathlib
import re

from common import TuneFailed, kernel_manifest, read_json
from results import Row, count_of_threads, factor, geometric_mean, number
from schedule_file import write_whole

BAR_WIDTH, BAR_HEIGHT, NAME_WIDTH, NOTE_WIDTH = 300, 18, 110, 170
PROBLEM = re.compile(r"(\d+(?:x\d+){3}) k(\d+(?:x\d+)?) s(\d+(?:x\d+)?)(?: p(\d+(?:x\d+)?))?(?: exclude)?$")  # of workload.py

STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --quiet: #5c6470; --page: #ffffff; --box: #f5f6f8; --line: #d8dce2;
        --own: #1b6ca8; --bound: #6d7683; --peer: #d08a32; --wrong: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e6ea; --quiet: #a0a8b4; --page: #16181c; --box: #1f2228; --line: #363b44;
          --own: #58a6dd; --bound: #8b95a3; --peer: #c98a3d; --wrong: #f2776e; }
}
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; font: 15px/1.45 system-ui, sans-serif;
       color: var(--text); background: var(--page); }
h1 { font-size: 1.5rem; } h2 { margin-top: 2.5rem; font-size: 1.2rem; } h3 { margin: 1.5rem 0 .5rem; font-size: 1rem; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td { font-variant-numeric: tabular-nums; }
td.number, th.number { text-align: right; }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; }
.rows { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 36rem), 1fr)); gap: .8rem; }
.row { padding: .6rem .9rem; border-radius: 6px; background: var(--box); } .row p { margin: .15rem 0; }
.quiet { color: var(--quiet); } .wrong { color: var(--wrong); }
svg { display: block; width: 100%; height: auto; margin: .3rem 0; } svg text { font: 12px system-ui, sans-serif; fill: var(--text); }
rect.own { fill: var(--own); } rect.bound { fill: var(--bound); } rect.peer { fill: var(--peer); } rect.wrong { fill: var(--wrong); }
"""


# ---- The files ----------------------------------------------------------------------------------------------------

def positive(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 1e-6 < value < 1e18


def wrong_with_row(entry, bound):
    """Why this is no row of the benchmark; None if it is."""
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("workload", "problem", "layout")):
        return "it has no workload, problem and layout"
    if not isinstance(entry.get("dtype", ""), str):
        return "its dtype is not a name"
    if not isinstance(entry.get("threads"), int) or not positive(entry["threads"]):
        return "it has no number of threads"
    peers = entry.get("peers")
    if not isinstance(peers, dict) or not {"halpool", bound} <= set(peers):
        return f"it has no times of halpool and of {bound}"
    for name, figures in peers.items():
        rounds = figures.get("ns") if isinstance(figures, dict) else None
        if not isinstance(rounds, list) or not rounds or not all(
                isinstance(times, list) and times and all(map(positive, times)) for times in rounds):
            return f"the times of {name} are not numbers above 0"
        if not isinstance(figures.get("kernel"), (str, type(None))) or not isinstance(figures.get("wrong", False), bool):
            return f"what {name} ran is not a name, or whether it is wrong is not said"
    return None


def read_results(path):
    document = read_json(path)
    if not isinstance(document, dict) or not isinstance(document.get("rows"), list) or not isinstance(document.get("bound"), str) \
            or document.get("unit") != "ns" or not isinstance(document.get("versions"), dict):
        raise TuneFailed(f"{path}: not a results file of ./dev bench")
    if not document["rows"]:
        raise TuneFailed(f"{path}: the benchmark that wrote it measured nothing")
    for count, entry in enumerate(document["rows"], 1):
        wrong = wrong_with_row(entry, document["bound"])
        if wrong:
            raise TuneFailed(f"{path}: row {count}: {wrong}")
    return document


def read_schedules(path):
    document = read_json(path)
    if not isinstance(document, dict) or not isinstance(document.get("target"), str) or not isinstance(document.get("kernels"), dict):
        raise TuneFailed(f'{path}: not a schedule file of halpool-tune: it has a "target" and "kernels"')
    for family, schedule in document["kernels"].items():
        if not isinstance(schedule, (dict, type(None))):
            raise TuneFailed(f"{kernel_manifest.line_of(str(path), family)}: the schedule of {family} is not an object")
    for key, allowed in (("over_default", positive), ("noise", lambda value: value == 0 or positive(value))):
        figures = document.get(key, {})
        if not isinstance(figures, dict) or not all(map(allowed, figures.values())):
            raise TuneFailed(f"{kernel_manifest.line_of(str(path), key)}: {key} does not hold a number for each kernel")
    return document


def family_of(row):
    """Of the kernel that the row's problem gets of its own; None where a results file says the problem in other words."""
    match = PROBLEM.match(row.entry["problem"][len(row.entry["workload"]):].strip())
    if not match or row.layout not in ("nchw", "nhwc"):
        return None
    extents, kernel, stride, pad = [list(map(int, text.split("x"))) for text in match.groups(default="0")]
    try:
        entry = {"name": row.entry["workload"], "input": extents}
        entry.update({key: value * (3 - len(value)) for key, value in (("kernel_size", kernel), ("stride", stride), ("padding", pad))})
        return kernel_manifest.Workload(entry, row.layout, "f32", "it").family
    except (kernel_manifest.BadInput, ZeroDivisionError):
        return None


def tuned_family(row, schedules):
    """The kernel of the schedule file that the row ran, or else that was searched for its problem; None without one."""
    kernels, ran, end = schedules["kernels"], row.peers["halpool"].get("kernel") or "", f"_{schedules['target']}"
    if ran.endswith(end) and ran[:-len(end)] in kernels:
        return ran[:-len(end)]
    family = family_of(row)
    return family if family in kernels else None


# ---- The page -----------------------------------------------------------------------------------------------------

def text(value):
    """Of a file: escaped, and without halves of characters, which no file can hold."""
    return html.escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def code(value):
    return f"<code>{text(value)}</code>"


def table(head, rows, numbers=()):
    """Of cells that are HTML already; `numbers`: the titles of columns that stand to the right."""
    def cells(values, tag):
        return "".join(f'<{tag} class="number">{value}</{tag}>' if title in numbers else f"<{tag}>{value}</{tag}>"
                       for value, title in zip(values, head))
    lines = [f"<tr>{cells(head, 'th')}</tr>"] if any(head) else []
    lines += [f"<tr>{cells(row, 'td')}</tr>" for row in rows]
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def us(value):
    return f"{number(value)} us"


def machine(document):
    """What a file lacks is left out: an older one may."""
    command, busy = document.get("command"), document.get("busy_cores")
    facts = {
        "machine": ", ".join(text(fact) for fact in (document.get("cpu"), document.get("cores") and f"{document['cores']} cores") if fact),
        "date": text(document.get("date") or ""),
        "versions": ", ".join(f"{text(name)} {text(version)}".strip() for name, version in document["versions"].items()),
        "commit": code(document["commit"]) if document.get("commit") else "",
        "as on a CPU with no more than": text(document.get("isa") or ""),
        "options": code(" ".join(map(str, command))) if isinstance(command, list) and command else "",
        "cores that other programs used": ", ".join(
            f"{value:.2f} (threads: {text(threads)})" for threads, value in busy.items() if isinstance(value, (int, float)))
        if isinstance(busy, dict) else "",
    }
    return table(["", ""], [[key, value] for key, value in facts.items() if value])


def bound_name(bound):
    return {"roofline": "the copy bound (roofline)", "copy": "the copy bound"}.get(bound, text(bound))


def summary(rows, bound):
    """Geometric means, each of one dtype, and the rows that are worst: of speed-ups the lowest, of times over the bound the highest."""
    lines = []

    def add(threads, what, layout, named, worst):
        if named:
            value, name = worst(named)
            slower = sum(each < 1 for each, _ in named) if worst is min else ""
            lines.append([str(threads), what, layout, str(len(named)), factor(geometric_mean([each for each, _ in named])),
                          factor(value), text(name), str(slower)])

    for threads in sorted({row.threads for row in rows}):
        for dtype, layout in dict.fromkeys((row.dtype, row.layout) for row in sorted(rows, key=lambda row: row.layout)):
            here = [row for row in rows if (row.threads, row.dtype, row.layout) == (threads, dtype, layout)]
            memory = text(layout.upper() if dtype == "f32" else f"{layout.upper()} {dtype}")
            peers = dict.fromkeys(name for row in here for name in row.peers if name not in ("halpool", bound))
            for what, peer in (("the best peer", None), *((text(name), name) for name in peers)):
                ups = [(row.speed_up(peer), row.name) for row in here]
                add(threads, f"speed-up over {what}", memory, [up for up in ups if up[0] is not None], min)
            add(threads, f"time over {bound_name(bound)}", memory, [(row.over_bound(), row.name) for row in here], max)
    return table(["threads", "", "memory", "rows", "geometric mean", "worst", "of", "below 1"], lines,
                 ("threads", "rows", "geometric mean", "worst", "below 1"))


def chart(row):
    """Bars of time, the longest as long as the chart's."""
    names = ["halpool", row.bound, *sorted((name for name in row.peers if name not in ("halpool", row.bound)), key=row.us)]
    longest = max(map(row.us, names))
    width, height = NAME_WIDTH + BAR_WIDTH + NOTE_WIDTH, BAR_HEIGHT * len(names)
    label = text(f"times of {row.name}, {count_of_threads(row.threads)}")
    lines = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">']
    for place, name in enumerate(names):
        kind = "own" if name == "halpool" else "bound" if name == row.bound else "wrong" if row.wrong(name) else "peer"
        length, y = BAR_WIDTH * row.us(name) / longest, place * BAR_HEIGHT
        note = us(row.us(name))
        if kind != "own":
            note += f", {factor(row.us(name) / row.us())}x"
        if row.wrong(name):
            note += ", wrong result"
        ran = row.peers[name].get("kernel") or ""
        lines += [f'<text x="{NAME_WIDTH - 6}" y="{y + 13}" text-anchor="end">{text(name)}</text>',
                  f'<rect class="{kind}" x="{NAME_WIDTH}" y="{y + 3}" width="{length:.3f}" height="{BAR_HEIGHT - 5}">'
                  f"<title>{text(f'{name} {ran}'.strip())}: {us(row.us(name))}</title></rect>",
                  f'<text x="{NAME_WIDTH + length + 5:.3f}" y="{y + 13}">{note}</text>']
    return "\n".join([*lines, "</svg>"])


def found_for(family, schedules):
    """What the tuner says of a kernel: schedule, gain, noise, as HTML."""
    schedule = schedules["kernels"][family]
    gain, noise = (schedules.get(key, {}).get(family) for key in ("over_default", "noise"))
    if schedule is None:
        return ["none" if gain is None else "none is faster than the kernel that it gets anyway", "", ""]
    return [code(json.dumps(schedule)), "" if gain is None else f"{gain:.2f}", "" if noise is None else f"{noise * 100:.1f} %"]


def box(row, schedules):
    best, speed_up = row.best_peer(), row.speed_up()
    against = f"{factor(speed_up)} times as fast as {text(best)}, the best peer; " if best else "no peer to compare with; "
    lines = ['<div class="row">', f"<p><b>{text(row.layout.upper())}, {count_of_threads(row.threads)}: {us(row.us())}</b></p>",
             f"<p>{against}{factor(row.over_bound())} times {bound_name(row.bound)}</p>", chart(row),
             f'<p class="quiet">kernel {code(row.peers["halpool"].get("kernel"))}</p>']
    family = tuned_family(row, schedules) if schedules else None
    if family is not None:
        schedule, gain, noise = found_for(family, schedules)
        ran = row.peers["halpool"].get("kernel") == f"{family}_{schedules['target']}"
        lines.append(f'<p class="quiet">tuned: {schedule}' + (f"; {gain} times as fast as without" if gain else "") +
                     (f", measured twice within {noise}" if noise else "") +
                     ("" if ran or schedules["kernels"][family] is None else "; another kernel ran here") + "</p>")
    return "\n".join([*lines, "</div>"])


def provenance(value):
    """Of one file, or of several that were merged."""
    several = value if isinstance(value, list) else [value]
    blocks = [[[text(key), text(fact if isinstance(fact, str) else json.dumps(fact))] for key, fact in each.items()]
              if isinstance(each, dict) else [["", text(each)]] for each in several if each is not None]
    return "\n".join(table(["provenance", ""], block) for block in blocks)


def tuned(rows, schedules):
    families = {}
    for row in rows:
        families.setdefault(tuned_family(row, schedules), []).append(row.entry["workload"])
    lines = [[code(family), text(", ".join(dict.fromkeys(families.get(family, [])))), *found_for(family, schedules)]
             for family in schedules["kernels"]]
    return "\n".join([f"<h2>What the tuner found for {text(schedules['target'])}</h2>", provenance(schedules.get("provenance")),
                      table(["kernel", "workload", "schedule", "times as fast", "noise"], lines, ("times as fast", "noise"))])


def page(document, schedules):
    bound = document["bound"]
    rows = [Row(entry, bound) for entry in document["rows"]]
    title = f"halpool: average pooling on {document.get('cpu')}"
    parts = [
        "<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        # Whatever a name of a file would bring in: nothing is run, nothing is fetched.
        '''<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">''',
        '<meta name="viewport" content="width=device-width, initial-scale=1">', f"<title>{text(title)}</title>", f"<style>{STYLE}</style>",
        "</head>", "<body>", f"<h1>{text(title)}</h1>", machine(document), "<h2>Summary</h2>", summary(rows, bound), "<h2>Workloads</h2>",
        '<p class="quiet">Bars: time, the minimum of all repetitions, each chart to its own scale; x: over halpool\'s time. '
        f"{bound_name(bound).capitalize()}: moving the data alone. A peer whose result differs is compared with nothing.</p>"]
    for problem in dict.fromkeys(row.entry["problem"] for row in rows):
        boxes = [box(row, schedules) for row in rows if row.entry["problem"] == problem]
        parts += [f"<h3>{text(problem)}</h3>", '<div class="rows">', *boxes, "</div>"]
    if schedules:
        parts.append(tuned(rows, schedules))
    return "\n".join([*parts, "</body>", "</html>", ""])


def command(arguments):
    parser = argparse.ArgumentParser(prog="halpool-tune report", description="Writes one HTML page of a results file of ./dev bench.")
    parser.add_argument("results", type=pathlib.Path, metavar="RESULTS", help="of ./dev bench --workloads my.json --output RESULTS")
    parser.add_argument("--schedules", type=pathlib.Path, metavar="FILE", help="a schedule file of halpool-tune, to say what it found")
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="FILE", help="where the page is written")
    options = parser.parse_args(arguments)
    schedules = read_schedules(options.schedules) if options.schedules else None
    write_whole(options.output.resolve(), page(read_results(options.results), schedules))
    print(f"report: {options.output}")
