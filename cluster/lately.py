"""Who behaves like another segment by now: the vote of the nearest landmarks again, all by what they did lately.

A vector of a whole history moves slowly, so a customer whose habits changed would stay in the old segment for months.
Where the last weeks alone say clearly that another segment is theirs, they go there.

c landmarks, m sharpened dimensions, q customers, d wide vectors.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cluster.clusters import Ints, Labels
from cluster.config import SegmentsConfig
from cluster.landmarks import Ground
from cluster.neighbours import Floats, search, without_self
from cluster.vote import Vote, vote

SHARE = 0.9
"""Of the neighbours, the share that must be in the other segment: four weeks are few."""

Lately = Callable[[Ints, int], Floats]
"""Rows int64 [q] of the population and a number of days, to the vectors float32 [q, d] of these last days."""


@dataclass(frozen=True, eq=False)
class Called:
    """Which of some customers go elsewhere by what they did lately."""

    rows: Ints
    """int64, ascending positions among those who were asked."""
    said: Vote
    """Of these."""


def called(
    lately: Lately,
    rows: Ints,
    ground: Ground,
    labels: Labels,
    own: Labels,
    config: SegmentsConfig,
) -> Called:
    """Who of the customers `rows` [q] goes to another segment than their `own` int32 [q].

    `labels` int32 [c] are the landmarks' segments. Nobody where the landmarks' last days are not known.
    """
    if ground.lately is None or config.lately_days == 0 or not len(rows):
        nobody, none = np.empty(0, np.int32), np.empty(0, np.float32)
        return Called(np.empty(0, np.int64), Vote(nobody, none, nobody, none, none))
    landmarks = ground.landmarks
    number = np.full(int(max(rows.max(), landmarks.rows.max())) + 1, -1, np.int32)
    here = np.flatnonzero(landmarks.rows >= 0)
    number[landmarks.rows[here]] = here
    points = landmarks.space.of(lately(rows, config.lately_days))
    near = without_self(search(ground.lately, points, config.neighbours + 1, config.threads), number[rows])
    said = vote(near, labels, int(max(labels.max(initial=-1), own.max(initial=-1))) + 1, own)
    at = np.flatnonzero((said.winner >= 0) & (said.winner != own) & (said.share >= SHARE))
    return Called(at, Vote(*(getattr(said, name)[at] for name in Vote.__dataclass_fields__)))


def points_of(lately: Lately | None, rows: Ints, space: Callable[[Floats], Floats], days: int) -> Floats | None:
    """What the landmarks `rows` [c] did lately, float32 [c, m]; None where that is not asked for."""
    return None if lately is None or days == 0 else space(lately(rows, days))
