"""Is the vector better than hand-made features and than the peer? `python -m bench.quality --yardstick DIR --home DIR`.

For every data set of the yardstick: kinfolk with its default recipe and no label seen, hand-made aggregates, and
pytorch-lifestream's CoLES (where `--peer PYTHON`, an interpreter that has it, is given), each over several training
seeds. The frozen vectors are probed on the yardstick's labels, on what comes in the next 30 days, with 100 labelled
customers, with columns of noise added (kinfolk alone), and with only the last 1 to 10 events of everybody (kinfolk
alone). What was made is kept in `--home`, so that a second call goes on where the first one stopped.

Prints one JSON line per figure and, at the end, the means as a Markdown table.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.probes import few_labels, future, short_histories
from bench.vectors_of import Maker
from bench.yardstick import AMOUNT, Yardstick
from store.threads import set_threads

Row = dict[str, Any]


def main() -> None:
    """Make what is missing, probe everything, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yardstick", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True, help="vectors are kept here; a second call resumes")
    parser.add_argument("--peer", type=Path, help="interpreter of an environment with pytorch-lifestream")
    parser.add_argument("--datasets", nargs="+", default=sorted(AMOUNT), choices=sorted(AMOUNT))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6, help="epochs of the peer")
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error(f"--seeds {given.seeds}: at least 1")
    if not (given.yardstick / "probe.py").is_file():
        parser.error(f"--yardstick {given.yardstick}: no yardstick there (expected probe.py)")
    if given.peer and not given.peer.is_file():
        parser.error(f"--peer {given.peer}: there is no such interpreter")
    set_threads(1)
    yardstick = Yardstick.at(given.yardstick, given.home / "variants")
    maker = Maker(yardstick, given.home, given.peer, given.epochs)
    rows = []
    for name in given.datasets:
        for row in figures(yardstick, maker, name, range(given.seeds)):
            rows.append(row)
            print(json.dumps(row), flush=True)
    print(table(rows))


def figures(yardstick: Yardstick, maker: Maker, name: str, seeds: range) -> Iterator[Row]:
    """All figures of one data set: who (probe), next (future), few labels, noise, short histories."""
    files = maker.all_of(name, seeds)
    for row in kept(maker.home / f"{name}.who.json", lambda: yardstick.probe(name, [file for _, _, file in files])):
        yield _named(row, name, "who")
    noisy = [file for encoder, _, file in maker.all_of(f"{name}_noise", seeds) if encoder == "kinfolk"]
    for row in kept(maker.home / f"{name}.noise.json", lambda: yardstick.probe(f"{name}_noise", noisy)):
        yield _named(row, name, "noise")
    targets = yardstick.future(name)
    tasks = yardstick.datasets().load(name)[1]
    for encoder, seed, file in maker.all_of(f"{name}_past", seeds):
        for row in kept(file.with_suffix(".next.json"), lambda file=file: future(file, targets)):
            yield {"dataset": name, "part": "next", "encoder": encoder, "seed": seed, **row}
    for encoder, seed, file in files:
        for row in kept(file.with_suffix(".few.json"), lambda file=file: few_labels(file, tasks)):
            yield {"dataset": name, "part": "few", "encoder": encoder, "seed": seed, **row}
    for row in kept(maker.home / f"{name}.short.json", lambda: short_histories(maker.model(name, seeds[0]), tasks)):
        yield {"dataset": name, "part": "short", "encoder": "kinfolk", "seed": seeds[0], **row}


def kept(path: Path, make: Any) -> list[Row]:
    """The rows in a file, made and written first where it is not there."""
    if not path.exists():
        path.write_text(json.dumps(make()), encoding="utf-8")
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def _named(row: Row, name: str, part: str) -> Row:
    """A row of the yardstick's probe with what its file's name says."""
    encoder, seed = Path(row["file"]).stem.split("-")[-2:]
    scores = {key: row[key] for key in ("lightgbm", "logistic", "lookalike")}
    return {"dataset": name, "part": part, "encoder": encoder, "seed": int(seed), "task": row["task"], **scores}


def table(rows: list[Row]) -> str:
    """Means over seeds as Markdown: one line per part, data set and task, a column an encoder, scores with slashes."""
    cells: dict[tuple[str, str, str], dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        scores = [float(row[key]) for key in ("lightgbm", "logistic", "linear", "lookalike") if key in row]
        cells[row["part"], row["dataset"], row["task"]][row["encoder"]].append(scores)
    encoders = sorted({row["encoder"] for row in rows})
    lines = ["| part | data set | task | " + " | ".join(encoders) + " |", "|---" * (3 + len(encoders)) + "|"]
    for key, by in cells.items():
        means = [np.mean(by[e], axis=0) if e in by else None for e in encoders]
        shown = ["" if mean is None else " / ".join(f"{value:.3f}" for value in mean) for mean in means]
        lines.append("| " + " | ".join([*key, *shown]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
