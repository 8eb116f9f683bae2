"""How much of a space stays when its model is trained anew? `python -m bench.retrain [--customers N] [--days D]`.

A model of a simulated bank as it was a month before the end is followed by one of the whole log, turned on to the
first, and by one that differs from that in the seed alone. Prints one JSON line for each: the mean cosine between the
vectors that both models give the same histories, before and after the turn, and how many of a customer's ten nearest
neighbours stayed. Beside it, what the month itself did to the customers under one model.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import train.run
from bench.bank import options, prepared_bank
from eventlog.sequences import DAY, EventLog
from store.threads import set_threads
from train.config import TrainConfig
from train.forecast import rows_before
from train.rotation import neighbours_kept, vectors_of

MONTH = 30


def main() -> None:
    """Train three times and print."""
    given = options(__doc__).parse_args()
    set_threads(given.threads)
    with tempfile.TemporaryDirectory() as scratch:
        log, workspace = prepared_bank(given.home or Path(scratch), given.customers, given.days, given.seed)
        earlier = until(log, log.end - MONTH * DAY)
        first = train.run.run(TrainConfig(), earlier, workspace)
        for change, config in (("a month later", TrainConfig()), ("and another seed", TrainConfig(seed=1))):
            model = train.run.run(config, log, workspace, previous=first)
            told = {name: model.manifest.figures[name] for name in ("cosine_before", "cosine", "neighbours_kept")}
            print(json.dumps({"stage": "retrain", "customers": log.n_customers, "change": change, **told}), flush=True)
        kept = np.flatnonzero(np.isin(log.customers.to_numpy(), earlier.customers.to_numpy()))[:3000]
        before = vectors_of(
            first.encoder, earlier, np.searchsorted(earlier.customers.to_numpy(), log.customers.to_numpy()[kept])
        )
        after = vectors_of(first.encoder, log, kept)
        figures = {"cosine": float((before * after).sum(1).mean()), "neighbours_kept": neighbours_kept(before, after)}
        rounded = {name: round(value, 4) for name, value in figures.items()}
        print(
            json.dumps({"stage": "retrain", "customers": len(kept), "change": "the month alone, one model", **rounded})
        )


def until(log: EventLog, time: int) -> EventLog:
    """The log as it was before a time, with the customers it had then."""
    everyone = np.arange(log.n_customers)
    ends = rows_before(log, everyone, time)
    there = np.flatnonzero(ends > log.offsets[:-1])
    counts = (ends - log.offsets[:-1])[there]
    kept = np.concatenate([np.arange(a, b) for a, b in zip(log.offsets[there], ends[there], strict=True)])
    arrays = {"codes": np.asarray(log.codes[kept]), "values": log.values[kept], "time": log.time[kept]}
    offsets = np.concatenate([[0], np.cumsum(counts)])
    customers = log.customers.gather(there)
    return replace(log, key=f"{log.key}-until", customers=customers, offsets=offsets, **arrays)


if __name__ == "__main__":
    main()
