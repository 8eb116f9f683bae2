"""Measuring a new snapshot beside the one before: everything that its gates and its report are told."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from cluster.artifact import Segments
from embed.artifact import Embeddings
from embed.customers import Changes, changes
from eventlog.behaviour import Behaviour
from eventlog.drift import Sketch, drift
from eventlog.night import Grown
from eventlog.recode import recoded
from eventlog.sequences import EventLog
from index.search import SearchIndex
from serve.night_drift import VectorFacts, facts_of
from serve.night_facts import VOLUMES, Facts, usual_volume
from serve.night_report import CustomersIn, FieldDrift, SourceIn
from train.artifact import Model

DRIFT_EVENTS = 2_000_000
"""New events, at most about so many, whose fields are compared with those of the training."""
FEWEST_DRIFT = 500
"""With fewer new events no field is judged: chance alone moves them."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What a snapshot is made of, published or not."""

    log: EventLog
    embeddings: Embeddings
    behaviour: Behaviour
    index: SearchIndex
    segments: Segments


@dataclass(frozen=True, eq=False)
class Pair:
    """Two snapshots in a row."""

    before: Parts
    now: Parts

    @cached_property
    def found(self) -> Changes:
        """Who changed between them."""
        return changes(self.before.embeddings, self.now.embeddings)

    @cached_property
    def vectors(self) -> VectorFacts:
        """What is measured of the vectors."""
        return facts_of(self.before.embeddings, self.now.embeddings, self.found)


def night_facts(
    pair: Pair, grown: Grown, model: Model, sketch: Sketch, as_of: date, days: int, volumes: tuple[float, ...]
) -> Facts:
    """The facts of a night of some `days`; `volumes` are those of the nights before, see `Facts`."""
    sources = tuple(SourceIn(**asdict(source)) for source in grown.sources)
    customers, fields = _customers(pair, grown), _fields(pair, grown, model, sketch)
    a_day = grown.new_events / max(days, 1)
    usual = usual_volume(volumes)
    read = sum(source.read for source in sources)
    new = pair.now.log.n_events - pair.before.log.n_events
    judged = [one for one in fields if one.kind != "time"]  # a night has one weekday and its own hours
    figures = _common(pair) | {
        "counts": float(_unaccounted(pair, sources, customers) + abs(new - grown.new_events)),
        "volume": None if not usual else a_day / usual,
        "quarantined": sum(source.quarantined for source in sources) / read if read else None,
        "absent": max((one.absent - one.absent_before for one in judged), default=None),
        "unseen": max((one.unseen for one in judged if one.unseen is not None), default=None),
        "field_drift": max((one.psi for one in judged), default=None),
        "vector_drift": pair.vectors.centre_shift,
    }
    events = {"before": pair.before.log.n_events, "new": grown.new_events, "late": grown.late_events}
    return Facts(
        kind="night",
        as_of=as_of.isoformat(),
        figures=_rounded(figures),
        sources=sources,
        events=events | {"now": pair.now.log.n_events},
        customers=customers,
        drift=fields,
        vectors=pair.vectors.to_json(),
        volumes=(*volumes, round(a_day, 3))[-VOLUMES:],
    )


def retraining_facts(pair: Pair, model: Model, as_of: str, volumes: tuple[float, ...]) -> Facts:
    """The facts of a retraining on the events of the snapshot before: what changed is the model's doing alone."""
    kept = {profile.id for profile in pair.now.segments.profiles}
    were = [profile.id for profile in pair.before.segments.profiles]
    told = model.manifest.figures
    figures = _common(pair) | {
        "counts": float(abs(pair.now.log.n_events - pair.before.log.n_events) + _population(pair)),
        "segments_kept": _kept(pair) and sum(id in kept for id in were) / len(were) if were else None,
        "neighbours_kept": told.get("neighbours_kept"),
    }
    change = {name: float(told[name]) for name in ("cosine", "cosine_before", "neighbours_kept") if name in told}
    change["moved"] = float(figures["moved"] or 0.0)
    vectors = pair.vectors.to_json() if pair.before.embeddings.width == pair.now.embeddings.width else {}
    events = {"before": pair.before.log.n_events, "new": 0, "late": 0, "now": pair.now.log.n_events}
    return Facts("retrain", as_of, _rounded(figures), (), events, None, (), vectors, change, volumes)


def _common(pair: Pair) -> dict[str, float | None]:
    """Figures that nights and retrainings share."""
    labels, profiles = pair.now.segments.labels, pair.now.segments.profiles
    inside = sum(profile.size for profile in profiles)
    recall = pair.now.index.manifest.figures.get("recall")
    return {
        "finite": float(pair.vectors.not_finite),
        "norms": pair.vectors.norm_error,
        "recall": None if recall is None else float(recall),
        "unassigned": float(np.mean(labels < 0)),
        "stability": sum(p.stability * p.size for p in profiles) / inside if inside else None,
        "moved": _moved(pair),
    }


def _kept(pair: Pair) -> bool:
    return pair.before.segments.lineage == pair.now.segments.lineage


def _moved(pair: Pair) -> float:
    """Share of the customers known before who are in another segment; all of them where no identity was kept."""
    was = pair.found.was
    known = was >= 0
    if not known.any():
        return 0.0
    if not _kept(pair):
        return 1.0
    return float(np.mean(pair.now.segments.labels[known] != pair.before.segments.labels[was[known]]))


def _customers(pair: Pair, grown: Grown) -> CustomersIn:
    found, figures = pair.found, pair.now.embeddings.manifest.figures
    known = len(grown.changed) - grown.new_customers
    return CustomersIn(
        before=pair.before.log.n_customers,
        now=pair.now.log.n_customers,
        new=grown.new_customers,
        changed=known,
        replayed=int(figures.get("replayed", 0)) - grown.new_customers,
        gone=found.removed,
    )


def _unaccounted(pair: Pair, sources: tuple[SourceIn, ...], customers: CustomersIn) -> int:
    rows = sum(abs(s.read - s.kept - s.quarantined - s.duplicates - s.erased) for s in sources)
    return rows + abs(customers.before + customers.new - customers.gone - customers.now) + _population(pair)


def _population(pair: Pair) -> int:
    """By how much the parts of the new snapshot differ in their number of customers."""
    now = pair.now
    sizes = (now.embeddings.n_customers, len(now.behaviour.matrix), len(now.segments.labels))
    return sum(abs(size - now.log.n_customers) for size in sizes)


def _fields(pair: Pair, grown: Grown, model: Model, sketch: Sketch) -> tuple[FieldDrift, ...]:
    """Drift of every field of the new events; nothing where these are too few to say."""
    if grown.new_events < FEWEST_DRIFT:
        return ()
    log = recoded(pair.now.log, model.schema)
    rows = new_events(pair, grown, DRIFT_EVENTS)
    found = drift(sketch, np.asarray(log.codes[rows]), np.asarray(log.values[rows]), np.asarray(log.time[rows]))
    return tuple(FieldDrift(**asdict(one)) for one in found)


def new_events(pair: Pair, grown: Grown, most: int) -> np.ndarray:
    """int64 [e]: positions in the new log of the last events of everybody who has new ones, as many as these have.

    That is who is new; for customers with late events alone it is as many of their latest ones. Of every k-th customer
    only where there would be more than `most`.
    """
    rows = grown.changed[:: max(-(-grown.new_events // most), 1)]
    counts = np.diff(pair.now.log.offsets)[rows]
    was = pair.found.was[rows]
    before = np.where(was >= 0, np.diff(pair.before.log.offsets)[np.maximum(was, 0)], 0)
    fresh = np.maximum(counts - before, 0)
    end = pair.now.log.offsets[rows + 1]
    starts = np.cumsum(fresh) - fresh
    return np.asarray(np.repeat(end - fresh - starts, fresh) + np.arange(int(fresh.sum())))


def _rounded(figures: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: None if value is None else round(float(value), 9) for name, value in figures.items()}
