"""kinfolk's segments as a night after night function: `segment(ids, vectors, changed, state) -> labels, state`.

With a judge of simulated nights, such as the yardstick's: `python nights.py bench.nights:segment --n 20000`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from cluster.config import SegmentsConfig
from cluster.registry import Registry, advance, begin
from cluster.run import sample_of
from cluster.warm import warm_up

CONFIG = SegmentsConfig(behaviours=False, shadow_every=1)
Ints = npt.NDArray[np.int64]


def segment(
    ids: Ints, vectors: npt.NDArray[np.float32], changed: Ints, state: tuple[Ints, Registry] | None
) -> tuple[npt.NDArray[np.int32], Any]:
    """One night: customers' ids ascending, their vectors, the rows that changed or are new, last night's state."""
    sample = sample_of(pl.Series(ids), CONFIG)
    if state is None:
        warm_up()
        registry = begin(vectors, CONFIG, sample=sample)
    else:
        known, before = state
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        was = np.where(known[at] == ids, at, -1)
        registry = advance(before, was, np.sort(changed), vectors, CONFIG, sample=sample)
    return registry.members.labels, (ids, registry)
