"""Do alerts tell who changed? `python -m bench.alerts --home FOLDER --customers 5000 --nights 30`.

Thirty nights of the simulated bank (`bench/bank_nights.py`, made where they are missing). An alert is a customer whose
new events are unlike the ones before, as `serve/night_events.py` tells them. Two ways to judge are compared: habits
(`cluster/surprise.py`, which is what a night does) and the distance between the vectors before and after, both as
robust z among customers with about as many new events and as long a history. Two truths are asked about:

    persona   a true change of persona (new job, house, child, ...): of the alerts, how many are of a customer who had
              one within so many days before (precision, beside `chance`, the share of all customers judged who had);
              of the changes, how many are told within so many days (recall, beside `chance`, the share of customers
              without any change who are told of in as many days)
    swapped   one night of one in fifty customers is replaced by the night of somebody else with about as many events,
              as when a card or an account is in other hands: precision, and recall that night; habits alone

Prints one JSON line a way, truth, threshold and horizon.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.bank import options
from bench.bank_nights import BankNights, Night, bank_nights
from cluster.surprise import Habits, Surprise, surprise, usual
from eventlog.behaviour import Behaviour

THRESHOLDS = (2.5, 3.0, 3.5, 4.0, 5.0)
HORIZONS = (7, 14, 28)
SWAPPED = 50
NEVER = -1_000

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judged:
    """T nights, n customers of the last one; NaN where somebody was not judged."""

    ids: Ints
    """int64 [n], ascending."""
    z: dict[str, Floats]
    """By way: float64 [T, n]."""


def main() -> None:
    """Judge every night, and print."""
    parser = options(__doc__)
    parser.add_argument("--nights", type=int, default=30)
    given = parser.parse_args()
    if given.home is None:
        parser.error("--home FOLDER is needed: nights are made once, and kept")
    made = bank_nights(given.home, given.customers, given.days, given.nights, given.seed)
    nights = [made.night(number) for number in range(made.nights + 1)]
    pairs = [Pair(before, now) for before, now in pairwise(nights)]
    ids = nights[-1].ids
    z = {way: np.full((made.nights, len(ids)), np.nan) for way in ("habits", "vectors")}
    swaps: list[tuple[Floats, npt.NDArray[np.bool_]]] = []
    for t, pair in enumerate(pairs):
        at = np.searchsorted(ids, pair.now.ids[pair.after[pair.judged.places]])
        z["habits"][t, at], z["vectors"][t, at] = pair.judged.z, pair.vectors()
        swaps.append(pair.swapped(np.random.default_rng([given.seed, t])))
    common = {"stage": "alerts", "customers": len(ids), "nights": made.nights}
    for line in (*personas(made, Judged(ids, z)), *swapped(swaps)):
        print(json.dumps(common | line), flush=True)


class Pair:
    """Two nights in a row."""

    def __init__(self, before: Night, now: Night) -> None:
        self.earlier, self.now = before, now
        at = np.minimum(np.searchsorted(before.ids, now.ids[now.changed]), len(before.ids) - 1)
        known = before.ids[at] == now.ids[now.changed]
        self.before, self.after = at[known], now.changed[known]
        self.judged = self._surprise(now.behaviour)

    def _surprise(self, later: Behaviour) -> Surprise:
        noise = [f.field for f in later.features if f.field is not None and f.field.startswith("noise")]
        return surprise(Habits(self.earlier.behaviour, later, noise), self.before, self.after)

    def vectors(self) -> Floats:
        """float64 [m]: z of the distance between vectors, of those who are judged."""
        old, new = self.before[self.judged.places], self.after[self.judged.places]
        cosine = np.einsum("nd,nd->n", self.earlier.vectors[old], self.now.vectors[new], dtype=np.float64)
        return usual(np.log(np.maximum(1 - cosine, 1e-9)), self.judged.new, self.judged.history)

    def swapped(self, rng: np.random.Generator) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """z of those who are judged where one in SWAPPED had somebody else's night, and who that is."""
        judged = self.judged
        order = np.lexsort((rng.random(len(judged.new)), judged.new))
        donors = np.empty(len(order), np.int64)
        donors[order] = np.roll(order, 1)
        donors[order[:1]] = order[:1]
        here = rng.random(len(order)) < 1 / SWAPPED
        later = replace(self.now.behaviour, matrix=np.array(self.now.behaviour.matrix))
        share = np.array([f.kind == "share" and "[" not in f.name for f in later.features])
        before, after = self.before[judged.places], self.after[judged.places]
        was, old_donor = (
            self.earlier.behaviour.matrix[before[here]],
            self.earlier.behaviour.matrix[before[donors[here]]],
        )
        new_donor = self.now.behaviour.matrix[after[donors[here]]]
        night = new_donor * new_donor[:, :1] - old_donor * old_donor[:, :1]
        events = was[:, :1] + new_donor[:, :1] - old_donor[:, :1]
        rows = later.matrix[after[here]]
        rows[:, share] = ((was * was[:, :1] + night) / events)[:, share]
        rows[:, :1] = events
        later.matrix[after[here]] = rows
        return self._surprise(later).z, here


def personas(made: BankNights, judged: Judged) -> Iterator[dict[str, Any]]:
    """Alerts beside true changes of persona."""
    changes = made.changes()
    at = np.minimum(np.searchsorted(judged.ids, changes["customer_id"].to_numpy()), len(judged.ids) - 1)
    known = judged.ids[at] == changes["customer_id"].to_numpy()
    changed = np.full(len(judged.ids), NEVER)
    changed[at[known]] = changes["night"].to_numpy()[known]
    nights = np.arange(1, made.nights + 1)[:, None]
    for way, z in judged.z.items():
        for threshold in THRESHOLDS:
            alerts = z >= threshold
            line: dict[str, Any] = {"way": way, "truth": "persona", "threshold": threshold}
            line["alerts_a_night_per_1000"] = round(1000 * float(alerts.mean()), 2)
            for horizon in HORIZONS:
                lately = (nights >= changed) & (nights < changed + horizon)
                yield line | {"days": horizon} | _told(alerts, lately, ~np.isnan(z), changed, horizon)


def _told(
    alerts: npt.NDArray[np.bool_], lately: npt.NDArray[np.bool_], there: npt.NDArray[np.bool_], changed: Ints, days: int
) -> dict[str, Any]:
    asked = (changed >= 1) & (changed + days - 1 <= len(alerts))
    seen = (alerts & lately).any(axis=0)[asked]
    calm = alerts[:, changed == NEVER]
    by_chance = [calm[start : start + days].any(axis=0).mean() for start in range(len(alerts) - days + 1)]
    right, all_of_them = int((alerts & lately).sum()), int(alerts.sum())
    return {
        "precision": round(right / all_of_them, 4) if all_of_them else None,
        "precision_chance": round(float(lately[there].mean()), 4),
        "right": right,
        "changes": int(asked.sum()),
        "recall": round(float(seen.mean()), 4) if asked.any() else None,
        "recall_chance": round(float(np.mean(by_chance)), 4),
    }


def swapped(swaps: list[tuple[Floats, npt.NDArray[np.bool_]]]) -> Iterator[dict[str, Any]]:
    """Alerts beside nights that were somebody else's."""
    z, truth = (np.concatenate(parts) for parts in zip(*swaps, strict=True))
    for threshold in THRESHOLDS:
        alerts = z >= threshold
        right = int((alerts & truth).sum())
        yield {
            "way": "habits",
            "truth": "swapped",
            "threshold": threshold,
            "swapped": int(truth.sum()),
            "precision": round(right / max(int(alerts.sum()), 1), 4),
            "precision_chance": round(float(truth.mean()), 4),
            "recall": round(right / max(int(truth.sum()), 1), 4),
            "recall_chance": round(float(alerts[~truth].mean()), 4),
        }


if __name__ == "__main__":
    main()
