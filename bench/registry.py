"""Do segments stay themselves? `python -m bench.registry --home DIR [--customers 3000 --days 60 --small]`

Prints JSON lines.
kinfolk's registry of segments is led through the nights of a simulated bank (bench/bank_nights.py, made in --home
once): a line a night with what happened to segments and how many customers moved, and one at the end: agreement with
the true personas on the first and the last night, and how many customers are in the same segment as after one single
night for all of them.
"""

import argparse
import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.bank_nights import BankNights, bank_nights
from bench.keepers import Kinfolk, rows_before
from bench.night_kill import MODEL
from bench.segments import agreement
from cluster.config import SegmentsConfig
from cluster.registry import Registry
from cluster.warm import warm_up
from store.threads import set_threads


def main() -> None:
    """Make the nights, lead the registry through them, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="bank and nights are kept here; a second call resumes")
    parser.add_argument("--customers", type=int, default=3000)
    parser.add_argument("--days", type=int, default=60, help="days before the first night, which the model sees")
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the bank")
    parser.add_argument("--small", action="store_true", help="a model 64 wide of one epoch")
    parser.add_argument("--layout-seed", type=int, default=0, help="of the segments")
    parser.add_argument("--shadow-every", type=int, default=1, help="nights between two looks for new segments")
    parser.add_argument("--lead", type=float, default=SegmentsConfig().lead)
    given = parser.parse_args()
    set_threads(1)
    given.home.mkdir(parents=True, exist_ok=True)
    model = MODEL if given.small else ""
    nights = bank_nights(given.home, given.customers, given.days, given.nights, given.seed, model)
    warm_up()
    keeper = Kinfolk(given.layout_seed, 0)
    keeper.config = SegmentsConfig(seed=given.layout_seed, shadow_every=given.shadow_every, lead=given.lead)
    keeper.first(nights.night(0))
    once, start = copy.copy(keeper), known(keeper)
    happened, moved = led(keeper, nights)
    at_once(once, nights)
    told = [event.kind for event in happened]
    figures = {
        "happened": {kind: told.count(kind) for kind in ("born", "split", "merged", "died")},
        "segments": [len(start.segments), len(known(keeper).segments)],
        "moved_a_night": {"mean": float(np.mean(moved)), "most": max(moved)},
        "personas": [agreed(nights, 0, start), agreed(nights, nights.nights, known(keeper))],
        "same_segment_as_one_night": float((known(keeper).members.labels == known(once).members.labels).mean()),
    }
    print(json.dumps({"stage": "registry"} | figures))


def known(keeper: Kinfolk) -> Registry:
    """The registry as it stands."""
    assert keeper.registry is not None
    return keeper.registry


def led(keeper: Kinfolk, nights: BankNights) -> tuple[list[Any], list[float]]:
    """Lead through all nights: what happened to segments, and the share of customers who moved in each night."""
    happened, moved = [], []
    for number in range(1, nights.nights + 1):
        night, before, ids = nights.night(number), known(keeper), keeper.ids
        keeper.next(night)
        was = rows_before(ids, night.ids)
        old, labels = was >= 0, known(keeper).members.labels
        moved.append(float((labels[old] != before.members.labels[was[old]]).mean()))
        new = known(keeper).events[len(before.events) :]
        happened += new
        told = [f"{event.kind} {event.segment} {list(event.others)}" for event in new]
        print(json.dumps({"night": number, "moved": round(moved[-1], 4), "happened": told}), flush=True)
    return happened, moved


def at_once(keeper: Kinfolk, nights: BankNights) -> None:
    """Lead through all nights in one."""
    first, last = nights.night(0), nights.night(nights.nights)
    was = rows_before(first.ids, last.ids)
    changed = (was < 0) | (np.asarray(first.vectors)[np.maximum(was, 0)] != last.vectors).any(axis=1)
    keeper.next(replace(last, changed=np.flatnonzero(changed)))


def agreed(nights: BankNights, number: int, registry: Registry) -> dict[str, float]:
    """Agreement with the personas of a night."""
    truth = nights.personas(number).astype(np.int64)
    there = truth >= 0
    return agreement(truth[there], registry.members.labels[there].astype(np.int64))


if __name__ == "__main__":
    main()
