"""Segments beside other libraries on the same vectors: `python -m bench.segments_peers --world 1.6 --yardstick DIR`.

Or on vectors of one's own: `--vectors FILE.npy --truth FILE.npy`, the truth integers with -1 for whoever belongs
nowhere; with `--behaviour FOLDER` (the behaviour of the same customers) kinfolk reads behaviours as it does in a line,
in a row `kinfolk-behaviours`, and every way is run once more on the vectors that it clusters then, in rows `+view`.

Each way (bench/clusterers.py) has a process of its own; all but kinfolk's run in the interpreter `--peers`.
Prints one JSON line a way: adjusted Rand index and normalised mutual information over true members with the unassigned
as one more group, and over the assigned alone, and what it cost. Numba's compilation is done before the clock starts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import clusterers
from bench.segments import agreement
from bench.worlds import world_of
from cluster.config import SegmentsConfig
from cluster.view import view_of
from eventlog.behaviour import load_behaviour
from store.threads import set_threads

OWN = ("kinfolk",)
"""Ways that run in this interpreter; the others run in that of the peers, where one is given."""
ROOT = Path(__file__).resolve().parent.parent
Labels = npt.NDArray[np.int64]


def main() -> None:
    """Read the options, run every way, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=float, help="hard level of the yardstick's world")
    parser.add_argument("--yardstick", type=Path, default=Path("../shared/yardstick"))
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--behaviour", type=Path)
    parser.add_argument("--peers", type=Path, help="interpreter of an environment with evoc and bertopic")
    parser.add_argument("--ways", nargs="+", default=list(clusterers.WAYS), choices=list(clusterers.WAYS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if (given.world is None) == (given.vectors is None) or (given.vectors is None) != (given.truth is None):
        parser.error("give --world, or --vectors and --truth")
    if given.peers and not given.peers.is_file():
        parser.error(f"--peers {given.peers}: there is no such interpreter")
    set_threads(given.threads)
    vectors, truth = inputs(given)
    for row in rows(given, vectors, truth):
        print(json.dumps(row), flush=True)


def inputs(given: argparse.Namespace) -> tuple[npt.NDArray[np.float32], Labels]:
    """The vectors [n, d] and the truth [n], -1 for the background."""
    if given.vectors is not None:
        return np.load(given.vectors).astype(np.float32), np.load(given.truth).astype(np.int64)
    world = world_of(given.yardstick, given.customers, given.seed, given.world)
    return world.X, world.y.astype(np.int64)


def rows(given: argparse.Namespace, vectors: npt.NDArray[np.float32], truth: Labels) -> Iterator[dict[str, Any]]:
    """The figures of each way."""
    sets = [("", vectors, given.ways)]
    if given.behaviour:
        view = view_of(vectors, load_behaviour(given.behaviour), SegmentsConfig().identity, given.seed)
        if view is None:
            raise SystemExit(f"--behaviour {given.behaviour}: no behaviour there differs")
        sets.append(("+view", view.space.of(vectors), given.ways))
    for suffix, clustered, ways in sets:
        for name in ways:
            with tempfile.TemporaryDirectory() as scratch:
                cost = run(given, name, clustered, len(np.unique(truth[truth >= 0])), Path(scratch))
                if "missing" in cost:
                    yield cost
                    continue
                labels = np.load(Path(scratch) / "labels.npy")
            own = "kinfolk-behaviours" if name == "kinfolk" and suffix else name + suffix
            told = figures(truth, labels, background=given.world is not None)
            facts = {"stage": "segments_peers", "world": given.world, "customers": len(labels)}
            yield facts | cost | {"way": own} | told


def run(
    given: argparse.Namespace, name: str, vectors: npt.NDArray[np.float32], groups: int, folder: Path
) -> dict[str, Any]:
    """What a way's process says; its labels are in `folder`."""
    facts = {
        "smallest": SegmentsConfig().smallest(len(vectors)), "groups": groups, "seed": given.seed,
        "threads": given.threads,
    }  # fmt: skip
    np.save(folder / "vectors.npy", vectors)
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), str(given.threads))
    interpreter = sys.executable if name in OWN or given.peers is None else str(given.peers)
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])] if name in OWN else []
    done = subprocess.run(
        [interpreter, "-W", "ignore", str(ROOT / "bench" / "clusterers.py"), name, str(folder)],
        env={**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def figures(truth: Labels, labels: Labels, background: bool) -> dict[str, Any]:
    """How labels agree with the truth; `background`: whether those who are in no true group should be in no segment."""
    members, assigned = truth >= 0, (truth >= 0) & (labels >= 0)
    found = labels[labels >= 0]
    outside = (labels[~members] < 0).mean() if background and not members.all() else None
    return {
        "segments": len(np.unique(found)), "true_groups": len(np.unique(truth[members])),
        **agreement(truth[members], labels[members]),
        "assigned_only": agreement(truth[assigned], labels[assigned]) if assigned.any() else None,
        "unassigned_share": round(float((labels < 0).mean()), 4),
        "largest_share": round(float(np.bincount(found).max() / len(labels)), 4) if len(found) else 0.0,
        "background_found": None if outside is None else round(float(outside), 4),
    }  # fmt: skip


if __name__ == "__main__":
    main()
