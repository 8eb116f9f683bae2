"""The part of a vector that tells what people do, rather than who or where they are.

A vector also holds what merely identifies a customer: the home town, the usual store, the employer. Each of these
parts the population sharply, and crossing them hides how people behave. So fields of which nearly every customer has
one value of their own are found and set aside, and the vectors are reduced to those directions that tell the other
behaviours (reduced-rank regression, Izenman 1975): their least-squares prediction, in its principal axes.

n customers, d wide vectors, f features, m directions.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cluster.neighbours import Floats
from cluster.sharpen import Space

if TYPE_CHECKING:
    from eventlog.behaviour import Behaviour

SAMPLE, CHUNK = 50_000, 8192
DIRECTIONS = 32
RIDGE = 1e-3
LEAST_VALUES = 3.0
"""A field with fewer values than this (in effect) describes, even if each customer keeps to one of them."""
EVENTS = "events"
ROWS = 1024
"""Customers whose behaviours are read at once: as few as stay in the processor's cache."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class View:
    """What is clustered, and what was left out of it."""

    space: Space
    """float32 [d] -> [m]"""
    aside: frozenset[str]
    """Fields that identify rather than describe."""


def identity_of(behaviour: "Behaviour") -> dict[str, float]:
    """How far each categorical field tells customers apart for good, 0 to 1.

    0: every customer's events are a draw from the same mix of values. 1: all events of a customer have one value. It is
    the fixation index F_ST (Wright 1951) with customers as populations, unbiased for customers with few events.
    """
    columns: dict[str, list[int]] = {}
    counted = None
    for i, feature in enumerate(behaviour.features):
        if feature.kind == "share" and feature.field and feature.name == f"{feature.field}={feature.value}":
            columns.setdefault(feature.field, []).append(i)
        elif feature.name == EVENTS:
            counted = i
    sums = {field: _Sums(at) for field, at in columns.items()}
    # all fields in one pass over the rows: a column of a matrix that lies by rows costs as much to read as all of them
    for start in range(0, len(behaviour.matrix) if sums else 0, ROWS):
        rows = np.asarray(behaviour.matrix[start : start + ROWS])
        events = np.full(len(rows), np.inf) if counted is None else rows[:, counted].astype(np.float64)
        for one in sums.values():
            one.add(rows[:, one.columns].astype(np.float64), events)
    return {field: one.fixation() for field, one in sums.items()}


class _Sums:
    """What F_ST of one field is made of, over the customers with two events or more that have a value."""

    def __init__(self, columns: list[int]) -> None:
        first, last = columns[0], columns[-1] + 1
        together = columns == list(range(first, last))
        self.columns: slice | list[int] = slice(first, last) if together else columns
        self.customers, self.agreed, self.weight = 0, 0.0, 0.0
        self.shares = np.zeros(len(columns))

    def add(self, shares: Doubles, events: Doubles) -> None:
        """Customers' shares of the field's values [n, values] and their numbers of events [n]."""
        has = shares.sum(axis=1)
        number = np.where(has > 0, has * np.where(np.isfinite(events), events, 1e9), 0.0)
        several = number >= 2
        part = np.divide(1.0, has, out=np.zeros_like(has), where=several)
        self.customers += int(several.sum())
        self.shares += part @ shares
        alike = (np.einsum("nv,nv->n", shares, shares) * part**2)[several]
        many = number[several]
        # chance that two events of one customer agree, without counting an event as its own pair
        weight = 1 - 1 / many
        self.agreed += float((weight * (alike * many - 1) / (many - 1)).sum())
        self.weight += float(weight.sum())

    def fixation(self) -> float:
        """F_ST, 0 to 1."""
        if not self.customers:
            return 0.0
        within, among = self.agreed / self.weight, float(((self.shares / self.customers) ** 2).sum())
        if 1 / among < LEAST_VALUES:
            return 0.0
        return float(np.clip((within - among) / (1 - among), 0, 1))


def view_of(vectors: Floats, behaviour: "Behaviour", limit: float, seed: int) -> View | None:
    """The directions of `vectors` [n, d] that tell the behaviours [n, f] of the same customers.

    Fields whose identity is above `limit` are set aside. None where no behaviour that differs is left.
    """
    aside = frozenset(field for field, identity in identity_of(behaviour).items() if identity > limit)
    rows = np.arange(len(vectors))
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), SAMPLE, replace=False))
    targets = _targets(behaviour, rows, aside)
    if targets.shape[1] == 0:
        return None
    mean = vectors[rows].mean(axis=0, dtype=np.float64)
    own, shared = np.zeros((vectors.shape[1],) * 2), np.zeros((vectors.shape[1], targets.shape[1]))
    for start in range(0, len(rows), CHUNK):
        part = vectors[rows[start : start + CHUNK]] - mean
        own += part.T @ part / len(rows)
        shared += part.T @ targets[start : start + CHUNK] / len(rows)
    size = float(np.trace(own)) / len(own)
    if size <= 0:
        return None
    told = np.linalg.solve(own + RIDGE * size * np.eye(len(own)), shared)
    # principal axes of the prediction: its covariance is told' own told
    root = np.linalg.cholesky(own + 1e-9 * size * np.eye(len(own)))
    _, strength, axes = np.linalg.svd(root.T @ told, full_matrices=False)
    kept = axes[: min(DIRECTIONS, int((strength > 1e-6 * strength[0]).sum()))]
    return View(Space.centred(mean, told @ kept.T), aside)


def _targets(behaviour: "Behaviour", rows: npt.NDArray[np.int64], aside: frozenset[str]) -> Doubles:
    """Behaviours of some customers, square roots of shares and signed logs of the rest, standardised; [rows, kept]."""
    kept = [i for i, feature in enumerate(behaviour.features) if feature.field not in aside]
    is_share = np.array([behaviour.features[i].kind == "share" for i in kept], bool)
    raw = behaviour.matrix[rows][:, kept].astype(np.float64)
    scaled = np.where(is_share, np.sqrt(np.maximum(raw, 0)), np.sign(raw) * np.log1p(np.abs(raw)))
    spread = scaled.std(axis=0)
    varies = spread > 1e-9
    return np.asarray((scaled[:, varies] - scaled[:, varies].mean(axis=0)) / spread[varies])
