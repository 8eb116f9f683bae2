"""Time an audience: `python -m bench.audience --customers 1000000 --width 256` prints one JSON line.

Seeds are drawn from a few of many overlapping groups of synthetic customers; the true recall is the share of the
groups' other customers who are in the audience, beside what the report promises.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np

from bench.measure import measured
from bench.vectors import centre_of, embeddings
from eventlog.behaviour import Behaviour, Feature
from index.audience import build_audience
from index.request import AudienceRequest


def main() -> None:
    """Build an audience and compare it with the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument(
        "--groups", type=int, default=5, help="groups of customers that the seeds are drawn from, of 200"
    )
    parser.add_argument("--behaviours", type=int, default=0, help="behavioural features beside the vectors")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-audience-") as folder:
        given = embeddings(Path(folder) / "embeddings", options.customers, options.width, options.seed)
        alike = np.flatnonzero(centre_of(options.customers, 200, options.seed) < options.groups)
        seeds = np.random.default_rng(options.seed + 1).choice(alike, options.seeds, replace=False)
        request = AudienceRequest(seeds=tuple(seeds.tolist()), size=options.size, seed=options.seed)
        vectors_mb = given.vectors.nbytes / 2**20
        behaviour = behaviours(options.behaviours, options.customers, options.seed) if options.behaviours else None
        with measured() as before:
            pass
        with measured() as cost:
            audience = build_audience(request, given, behaviour)
        hidden = np.setdiff1d(alike, seeds)
        recall = float(np.isin(hidden, audience.members).mean())
    report = audience.report
    print(json.dumps({
        "stage": "audience", "customers": options.customers, "width": options.width,
        "behaviours": options.behaviours, "seeds": options.seeds,
        "size": options.size, "wall_s": round(cost.wall_s, 2), "cpu_s": round(cost.cpu_s, 2),
        "customers_per_s": round(options.customers / cost.wall_s),
        "scorers": [scorer.name for scorer in report.scorers if scorer.used],
        "recall": round(recall, 4), "expected_recall": [round(v, 4) for v in
        (report.recall.value, report.recall.low, report.recall.high)], "lift": round(report.lift.value, 2),
        "vectors_mb": round(vectors_mb, 1), "peak_rss_mb_before": round(before.peak_rss_mb, 1),
        "peak_rss_mb": round(cost.peak_rss_mb, 1),
    }))  # fmt: skip


def behaviours(many: int, customers: int, seed: int) -> Behaviour:
    """Shares and amounts, each of which customers of a tenth of the groups have more of."""
    rng, member = np.random.default_rng([seed, 2]), centre_of(customers, 200, seed)
    matrix = np.empty((customers, many), np.float32)
    for column in range(many):
        more = 1.0 + 0.5 * (rng.random(200) < 0.1)[member]
        matrix[:, column] = more * rng.random(customers, dtype=np.float32) ** (1 if column % 2 else 4)
    kinds: tuple[Literal["amount", "share"], ...] = ("amount", "share")
    features = [Feature(f"f{c}", kinds[c % 2], None, None, f"behaviour {c}") for c in range(many)]
    return Behaviour(tuple(features), matrix)


if __name__ == "__main__":
    main()
