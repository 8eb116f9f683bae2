"""What does a night go by? `python -m bench.night_plot LINES.jsonl --out PICTURE.png` draws it.

LINES holds what calls of `bench.night` printed, a line each, of nights without a look for new segments. Those of one
share of customers are drawn against the population, those of one population against the new events; the dashed line is
proportional cost, through the smallest.
"""

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

POPULATION, EVENTS = "customers, one share of whom have new events", "new events, one population"


def main() -> None:
    """Read the lines, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    told = [json.loads(line) for line in given.lines.read_text(encoding="utf-8").splitlines() if line.strip()]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    smallest = min(line["customers"] for line in told)
    of_one = [line for line in told if line["customers"] < 1.5 * smallest]
    share = [line for line in told if abs(changed(line) - changed(max(told, key=lambda x: x["customers"]))) < 0.005]
    draw(left, [(line["customers"], median(line["night_s"])) for line in share], POPULATION)
    draw(right, [(line["new_events"], median(line["night_s"])) for line in of_one], EVENTS)
    figure.savefig(given.out, dpi=110, metadata={"Software": None})


def changed(line: dict[str, Any]) -> float:
    """Share of the customers with new events."""
    return float(line["changed"] / line["customers"])


def draw(axes: Any, points: list[tuple[float, float]], what: str) -> None:
    """Seconds against what they go by, both in logarithms."""
    points = sorted(points)
    across, seconds = zip(*points, strict=True)
    axes.plot(across, seconds, marker="o", color="#0072b2", label="measured")
    axes.plot(across, [seconds[0] * x / across[0] for x in across], "--", color="#999999", label="proportional")
    for x, y in points:
        axes.annotate(f"{y:.0f} s", (x, y), textcoords="offset points", xytext=(0, -14), ha="center", fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel=what, ylabel="seconds of a night")
    for axis, at in ((axes.xaxis, across), (axes.yaxis, [10, 100])):
        axis.set_ticks(at, [f"{value:,.0f}" for value in at])
        axis.set_minor_locator(NullLocator())
    axes.margins(x=0.12, y=0.25)
    axes.legend(frameon=False, loc="upper left")


if __name__ == "__main__":
    main()
