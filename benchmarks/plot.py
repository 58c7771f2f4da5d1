"""The benchmark's plot: how much faster than the best peer halpool is, and how much faster moving the data alone is.

    plot.py RESULTS.json PLOT.svg       # draws it again
"""

import json
import pathlib
import sys

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from results import Row, count_of_threads, geometric_mean, main_dtype

COLOURS = {"nchw": "#1b6ca8", "nhwc": "#e08e2b"}
LIMIT_COLOUR = "#333333"
LAYOUT_TITLES = {"nchw": "NCHW", "nhwc": "NHWC (channels last)"}
BAR = 0.36  # of a workload's height

STYLE = {
    "svg.fonttype": "none",  # text stays text: the file is small, and a diff says what changed
    "svg.hashsalt": "halpool",  # the same figures give the same bytes
    "font.family": "sans-serif",
    "font.size": 9,
}


def draw(report, path):
    with matplotlib.rc_context(STYLE):
        figure = figure_of(report)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=150, metadata=metadata, facecolor="white", bbox_inches="tight")


def figure_of(report):
    rows = [Row(entry, report["bound"]) for entry in report["rows"]]
    threads = min(row.threads for row in rows)
    rows = [row for row in rows if row.threads == threads and row.best_peer()]
    problems = list(dict.fromkeys(row.entry["problem"] for row in rows))
    layouts = [layout for layout in COLOURS if any(row.layout == layout for row in rows)]

    figure = Figure(figsize=(9, 1.6 + 0.42 * len(problems)), layout="constrained")
    axes = figure.add_subplot()
    for row in rows:
        middle = problems.index(row.entry["problem"]) + (layouts.index(row.layout) - (len(layouts) - 1) / 2) * BAR
        speed_up = row.speed_up()
        limit = row.speed_up() * row.over_bound()
        # From 1, so that on a logarithmic axis a loss points the other way.
        axes.barh(middle, speed_up - 1, left=1, height=BAR * 0.92, color=COLOURS[row.layout])
        axes.plot([limit, limit], [middle - BAR * 0.46, middle + BAR * 0.46], color=LIMIT_COLOUR, linewidth=1.6)
        # Right of the bar, or of the mark that would cross it.
        right = max(speed_up, 1)
        right = limit if right < limit < 1.4 * right else right
        axes.annotate(f"{speed_up:.{1 if speed_up >= 1.1 else 2}f}", (right, middle), xytext=(3, 0),
                      textcoords="offset points", va="center", fontsize=7, color=COLOURS[row.layout])

    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256)
                     if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]])
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_yticks(range(len(problems)), problems)
    axes.set_ylim(len(problems) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)

    axes.set_xlabel("times as fast as the best peer (logarithmic)")
    axes.annotate(title(report, threads), (0, 1), xytext=(0, 18), xycoords="axes fraction",
                  textcoords="offset points", fontsize=10)
    axes.annotate(peers(report), (0, 1), xytext=(0, 6), xycoords="axes fraction", textcoords="offset points", fontsize=8)
    figure.legend(handles=legend(rows, layouts, report["bound"]), loc="outside lower center", ncols=len(layouts) + 1,
                  frameon=False, fontsize=8)
    return figure


def title(report, threads):
    isa = f", {report['isa']} alone" if report["isa"] else ""
    where = f"{report['cpu']}{isa}" if report["bound"] == "roofline" else "CUDA"
    return f"Speed-up over the best peer: {where}, {count_of_threads(threads)}, {report['date'][:10]}"


def peers(report):
    names = {"halpool": "halpool", "onednn": "oneDNN", "onnxruntime": "ONNX Runtime", "opencv": "OpenCV",
             "scipy": "SciPy", "torch": "PyTorch", "cudnn": "cuDNN"}
    first, *others = [f"{name} {report['versions'][key]}".strip() for key, name in names.items()
                      if key in report["versions"]]
    return f"{first} against {', '.join(others)}"


def legend(rows, layouts, bound):
    handles = []
    main = main_dtype(rows) if rows else None
    what = "geometric mean" if all(row.dtype == main for row in rows) else f"geometric mean of {main}"
    for layout in layouts:
        ups = [row.speed_up() for row in rows if (row.layout, row.dtype) == (layout, main)]
        mean = f": {geometric_mean(ups):.1f} ({what})" if ups else ""
        handles.append(Patch(color=COLOURS[layout], label=f"{LAYOUT_TITLES[layout]}{mean}"))
    handles.append(Line2D([], [], color=LIMIT_COLOUR, linewidth=1.6, linestyle="none", marker="|", markersize=9,
                          markeredgewidth=1.6, label=f"moving the data alone ({bound})"))
    return handles


if __name__ == "__main__":
    draw(json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2]))
