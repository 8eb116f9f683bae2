"""Registries made of given labels, for tests of what reads segments."""

import numpy as np

from cluster.events import SegmentEvent
from cluster.fit import Membership
from cluster.identity import Identity
from cluster.registry import Registry, Seen


def registry_of(
    labels: np.ndarray,
    strength: np.ndarray,
    positions: np.ndarray,
    stability: float = 0.9,
    generation: int = 1,
    events: tuple[SegmentEvent, ...] = (),
    second: np.ndarray | None = None,
    second_strength: np.ndarray | None = None,
    part: np.ndarray | None = None,
) -> Registry:
    """A registry without landmarks whose segments are those of `labels` [n] (ids, -1 unassigned).

    The next best segment `second` [n] with its strength, and the `part` [n], are none where they are left out.
    """
    ids = sorted(set(labels[labels >= 0].tolist()))
    empty = Membership.empty(len(labels))
    rest = (
        empty.second if second is None else second.astype(np.int32),
        empty.second_strength if second_strength is None else second_strength.astype(np.float32),
        empty.part if part is None else part.astype(np.int32),
    )
    own = labels.astype(np.int32)
    members = Membership(own, strength.astype(np.float32), *rest, positions.astype(np.float32), own.copy())
    segments = tuple(Identity(segment, 1, stability) for segment in ids)
    joins = tuple((ids[0], other) for other in ids[1:])
    seen = Seen(np.empty(0, np.int64), np.empty(0, np.int32))
    return Registry(generation, max(ids, default=-1) + 1, segments, members, joins, events, "", None, seen, ())
