"""Joining segments by the neighbours' vote: label propagation in the embedding space.

A customer outside the clustered landmarks belongs where its neighbours do. This finds the same segments as projecting
everybody, at a cost that grows linearly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    second: Labels
    """int32 [q], the segment with most neighbours after the winner, -1 where there is none."""
    second_share: Floats
    """float32 [q]"""
    own: Floats
    """float32 [q], the share of the segment that the customer is in; 0 of those in none."""


def vote(near: Neighbours, labels: Labels, segments: int, own: Labels | None = None) -> Vote:
    """Count the labels (-1 or 0..segments-1) of each customer's neighbours; those without one count against all.

    `own` [q] is the segment that each customer is in now.
    """
    q = len(near.rows)
    nobody, none = np.full(q, -1, np.int32), np.zeros(q, np.float32)
    out = Vote(nobody, none, nobody.copy(), none.copy(), none.copy())
    if segments == 0 or near.k == 0:
        return out
    for start in range(0, q, CHUNK):
        part = slice(start, start + CHUNK)
        said = labels[near.rows[part]]
        each = np.arange(len(said))
        rows = np.repeat(each, near.k)[(said >= 0).ravel()]
        flat = rows * segments + said[said >= 0]
        counts = np.bincount(flat, minlength=len(said) * segments).reshape(len(said), segments)
        if own is not None:
            mine = own[part]
            out.own[part] = np.where(mine >= 0, counts[each, np.maximum(mine, 0)], 0) / near.k
        for winner, share in ((out.winner, out.share), (out.second, out.second_share)):
            first, most = counts.argmax(axis=1), counts.max(axis=1)
            winner[part] = np.where(most > 0, first, -1)
            share[part] = most / near.k
            counts[each, first] = 0
    return out


def part_within(near: Neighbours, labels: Labels, part: Labels, own: Labels) -> Labels:
    """The part of their own segment `own` [q] that most neighbours in that segment are in; 0 for none, int32 [q].

    `labels` and `part` are the segments and parts of those that neighbours are among; the lowest number wins a tie.
    """
    out, count = np.zeros(len(near.rows), np.int32), int(part.max(initial=0)) + 1
    if count == 1:
        return out
    for start in range(0, len(out), CHUNK):
        rows, mine = near.rows[start : start + CHUNK], own[start : start + CHUNK, None]
        at, column = np.nonzero((labels[rows] == mine) & (mine >= 0) & (part[rows] > 0))
        flat = at * count + part[rows[at, column]]
        counts = np.bincount(flat, minlength=len(rows) * count).reshape(len(rows), count)
        out[start : start + CHUNK] = counts.argmax(axis=1)
    return out


def compact(labels: Labels, ids: npt.NDArray[np.int64] | Sequence[int]) -> Labels:
    """Labels by the position of their id in the ascending `ids`; -1 for those of no segment or of another one."""
    ids = np.asarray(ids, np.int64)
    if len(ids) == 0:
        return np.full(len(labels), -1, np.int32)
    at = np.minimum(np.searchsorted(ids, labels), len(ids) - 1)
    return np.where(ids[at] == labels, at, -1).astype(np.int32)
