"""Landmarks: the sample of customers that is laid out and clustered. Everybody else is placed among them, in the
embedding space, by the vote of the nearest, behind the density gate.

n customers, d wide vectors, c landmarks that the gate let through, m sharpened dimensions, q customers to be placed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.clusters import Ints, Labels
from cluster.config import SegmentsConfig
from cluster.gate import isolation, reach, threshold
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
    """int64 [c], rows of the population, ascending."""
    points: Floats
    """float32 [c, m]"""
    reaches: Floats
    """float32 [c], distance to the last neighbour."""
    limit: float
    """Largest isolation that is not background."""
    space: Space
    """float32 [d] -> [m]"""

    def only(self, keep: npt.NDArray[np.bool_]) -> "Landmarks":
        """Some of the landmarks, bool [c]."""
        points = np.ascontiguousarray(self.points[keep])
        return Landmarks(self.rows[keep], points, self.reaches[keep], self.limit, self.space)


def find_landmarks(vectors: Floats, sample: Ints, config: SegmentsConfig) -> tuple[Landmarks, Neighbours]:
    """The rows `sample` of `vectors` [n, d] less those in thin regions, with the graph of the others."""
    drawn = np.ascontiguousarray(vectors[sample])
    space = sharpened(drawn, config.neighbours, config.seed, config.threads) if config.sharpen else plain(drawn)
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
    number[landmarks.rows] = np.arange(len(landmarks.rows))
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
