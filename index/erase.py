"""Customers taken out of the inverted file: their codes go, those of everybody else are kept under their new rows.

The result is that of an update (`index.update`) in which they are gone and nobody changed: the same cells, the same
codes, each cell in order of rows. nprobe and the recall stay those that were measured with them.
"""

from pathlib import Path

import faiss
import numpy as np

from configs.progress import SILENT
from embed.artifact import Embeddings
from embed.customers import Changes
from index.artifact import FILE, load_index
from index.update import update_inverted
from store.reseal import reseal
from store.threads import use_faiss


def erase_index(folder: Path, room: Path, before: Embeddings, after: Embeddings, keep: np.ndarray) -> None:
    """Write the index at `folder` over embeddings `before` at `room`, for the customers `keep` bool [n] of these alone.

    `after` are the embeddings without the others. The bytes at `folder` were checked.
    """
    room.mkdir(parents=True)
    index = load_index(folder, before, deep=False)
    kept = int(keep.sum())
    if index.inverted is not None:
        use_faiss()
        moved = np.where(keep, np.cumsum(keep) - 1, -1)
        found = Changes(np.flatnonzero(keep), moved, np.zeros(0, np.int64), kept, 0, 0, len(keep) - kept)
        with SILENT.task("Erasing", None) as advance:
            inverted = update_inverted(index.inverted, found, after, advance)
        faiss.write_index(inverted, str(room / FILE))
    manifest = index.manifest
    reseal(room, manifest, len(keep) - kept, {**manifest.counts, "customers": kept})
