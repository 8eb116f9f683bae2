"""What a night tells of itself: the report that people, schedulers and the page of the night are given.

Holds no customer id. Times are told apart from the rest: everything but `timings` follows from the inputs alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["night", "retrain"]
Status = Literal["published", "held", "nothing_new"]


@dataclass(frozen=True)
class Gate:
    """One figure against its limit."""

    name: str
    """Name as in the recipe's section `night.gates` and in `--accept`."""
    words: str
    """What is measured, for people."""
    figure: float | None
    """None where there is nothing to measure yet, which passes."""
    limit: float
    bound: Literal["least", "most"]
    """Whether `limit` is the least or the most that passes."""
    accepted: bool = False
    """Whether somebody accepted it beforehand, whatever the figure."""

    @property
    def met(self) -> bool:
        """Whether the figure keeps to the limit."""
        if self.figure is None:
            return True
        return self.figure >= self.limit if self.bound == "least" else self.figure <= self.limit

    @property
    def passed(self) -> bool:
        """Whether it stands in the way of publishing no more."""
        return self.met or self.accepted


@dataclass(frozen=True)
class SourceIn:
    """What came in from one source."""

    name: str
    files: int
    """Files read for the first time, or further than before."""
    repeated_files: int
    """Files with the bytes of one that was read before."""
    read: int
    """Rows read and judged: kept + quarantined + duplicates + erased."""
    kept: int
    quarantined: int
    duplicates: int
    """Rows whose event id was there before."""
    erased: int
    """Rows of customers who were erased."""
    pending: int
    """Rows after the night's day, left for the nights to come."""


@dataclass(frozen=True)
class FieldDrift:
    """How far a field's new events are from those that the model was trained on."""

    field: str
    kind: Literal["categorical", "numeric", "time"]
    psi: float
    """Population stability index over the field's bins, less what chance alone is expected to give."""
    absent: float
    """Share of new events without a value."""
    absent_before: float
    unseen: float | None
    """Of the new events that have a value, the share whose value the model has never seen, beyond that of rare values
    in training; None of numeric fields and times, and of too few events to say."""
    bins: tuple[tuple[str, float, float], ...] = ()
    """Bin in words, its share before, its share now; the bins that moved most first, at most twelve."""


@dataclass(frozen=True)
class CustomersIn:
    """How many customers the night touched."""

    before: int
    now: int
    new: int
    changed: int
    """Known ones with new events."""
    replayed: int
    """Of the changed ones, those whose history was read from the start (late events, short histories)."""
    gone: int


@dataclass(frozen=True)
class SegmentThen:
    """One segment before and after."""

    id: int
    name: str
    before: int
    """Customers; 0 where it was not there."""
    now: int


@dataclass(frozen=True)
class Flow:
    """How many customers went from one segment to another; -1 is no segment, -2 not a customer then."""

    source: int
    target: int
    customers: int


@dataclass(frozen=True)
class Report:
    """A night, or a retraining, from its beginning to its end."""

    kind: Kind
    status: Status
    as_of: str
    """The last day whose events were taken, YYYY-MM-DD."""
    reason: str
    """One sentence: what happened, or why nothing was published."""
    snapshot: str | None
    """Name of the snapshot that was made; served where the status is `published`."""
    previous: str
    """Name of the snapshot that was served before."""
    model: str
    previous_model: str
    sources: tuple[SourceIn, ...] = ()
    events: Mapping[str, int] = field(default_factory=dict)
    """before, new, late, now."""
    customers: CustomersIn | None = None
    gates: tuple[Gate, ...] = ()
    drift: tuple[FieldDrift, ...] = ()
    vectors: Mapping[str, float] = field(default_factory=dict)
    """How far vectors moved: see `serve.night_drift`."""
    segments: tuple[SegmentThen, ...] = ()
    flows: tuple[Flow, ...] = ()
    """Between different segments only."""
    happened: tuple[str, ...] = ()
    """Segments born, split, merged and died, with evidence."""
    alerts: Mapping[str, int] = field(default_factory=dict)
    """Events about customers by kind: moved, shifted; changed, on nights that end a week."""
    model_change: Mapping[str, float] = field(default_factory=dict)
    """Of a retraining: what the new model alone changed, apart from what customers did."""
    pruned: tuple[str, ...] = ()
    """Snapshots removed since they are older than what is kept."""
    warnings: tuple[str, ...] = ()
    """What went wrong after publishing, such as a webhook out of reach."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Wall-clock seconds by stage, `total`, and megabytes: `peak_mb`, `peak_mapped_mb`; see `serve.watch`."""

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values, gates with their verdict."""
        gates = [asdict(gate) | {"met": gate.met, "passed": gate.passed} for gate in self.gates]
        return asdict(self) | {"gates": gates}
