"""Do audiences keep their promise? `python -m bench.promises [--customers N] [--days D] [--requests R] [--table]`.

On a simulated bank, whose customers' true personas are known: requests with 25 to 5,000 seeds drawn from one persona
(pure), from two or three (mixed), from personas with 30 % of random customers among them (noisy), and at random. Prints
one JSON line: by kind, the recall at the true size, of the blend that is used and of every scorer alone; how often the
intervals of expected recall and lift held the truth; how often it was said that seeds have nothing in common, which is
right for random ones alone. With `--table` the same as a table, recall by kind and scorer first.

The truth of a request is the recall over where its seeds came from: with 30 % random seeds, 30 % of that is everybody.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.line import bank_line, options
from bench.measure import measured
from bench.personas import true_personas
from index.audience import NOTHING_IN_COMMON, build_audience
from index.config import AudienceConfig, ScorerName
from index.contest import entrants
from index.inputs import Inputs
from index.pool import resolve
from index.request import AudienceRequest
from index.scoring import score_each
from serve.snapshot import Snapshot
from store.threads import set_threads

SEEDS = (25, 50, 100, 300, 1000, 5000)
KINDS = ("pure", "mixed", "noisy", "random")
NOISE = 0.3
"""Share of a noisy list that is random."""


@dataclass(frozen=True)
class Case:
    """One request and where its seeds came from."""

    kind: str
    seeds: np.ndarray
    """int64 [m]: rows."""
    alike: np.ndarray
    """bool [n]: customers of the personas; everybody for random seeds."""
    noise: float
    """Share of the seeds that came from everybody."""
    size: int

    def recall(self, members: np.ndarray) -> float:
        """True recall of an audience: of hidden customers of the personas, and of everybody in the noise's share."""
        inside = np.zeros(len(self.alike), bool)
        inside[members] = True
        hidden = np.ones(len(self.alike), bool)
        hidden[self.seeds] = False
        found = float(inside[hidden & self.alike].mean())
        return (1 - self.noise) * found + self.noise * float(inside[hidden].mean())


def main() -> None:
    """Ask, compare, print."""
    parser = options(__doc__)
    parser.set_defaults(customers=20_000, days=120)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--table", action="store_true", help="print Markdown instead of JSON")
    given = parser.parse_args()
    set_threads(given.threads)
    with tempfile.TemporaryDirectory() as scratch:
        line, workspace, truth = bank_line(
            given.home or Path(scratch), given.customers, given.days, given.seed, given.base
        )
        snapshot = Snapshot.load(workspace, line.snapshot)
        personas = np.array(true_personas(truth, snapshot.embeddings.customers))
        results = [judged(case, snapshot, number) for number, case in cases(personas, given.requests, given.seed)]
    figures = summed(results)
    print(table(figures) if given.table else json.dumps({"stage": "promises", "customers": len(personas), **figures}))


def cases(personas: np.ndarray, requests: int, seed: int) -> Iterator[tuple[int, Case]]:
    """The requests, kinds and numbers of seeds in turn."""
    names, counts = np.unique(personas, return_counts=True)
    for number in range(requests):
        rng = np.random.default_rng([seed, number])
        kind, most = KINDS[number % len(KINDS)], SEEDS[number // len(KINDS) % len(SEEDS)]
        several = {"pure": 1, "mixed": int(rng.integers(2, 4)), "noisy": int(rng.integers(1, 4)), "random": 0}[kind]
        chosen = rng.choice(names[counts >= 100], several, replace=False)
        alike = np.isin(personas, chosen) if several else np.ones(len(personas), bool)
        noise = NOISE if kind == "noisy" else 0.0
        # at most half of those alike are seeds: somebody is left to be found
        many = min(most, int(alike.sum()) // 2)
        drawn = rng.choice(np.flatnonzero(alike), many - round(noise * many), replace=False)
        rest = np.setdiff1d(np.arange(len(personas)), drawn)
        seeds = np.concatenate([drawn, rng.choice(rest, round(noise * many), replace=False)])
        size = int(alike.sum()) - len(drawn) if several else len(personas) // 20
        size = min(max(size, AudienceConfig().least_size), len(personas) - len(seeds))
        yield number, Case(kind, seeds, alike, noise, size)


def judged(case: Case, snapshot: Snapshot, number: int) -> dict[str, Any]:
    """What was promised, what came true, and what every scorer alone would have found."""
    ids = snapshot.embeddings.customers.gather(case.seeds).to_list()
    request = AudienceRequest(seeds=tuple(ids), size=case.size, seed=number)
    config = AudienceConfig()
    with measured() as cost:
        audience = build_audience(request, snapshot.embeddings, snapshot.behaviour, config)
    truth, report = case.recall(audience.members), audience.report
    reach = case.size / (snapshot.n_customers - len(case.seeds))
    return {
        "kind": case.kind,
        "seeds": len(case.seeds),
        "recall": truth,
        "alone": alone(case, snapshot, request, config),
        "expected": report.recall.value,
        "recall_held": report.recall.low <= truth <= report.recall.high,
        "lift_held": report.lift.low <= truth / reach <= report.lift.high,
        "doubted": NOTHING_IN_COMMON in report.warnings,
        "seconds": cost.wall_s,
    }


def alone(case: Case, snapshot: Snapshot, request: AudienceRequest, config: AudienceConfig) -> dict[ScorerName, float]:
    """True recall of each scorer used alone, fitted on all seeds."""
    pool = resolve(request, snapshot.embeddings, config)
    everybody = np.sort(np.random.default_rng(0).choice(snapshot.n_customers, min(snapshot.n_customers, 20_000), False))
    inputs = Inputs.of(snapshot.embeddings, snapshot.behaviour, everybody)
    found = {}
    raw, _ = score_each(inputs, pool, config, list(entrants(config, inputs, len(pool.seeds))), request.seed)
    for name, scores in raw.items():
        order = np.argsort(-scores, kind="stable")
        found[name] = case.recall(order[pool.eligible[order]][: case.size])
    return found


def summed(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures by kind, and over all requests but the random ones."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        groups[result["kind"]].append(result)
        if result["kind"] != "random":
            groups[f"{result['seeds']} seeds" if result["seeds"] in SEEDS else "other numbers of seeds"].append(result)
            groups["all but random"].append(result)
    order = ["all but random", *KINDS, *(f"{seeds} seeds" for seeds in SEEDS), "other numbers of seeds"]
    return {"requests": len(results)} | {name: _figures(groups[name]) for name in order if name in groups}


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def mean(values: list[float]) -> float:
        return round(float(np.mean(values)), 4)

    return {
        "requests": len(rows),
        "recall": mean([row["recall"] for row in rows]),
        "expected": mean([row["expected"] for row in rows]),
        "alone": {name: mean([row["alone"][name] for row in rows]) for name in rows[0]["alone"]},
        "recall_held": mean([row["recall_held"] for row in rows]),
        "lift_held": mean([row["lift_held"] for row in rows]),
        "doubted": mean([row["doubted"] for row in rows]),
        "seconds": mean([row["seconds"] for row in rows]),
    }


def table(figures: dict[str, Any]) -> str:
    """The figures as a table in Markdown: a column for every group of requests."""
    groups = {name: group for name, group in figures.items() if name != "requests"}
    best = max(groups["all but random"]["alone"].values())
    rows = [["", *groups], ["---"] * (len(groups) + 1), ["requests", *(str(g["requests"]) for g in groups.values())]]
    rows.append(["recall of the blend", *_column(groups, lambda g: g["recall"])])
    for name in groups["all but random"]["alone"]:
        label = f"{name} alone" + (", the best" if groups["all but random"]["alone"][name] == best else "")
        rows.append([label, *_column(groups, lambda g, name=name: g["alone"][name])])
    for label, key in (
        ("expected recall", "expected"),
        ("interval of recall held", "recall_held"),
        ("interval of lift held", "lift_held"),
        ("said to have nothing in common", "doubted"),
    ):
        rows.append([label, *_column(groups, lambda g, key=key: g[key])])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _column(groups: dict[str, dict[str, Any]], figure: Callable[[dict[str, Any]], float]) -> list[str]:
    return [f"{figure(group):.3f}".removeprefix("0") for group in groups.values()]


if __name__ == "__main__":
    main()
