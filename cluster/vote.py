"""Joining segments by the neighbours' vote: label propagation in the embedding space.

A customer outside the clustered landmarks belongs where its neighbours do. This finds the same segments as projecting
everybody, at a cost that grows linearly.
"""

from dataclasses import dataclass

import numpy as np

from cluster.clusters import Labels
from cluster.neighbours import Floats, Neighbours

CHUNK = 65_536


@dataclass(frozen=True, eq=False)
class Vote:
    """What each customer's neighbours say."""

    winner: Labels
    """int32 [q], the segment with most neighbours (the lowest number on a tie), -1 where none of them is in one."""
    share: Floats
    """float32 [q], its share of the neighbours."""


def vote(near: Neighbours, labels: Labels, segments: int) -> Vote:
    """Count the labels (-1 or 0..segments-1) of each customer's neighbours; those without one count against all."""
    winner = np.full(len(near.rows), -1, np.int32)
    share = np.zeros(len(near.rows), np.float32)
    if segments == 0:
        return Vote(winner, share)
    for start in range(0, len(near.rows), CHUNK):
        said = labels[near.rows[start : start + CHUNK]]
        rows = np.repeat(np.arange(len(said)), near.k)[(said >= 0).ravel()]
        flat = rows * segments + said[said >= 0]
        counts = np.bincount(flat, minlength=len(said) * segments).reshape(len(said), segments)
        most = counts.max(axis=1)
        winner[start : start + CHUNK] = np.where(most > 0, counts.argmax(axis=1), -1)
        share[start : start + CHUNK] = most / near.k
    return Vote(winner, share)


def share_of_own(near: Neighbours, labels: Labels, own: Labels) -> Floats:
    """Share of each customer's neighbours that are in its own segment `own` [q]; 0 for the unassigned."""
    out = np.zeros(len(own), np.float32)
    for start in range(0, len(own), CHUNK):
        part = own[start : start + CHUNK, None]
        out[start : start + CHUNK] = ((labels[near.rows[start : start + CHUNK]] == part) & (part >= 0)).mean(axis=1)
    return out
