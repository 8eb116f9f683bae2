"""Do segments follow the customers of a bank? `python -m bench.segments_bank --home DIR [--customers 50000]`.

The simulated bank's nights (bench/bank_nights.py) are made in --home once; each way to keep segments is then led
through them and judged (bench/bank_judge.py): agreement with the personas at the first fit and at the end, how many
true changes of persona show up as moves within so many days and how soon, and how many move whose persona stayed.

Prints a JSON line a night and one of figures for each way. Ways that need other packages than kinfolk's come from
`bench.segments_peers` with `--vectors HOME/nights/00/vectors.npy --truth HOME/nights/00/truth.npy --behaviour
HOME/nights/00/behaviour`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.bank_judge import ABSENT, Course, judged, set_of, share
from bench.bank_nights import BankNights, bank_nights
from bench.keepers import KEEPERS, Keeper, Told
from bench.measure import measured
from bench.segments import agreement
from cluster.warm import warm_up
from eventlog.simulate.personas import NAMES
from store.threads import set_threads

TOLD = "told"
"""A linear classifier of vectors that was told the personas of the first night: no segmenting, but a mark."""


def main() -> None:
    """Make the nights, lead every way through them, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="bank and nights are kept here; a second call resumes")
    parser.add_argument("--customers", type=int, default=50_000)
    parser.add_argument("--days", type=int, default=120, help="days before the first night, which the model sees")
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--ways", nargs="+", default=["kinfolk-weekly", "votes", "kmeans", TOLD], choices=[*KEEPERS, TOLD]
    )
    parser.add_argument("--again", action="store_true", help="judge the labels that an earlier call left in --home")
    given = parser.parse_args()
    if given.nights < 1 or given.days < 1:
        parser.error("--days and --nights: at least 1")
    set_threads(1)
    given.home.mkdir(parents=True, exist_ok=True)
    nights = bank_nights(given.home, given.customers, given.days, given.nights, given.seed)
    warm_up()
    for way in given.ways:
        folder = nights.home / "labels" / way
        if given.again and not (folder / f"{nights.nights:02d}.npy").is_file():
            parser.error(f"--again: {folder} holds no labels of all nights; run {way} without it first")
        seconds = [] if given.again else lead(nights, way, given.seed, folder)
        numbers = range(nights.nights + 1)
        course = Course.of(
            [np.load(nights.folder(number) / "ids.npy") for number in numbers],
            [np.load(folder / f"{number:02d}.npy") for number in numbers],
            [nights.personas(number).astype(np.int64) for number in numbers],
        )
        figures = {"first": agreements(course, 0), "last": agreements(course, nights.nights)}
        figures |= judged(course, nights.changes())
        print(json.dumps({"stage": "segments_bank", "way": way} | took(seconds) | figures), flush=True)


def agreements(course: Course, night: int) -> dict[str, Any]:
    """Agreement of a night's segments with the personas of that day, of those who are with the bank."""
    labels, truth = course.labels[night], course.truth[night]
    there, assigned = truth >= 0, (truth >= 0) & (labels >= 0)
    return {
        "customers": int((labels != ABSENT).sum()), "segments": len(set_of(course, night)),
        "unassigned_share": share(labels[there] < 0, np.ones(there.sum(), bool)),
        **agreement(truth[there], labels[there]),
        "assigned_only": agreement(truth[assigned], labels[assigned]) if assigned.any() else None,
    }  # fmt: skip


def took(seconds: list[float]) -> dict[str, float]:
    """CPU seconds of the first fit, and the median night's."""
    if not seconds:
        return {}
    return {"first_cpu_s": round(seconds[0], 1), "night_cpu_s": round(float(np.median(seconds[1:])), 1)}


def lead(nights: BankNights, way: str, seed: int, folder: Path) -> list[float]:
    """Lead one way through all nights, its labels int64 [n] written to `folder`; CPU seconds of each night."""
    folder.mkdir(parents=True, exist_ok=True)
    keeper: Keeper = Told(nights.personas(0)) if way == TOLD else KEEPERS[way](seed, len(NAMES))
    seconds = []
    for number in range(nights.nights + 1):
        night = nights.night(number)
        with measured() as cost:
            found = np.asarray(keeper.next(night) if number else keeper.first(night), np.int64)
        told = {"way": way, "night": number, "segments": len(np.unique(found[found >= 0]))}
        print(json.dumps(told | {"changed": len(night.changed), "cpu_s": round(cost.cpu_s, 2)}), flush=True)
        np.save(folder / f"{number:02d}.npy", found)
        seconds.append(cost.cpu_s)
    return seconds


if __name__ == "__main__":
    main()
