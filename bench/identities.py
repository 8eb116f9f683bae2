"""Do segments stay themselves when the encoder is trained anew? `python -m bench.identities --customers 10000`.

A simulated bank is segmented in the space of one model, then gone on from in the space of a second one, trained on the
same events with another seed and turned on to the first. Prints one JSON line: the share of segments that are still
there, the share of their customers who are still in them, how often neighbours in the new space say what a customer was
before (agreement), and how well both agree with the simulated personas. Another line for the night after that, in which
a second shadow confirms or not what the first one in the new space asked for.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

import cluster.run
import embed.run
import train.run
from bench.bank import options, prepared_bank
from bench.segments import agreement
from cluster.artifact import Segments
from cluster.config import SegmentsConfig
from cluster.warm import warm_up
from embed.config import EmbedConfig
from eventlog.behaviour import behaviour
from store.threads import set_threads
from train.config import TrainConfig


def main() -> None:
    """Train twice, segment three times, and print."""
    given = options(__doc__).parse_args()
    set_threads(given.threads)
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch)
        log, workspace = prepared_bank(home, given.customers, given.days, given.seed)
        done = behaviour(log)
        first = train.run.run(TrainConfig(), log, workspace)
        second = train.run.run(TrainConfig(seed=1), log, workspace, previous=first)
        warm_up()
        made: list[cluster.run.Earlier] = []
        for number, model in enumerate((first, second, second)):
            folder = home / "identities" / str(number)
            vectors = embed.run.run(EmbedConfig(), model, log, folder / "embeddings")
            config = SegmentsConfig(seed=number if number == 2 else 0)
            with threadpool_limits(1, user_api="blas"):
                segments = cluster.run.run(
                    config, vectors, done, folder / "segments", previous=made[-1] if made else None
                )
            made.append(cluster.run.Earlier(segments, vectors))
        truth = personas(home, log.customers)
        for which, before, after in (("retrained", made[0], made[1]), ("a night later", made[0], made[2])):
            print(json.dumps({"stage": "identities", "customers": log.n_customers, "change": which}
                             | kept(before.segments, after.segments) | against(truth, before.segments, after.segments)),
                  flush=True)  # fmt: skip


def kept(before: Segments, after: Segments) -> dict[str, object]:
    """What became of the segments and of their customers."""
    old, new = {p.id for p in before.profiles}, {p.id for p in after.profiles}
    was, now = before.labels, after.labels
    inside = was >= 0
    return {
        "segments": len(old), "kept": len(old & new), "new": len(new - old),
        "customers_in_the_same_segment": round(float((was == now)[inside].mean()), 4),
        "in_another": round(float(((was != now) & (now >= 0))[inside].mean()), 4),
        "in_none_any_more": round(float((now < 0)[inside].mean()), 4),
        "agreement": round(float(after.manifest.figures["agreement"]), 4),
        "events": [[event.kind, event.segment, *event.others] for event in after.events],
    }  # fmt: skip


def personas(home: Path, customers: pl.Series) -> np.ndarray:
    """Each customer's true persona at the end, by number."""
    told = pl.read_parquet(home / "bank" / "truth" / "customers.parquet", columns=["customer_id", "persona_end"])
    told = told.with_columns(customer_id=told["customer_id"].cast(customers.dtype)).unique("customer_id", keep="last")
    joined = customers.to_frame("customer_id").join(told, on="customer_id", how="left", maintain_order="left")
    return joined["persona_end"].rank("dense").fill_null(0).to_numpy().astype(np.int64)


def against(truth: np.ndarray, before: Segments, after: Segments) -> dict[str, object]:
    """Agreement with the personas, before and after."""
    return {"ari_before": agreement(truth, before.labels)["ari"], "ari": agreement(truth, after.labels)["ari"]}


if __name__ == "__main__":
    main()
