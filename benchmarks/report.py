#!/usr/bin/env python3
"""The benchmark's raw figures as the table of docs/performance.md, in Markdown.

    report.py RESULTS.json
"""

import json
import sys

from results import Row, factor, geometric_mean, number, over_one_thread


def lines(report):
    rows = [Row(entry, report["bound"]) for entry in report["rows"]]
    scaling = over_one_thread(rows)
    yield "| workload | memory | us | best peer | speed-up | over the bound | 2 threads: us | speed-up | over 1 thread |"
    yield "|---|---|---|---|---|---|---|---|---|"
    two = {row.name: row for row in rows if row.threads == 2}
    for row in (row for row in rows if row.threads == 1):
        best = row.best_peer()
        peer = f"{best} {number(row.us(best))}" if best else "none"
        cells = [row.entry["problem"], row.layout.upper(), number(row.us()), peer, factor(row.speed_up()), factor(row.over_bound())]
        more = two.get(row.name)
        cells += [number(more.us()), factor(more.speed_up()), factor(scaling[row.name][2])] if more else ["", "", ""]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    for dtype in dict.fromkeys(row.dtype for row in rows):
        for layout in sorted({row.layout for row in rows}):
            for threads in sorted({row.threads for row in rows}):
                ups = [row.speed_up() for row in rows
                       if (row.dtype, row.layout, row.threads) == (dtype, layout, threads) and row.speed_up()]
                if ups:
                    yield (f"{layout.upper()}{'' if dtype == 'f32' else f', {dtype}'}, {threads} thread{'s' if threads > 1 else ''}: "
                           f"geometric mean of the speed-up over the best peer {geometric_mean(ups):.2f}, lowest {min(ups):.2f}.")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    print("\n".join(lines(report)))


if __name__ == "__main__":
    main()
