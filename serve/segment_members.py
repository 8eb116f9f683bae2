"""Who is in a segment, and how firmly: all of its customers or its core."""

import numpy as np
import numpy.typing as npt
import polars as pl

from cluster.artifact import Segments
from configs.errors import InputError
from serve.lineage import Kept
from serve.segment_names import profile_of

Rows = npt.NDArray[np.int64]


def core(segments: Segments, rows: Rows, least_strength: float) -> Rows:
    """Those of some rows whose customers are in their segment at least so strongly, 0 to 1. Raises InputError."""
    if not 0 <= least_strength <= 1:
        raise InputError(f"a least strength of {least_strength} is asked for; accepted is 0 (everybody) to 1")
    # as float32, as strengths are kept: 0.7 is among those of at least 0.7
    return rows[segments.strength[rows] >= np.float32(least_strength)]


def members(kept: Kept, segment: int, least_strength: float = 0.0) -> pl.DataFrame:
    """A segment's customers in order of their ids: customer_id, strength, second, second_strength, part.

    `second` is the next best segment (-1: none), `part` the number of the segment's part (0: none). Customers who
    objected are among them: what goes out has to be filtered. Raises NotFoundError, and InputError as `core` does.
    """
    profile_of(kept.segments, segment)
    rows = core(kept.segments, np.flatnonzero(kept.segments.labels == segment), least_strength)
    columns = {name: column[rows] for name, column in columns_of(kept.segments).items() if name != "segment"}
    return pl.DataFrame({"customer_id": kept.embeddings.customers.gather(rows), **columns})


def columns_of(segments: Segments) -> dict[str, npt.NDArray[np.int32] | npt.NDArray[np.float32]]:
    """What is known of every customer's membership [n], by the name of its column in files."""
    known = segments.members
    return {
        "segment": known.labels,
        "strength": known.strength,
        "second": known.second,
        "second_strength": known.second_strength,
        "part": known.part,
    }
