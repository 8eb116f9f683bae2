"""The evaluation as a picture: one row per label, one mark with its interval per input."""

from pathlib import Path

from train.evaluate import Result

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
"""Okabe and Ito's colours, told apart by colour-blind readers too; marks differ as well."""
MARKS = ("o", "s", "D", "^")


def draw(results: list[Result], path: Path) -> None:
    """Write a PNG; the same results give the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(result.label for result in results))
    inputs = list(dict.fromkeys(result.input for result in results))
    figure = Figure(figsize=(8, 1.4 + 0.75 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    for i, name in enumerate(inputs):
        rows = [result for result in results if result.input == name]
        y = [labels.index(row.label) + (i - (len(inputs) - 1) / 2) * 0.22 for row in rows]
        values = [row.score.value for row in rows]
        errors = [[row.score.value - row.score.low for row in rows], [row.score.high - row.score.value for row in rows]]
        axes.errorbar(values, y, xerr=errors, fmt=MARKS[i % 4], color=COLOURS[i % 4], capsize=3, label=name)
    metric = {result.label: result.metric for result in results}
    axes.set_yticks(range(len(labels)), [f"{label} ({metric[label]})" for label in labels])
    axes.invert_yaxis()
    axes.set_xlabel("score on customers not seen, with 95 % interval")
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=len(inputs), frameon=False)
    figure.savefig(path, dpi=120, metadata={"Software": None})
