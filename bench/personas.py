"""Do segments find the simulated bank's true personas? `python -m bench.personas [--customers N] [--days D]`.

Prints one JSON line: adjusted Rand index and normalised mutual information of the segments with the personas that
customers had on the last day, with the unassigned as one more segment (`all`) and left out (`assigned`); and how well
an audience whose seeds are some members of one persona ranks its other members.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, roc_auc_score

from bench.line import bank_line, options
from bench.measure import measured
from index.audience import build_audience
from index.config import AudienceConfig
from index.request import AudienceRequest
from serve.snapshot import Snapshot
from store.threads import set_threads

SEEDS = 200


def main() -> None:
    """Run the line and print the agreement."""
    parser = options(__doc__)
    parser.set_defaults(customers=20_000, days=180)
    given = parser.parse_args()
    set_threads(given.threads)
    with tempfile.TemporaryDirectory() as scratch, measured() as cost:
        home = given.home or Path(scratch)
        line, workspace, truth = bank_line(home, given.customers, given.days, given.seed, given.base)
        snapshot = Snapshot.load(workspace, line.snapshot)
        personas = true_personas(truth, snapshot.embeddings.customers)
        agreement = agreements(personas, snapshot.segments.labels)
        audience = audience_figures(snapshot, personas, given.seed)
        found = len(snapshot.segments.profiles)
    figures = {
        "stage": "personas",
        "customers": len(personas),
        "events": line.log.n_events,
        "personas": len(set(personas)),
        "segments": found,
        **agreement,
        "audience": audience,
        "seconds": {stage: round(took, 2) for stage, took in line.seconds.items()},
        "wall_s": round(cost.wall_s, 2),
        "cpu_s": round(cost.cpu_s, 2),
        "peak_rss_mb": round(cost.peak_rss_mb, 1),
    }
    print(json.dumps(figures))


def true_personas(truth: Path, customers: pl.Series) -> list[str]:
    """The persona on the last day of every customer, in their order."""
    known = pl.read_parquet(truth / "customers.parquet").select("customer_id", "persona_end")
    ids = customers.rename("customer_id").to_frame()
    return ids.join(known, on="customer_id", how="left", maintain_order="left")["persona_end"].to_list()


def agreements(personas: list[str], labels: npt.NDArray[np.int32]) -> dict[str, Any]:
    """Agreement of segments with personas, the unassigned counted as one more segment, and left out."""
    true = np.unique(np.array(personas), return_inverse=True)[1]
    assigned = labels >= 0
    figures: dict[str, Any] = {"unassigned_share": round(float((~assigned).mean()), 4)}
    for name, rows in (("all", np.ones(len(labels), bool)), ("assigned", assigned)):
        some = bool(rows.any())
        figures[f"ari_{name}"] = round(float(adjusted_rand_score(true[rows], labels[rows])), 4) if some else None
        nmi = normalized_mutual_info_score(true[rows], labels[rows]) if some else None
        figures[f"nmi_{name}"] = None if nmi is None else round(float(nmi), 4)
    return figures


def audience_figures(snapshot: Snapshot, personas: list[str], seed: int) -> dict[str, Any]:
    """An audience from some members of the most common persona: how well it ranks the others."""
    names, counts = np.unique(np.array(personas), return_counts=True)
    persona = str(names[counts.argmax()])
    member = np.array(personas) == persona
    rows = np.flatnonzero(member)
    drawn = np.random.default_rng(seed).choice(rows, min(SEEDS, len(rows) // 3), replace=False)
    seeds = tuple(snapshot.customer(int(row)) for row in drawn)
    size = max(AudienceConfig().least_size, min(len(rows) - len(drawn), snapshot.n_customers // 2))
    audience = build_audience(AudienceRequest(seeds=seeds, size=size), snapshot.embeddings, snapshot.behaviour)
    others = np.setdiff1d(np.arange(len(member)), drawn)
    precision, base = float(member[audience.members].mean()), float(member[others].mean())
    return {
        "persona": persona,
        "seeds": len(seeds),
        "size": size,
        "auroc": round(float(roc_auc_score(member[others], audience.scores[others])), 4),
        "precision": round(precision, 4),
        "lift": round(precision / base, 2),
        "expected_lift": round(audience.report.lift.value, 2),
    }


if __name__ == "__main__":
    main()
