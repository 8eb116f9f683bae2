"""Landmarks: the sample of customers that is laid out and clustered. Everybody else is placed among them, in the
embedding space, by the vote of the nearest, behind the density gate.

n customers, d wide vectors, c landmarks that the gate let through, m sharpened dimensions, q customers to be placed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cluster.clusters import Ints, Labels
from cluster.config import SegmentsConfig
from cluster.gate import isolation, reach, threshold
from cluster.likely import Likely
from cluster.neighbours import Floats, Neighbours, graph, search, without_self
from cluster.sharpen import Space, plain, sharpened
from cluster.vote import Vote, vote

CHUNK = 65_536
CLOSEST = 3
"""Landmarks that a customer's place on the map lies between."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Customers that others are placed by."""

    rows: Ints
    """int64 [c], rows of the population, ascending when they are found; -1 for customers who are gone since."""
    points: Floats
    """float32 [c, m]"""
    reaches: Floats
    """float32 [c], distance to the last neighbour."""
    limit: float
    """Largest isolation that is not background."""
    space: Space
    """float32 [d] -> [m]"""


@dataclass(frozen=True, eq=False)
class Ground:
    """Landmarks as they stood when they were found, whatever became of these customers since: a fixed reference, so
    that who is placed again is judged by the same measure."""

    landmarks: Landmarks
    labels: Labels
    """int32 [c], ids of segments; -1 for none."""
    part: Labels
    """int32 [c], parts of these, from 1; 0 for none."""
    flat: Floats
    """float32 [c, 2], their places on the map."""
    since: int
    """The day of the line that found them, see `Registry.day`."""
    likely: Likely | None = None
    """Tells segments by some weeks alone (`cluster.lately`); None where these are not looked at."""

    def now(self, here: Ints) -> "Ground":
        """The same under the rows of now; `here` [p] has the row of now of each earlier one, -1 for those gone."""
        rows = self.landmarks.rows
        moved = np.where(rows >= 0, here[np.maximum(rows, 0)], -1)
        return replace(self, landmarks=replace(self.landmarks, rows=moved))


def find_landmarks(
    vectors: Floats, sample: Ints, config: SegmentsConfig, view: Space | None = None
) -> tuple[Landmarks, Neighbours]:
    """The rows `sample` of `vectors` [n, d] less those in thin regions, with the graph of the others.

    They are compared in the space of `view`, where one is given, sharpened.
    """
    drawn = np.ascontiguousarray(vectors[sample])
    seen = view.of(drawn) if view else drawn
    space = sharpened(seen, config.neighbours, config.seed, config.threads) if config.sharpen else plain(seen)
    space = space.after(view) if view else space
    points = space.of(drawn)
    near, limit = graph(points, config.neighbours, config.threads), float("inf")
    if config.gate:
        ratios = isolation(reach(near), near.rows, reach(near))
        limit = threshold(ratios, config.gate_spread)
        inside = ratios <= limit
        sample, points = sample[inside], np.ascontiguousarray(points[inside])
        near = graph(points, config.neighbours, config.threads)
    return Landmarks(sample, points, reach(near), limit, space), near


@dataclass(frozen=True, eq=False)
class Placed:
    """Where some customers are among the landmarks."""

    rows: Ints
    """int64 [q], rows of the population."""
    near: Neighbours
    """Their nearest landmarks."""
    said: Vote
    isolation: Floats
    """float32 [q]; above the landmarks' limit: background."""
    positions: Floats
    """float32 [q, 2], places on the map."""


def place(
    vectors: Floats,
    rows: Ints,
    landmarks: Landmarks,
    labels: Labels,
    own: Labels,
    flat: Floats,
    config: SegmentsConfig,
) -> Iterator[Placed]:
    """Place the customers `rows` [q] of `vectors` [n, d] among the landmarks, some at a time; none votes for itself.

    `labels` int32 [c] are the landmarks' segments (-1 or 0..), `own` int32 [q] the customers' own; `flat` [c, 2] the
    landmarks' places.
    """
    count = int(max(labels.max(initial=-1), own.max(initial=-1))) + 1
    number = np.full(len(vectors), -1, np.int32)
    here = np.flatnonzero(landmarks.rows >= 0)
    number[landmarks.rows[here]] = here
    among = bool((number[rows] >= 0).any())
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        points = landmarks.space.of(vectors[part])
        near = search(landmarks.points, points, config.neighbours + among, config.threads)
        if among:
            near = without_self(near, number[part])
        said = vote(near, labels, count, own[start : start + CHUNK])
        ratios = isolation(near.distances[:, -1], near.rows, landmarks.reaches)
        yield Placed(part, near, said, ratios, between(near, flat))


def between(near: Neighbours, flat: Floats) -> Floats:
    """Places on the map among the closest neighbours' [c, 2], the closer the nearer; float32 [q, 2]."""
    weight = 1.0 / (near.distances[:, :CLOSEST] + 1e-6)
    weight /= weight.sum(axis=1, keepdims=True)
    places: Floats = (flat[near.rows[:, :CLOSEST]] * weight[:, :, None]).sum(axis=1).astype(np.float32)
    return places
