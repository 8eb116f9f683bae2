"""Placing boxes of text so that none covers another."""

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float64]
ROUNDS = 600


def spread_out(points: Boxes, sizes: Boxes, frame: tuple[float, float, float, float]) -> Boxes:
    """Centres [s, 2] for boxes of `sizes` [s, 2] at `points` [s, 2], inside `frame` (left, bottom, right, top).

    Overlapping boxes push each other apart along the axis of least overlap while each is drawn a little towards its
    point; the last rounds only push. What a crowded frame cannot hold stays as close to free as it came.
    """
    low = np.array(frame[:2]) + sizes / 2
    high = np.maximum(np.array(frame[2:]) - sizes / 2, low)
    centres = np.clip(points, low, high)
    if len(points) < 2:
        return centres
    # equal points would never part: set them off by a hair, each in its own direction
    turn = np.arange(len(points)) * 2.399963
    centres = np.clip(centres + 0.5 * np.stack([np.cos(turn), np.sin(turn)], axis=1), low, high)
    for turn_number in range(ROUNDS):
        push = _push(centres, sizes)
        if not push.any() and turn_number > ROUNDS // 2:
            break
        pull = 0.02 * (points - centres) if turn_number < ROUNDS // 2 else 0.0
        centres = np.clip(centres + push + pull, low, high)
    return centres


def overlaps(centres: Boxes, sizes: Boxes) -> int:
    """How many pairs of boxes overlap."""
    return int((_gaps(centres, sizes)[1].min(axis=2) > 0).sum()) // 2


def _gaps(centres: Boxes, sizes: Boxes) -> tuple[Boxes, Boxes]:
    """Offsets between all pairs [s, s, 2] and by how much they overlap along each axis [s, s, 2]; own pair: none."""
    apart = centres[:, None] - centres[None, :]
    over = (sizes[:, None] + sizes[None, :]) / 2 - np.abs(apart)
    over[np.arange(len(centres)), np.arange(len(centres))] = -1.0
    return apart, over


def _push(centres: Boxes, sizes: Boxes) -> Boxes:
    apart, over = _gaps(centres, sizes)
    hit = over.min(axis=2) > 0
    axis = over.argmin(axis=2)
    amount = np.where(hit, over.min(axis=2) / 2 + 0.5, 0.0)
    push = np.zeros_like(centres)
    for dimension in (0, 1):
        sign = np.where(apart[:, :, dimension] >= 0, 1.0, -1.0)
        push[:, dimension] = (np.where(axis == dimension, amount, 0.0) * sign).sum(axis=1)
    return push
