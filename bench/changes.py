"""Does a week tell who lives differently now? `python -m bench.changes --home FOLDER --customers 20000`.

A simulated bank; the model sees the first 120 days, and the Mondays of the eight weeks after 148 days are judged as a
night does (`serve/night_changes.py`), beside the true changes of persona (new job, house, child, ...). Ways:

    changed   the last four weeks beside the eight before, as shipped
    told      the same vectors, judged by two linear classifiers that were told the personas: how likely it is that both
              are of one persona. No way to tell, but a mark; as many are told of as by `changed`

Prints one JSON line a way and threshold: alerts a week per 1,000 customers judged; of the alerts, how many are of a
customer whose persona changed within 28 days before (precision, beside `chance`, that share of all judged); of the
changes, how many are told within so many days (recall, beside `chance`, the share of customers without any change who
are told of in as many days).
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.linear_model import LogisticRegression

import train.run
from bench.bank import options, prepared_bank
from bench.bank_nights import log_until
from bench.measure import measured
from embed.config import EmbedConfig
from eventlog.recode import recoded
from eventlog.sequences import DAY, SECOND, EventLog
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.personas import NAMES
from eventlog.simulate.truth import personas_at
from serve.night_changes import WEEK, Marks, WeekVectors, learnt
from serve.recipe import load_recipe
from store.threads import set_threads

TRAINED, FIRST, WEEKS = 120, 148, 8
"""Days that the model sees; days before the first Monday at least; Mondays that are judged, one more for the first."""
THRESHOLDS = (3.0, 4.0, 5.0, 6.0)
DAYS = (14, 28, 42)
LATELY = 28
NEVER = -1_000_000

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Judged:
    """n customers, w Mondays."""

    mondays: list[date]
    z: dict[str, Floats]
    """By way: float64 [w, n], -inf of who was not judged."""
    changed: npt.NDArray[np.int64]
    """int64 [n]: days since the start on which the persona changed, NEVER for who never did."""
    days: npt.NDArray[np.int64]
    """int64 [w]: days from the start to each Monday."""


def main() -> None:
    """Judge every Monday, and print."""
    parser = options(__doc__)
    parser.set_defaults(days=FIRST + 7 * (WEEKS + 1), customers=20_000)
    given = parser.parse_args()
    if given.home is None:
        parser.error("--home FOLDER is needed: the bank is made once, and kept")
    set_threads(given.threads)
    given.home.mkdir(parents=True, exist_ok=True)
    with measured() as cost:
        judged = judge(given.home, given.customers, given.days, given.seed)
    common: dict[str, Any] = {"stage": "changes", "customers": len(judged.changed), "weeks": len(judged.mondays) - 1}
    for way in judged.z:
        for threshold in THRESHOLDS:
            alerts = once(judged.z[way] >= threshold)
            line = {"way": way, "threshold": threshold, **figures(judged, alerts, judged.z[way] > -np.inf)}
            print(json.dumps(common | line), flush=True)
    print(json.dumps(common | {"cpu_s": round(cost.cpu_s, 1), "peak_rss_mb": round(cost.peak_rss_mb)}), flush=True)


def judge(home: Path, customers: int, days: int, seed: int) -> Judged:
    """Make the bank and the model where they are missing, and judge its Mondays."""
    log, workspace = prepared_bank(home, customers, days, seed)
    start = SimulateConfig.checked(customers=customers, days=days, seed=seed).start
    midnight = (start - date(1970, 1, 1)).days * DAY
    recipe = load_recipe(home / "bank" / "recipe.yaml")
    model = train.run.run(recipe.train, log_until(log, midnight + TRAINED * DAY, TRAINED), workspace)
    events = recoded(log, model.schema)
    vectors = WeekVectors(EmbedConfig(), model, events)
    first = start + timedelta(days=FIRST + 6 - (start + timedelta(days=FIRST - 1)).weekday())
    mondays = [first + timedelta(weeks=w) for w in range(WEEKS + 1)]
    z = {way: np.full((len(mondays), log.n_customers), -np.inf) for way in ("changed", "told")}
    for w, monday in enumerate(mondays):
        end = int(datetime(monday.year, monday.month, monday.day, tzinfo=UTC).timestamp()) * SECOND
        marks, found = learnt(vectors, end)
        if found is None:
            raise SystemExit("too few customers have events enough; choose more of them")
        z["changed"][w, marks.customers] = found.z(marks)
        z["told"][w, marks.customers] = ranked(
            told(vectors, marks, home, log, monday), z["changed"][w, marks.customers]
        )
    return Judged(mondays, z, changes_of(home, log, start), np.array([(m - start).days for m in mondays]))


def told(vectors: WeekVectors, marks: Marks, home: Path, log: EventLog, monday: date) -> Floats:
    """float64 [q]: how unlikely it is that earlier and later weeks are of one persona, to classifiers that know."""
    odds = []
    for side, day in zip(
        vectors(marks), (monday - timedelta(days=LATELY + 1), monday - timedelta(days=1)), strict=True
    ):
        who = persona(home, log, day)[marks.customers]
        chance = np.zeros((len(who), len(NAMES)))
        half = np.arange(len(who)) % 2 == 0
        for learn, ask in ((half, ~half), (~half, half)):
            model = LogisticRegression(C=3.0, max_iter=300).fit(side[learn & (who >= 0)], who[learn & (who >= 0)])
            chance[np.ix_(ask, model.classes_)] = model.predict_proba(side[ask])
        odds.append(chance)
    return np.asarray(-np.log((odds[0] * odds[1]).sum(axis=1) + 1e-12))


def ranked(scores: Floats, z: Floats) -> Floats:
    """The values of z given out by the order of scores: every threshold tells of as many."""
    out = np.empty(len(z))
    out[np.argsort(scores, kind="stable")] = np.sort(z)
    return out


def persona(home: Path, log: EventLog, day: date) -> npt.NDArray[np.int64]:
    """int64 [n]: the code of every customer's persona on a day, -1 for who is not with the bank."""
    codes = {name: code for code, name in enumerate(NAMES)}
    there = personas_at(home / "bank" / "truth", day)
    there = there.with_columns(code=pl.col("persona").cast(pl.String).replace_strict(codes))
    table = (
        log.customers.rename("customer_id").to_frame().join(there, on="customer_id", how="left", maintain_order="left")
    )
    return table["code"].fill_null(-1).to_numpy().astype(np.int64)


def changes_of(home: Path, log: EventLog, start: date) -> npt.NDArray[np.int64]:
    """int64 [n]: the day of each customer's last change of persona, counted from the start."""
    events = pl.read_parquet(home / "bank" / "truth" / "life_events.parquet", hive_partitioning=False)
    events = (
        events.filter(pl.col("from_persona") != pl.col("to_persona")).group_by("customer_id").agg(pl.col("date").max())
    )
    day = (pl.col("date") - pl.lit(start)).dt.total_days()
    table = (
        log.customers.rename("customer_id").to_frame().join(events, on="customer_id", how="left", maintain_order="left")
    )
    return table.select(day.fill_null(NEVER))["date"].to_numpy().astype(np.int64)


def once(over: Flags) -> Flags:
    """Alerts [w - 1, n]: who is over the threshold, and was not the Monday before."""
    return np.asarray(over[1:] & ~over[:-1])


def figures(judged: Judged, alerts: Flags, there: Flags) -> dict[str, Any]:
    """Precision and recall of alerts [w - 1, n], beside chance; `there` [w, n] tells who was judged."""
    days, changed, asked = judged.days[1:, None], judged.changed[None, :], there[1:]
    lately = (changed < days) & (changed >= days - LATELY)
    out: dict[str, Any] = {
        "alerts_a_week_per_1000": round(1000 * float(alerts.sum() / asked.sum()), 2),
        "precision": share(lately[alerts]),
        "precision_chance": share(lately[asked]),
    }
    calm = judged.changed == NEVER
    for horizon in DAYS:
        # changes whose whole horizon lies between the first Monday and the last
        known = (judged.changed >= judged.days[0]) & (judged.changed + horizon <= judged.days[-1]) & asked.all(axis=0)
        in_time = (alerts & (changed < days) & (days <= changed + horizon)).any(axis=0)
        weeks = horizon // WEEK
        chance = [
            alerts[at : at + weeks][:, calm & asked.all(axis=0)].any(axis=0).mean()
            for at in range(len(alerts) - weeks + 1)
        ]
        out |= {f"recall_{horizon}": share(in_time[known]), f"chance_{horizon}": round(float(np.mean(chance)), 4)}
        out |= {f"changes_{horizon}": int(known.sum())}
    return out


def share(flags: Flags) -> float | None:
    """Of True; None of nothing."""
    return round(float(flags.mean()), 4) if flags.size else None


if __name__ == "__main__":
    main()
