"""Histories of unequal length as one packed run, time-major and without any padding.

Shapes: S sequences, N events in all of them, T longest length. Row order is PyTorch's PackedSequence: the first
event of every sequence (longest sequence first), then every second event, and so on.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Packed:
    """Where each event of a packed run comes from."""

    rows: np.ndarray
    """int64 [N], rows of the log in packed order."""
    sequence: np.ndarray
    """int64 [N], position of the event's sequence in the caller's order."""
    step: np.ndarray
    """int64 [N], position of the event in its sequence."""
    lengths: np.ndarray
    """int64 [S], in the caller's order."""
    order: np.ndarray
    """int64 [S], the caller's positions from longest to shortest."""

    @property
    def sizes(self) -> list[int]:
        """Sequences still running at each step, T numbers."""
        counts: list[int] = np.bincount(self.step).tolist()
        return counts


def pack(begin: np.ndarray, end: np.ndarray) -> Packed:
    """Pack the runs begin[i] .. end[i] of the log, each of at least one event."""
    lengths = end - begin
    order = np.argsort(-lengths, kind="stable")
    sorted_lengths = lengths[order]
    total = int(lengths.sum())
    starts = np.cumsum(sorted_lengths) - sorted_lengths
    step = np.arange(total) - np.repeat(starts, sorted_lengths)
    by_step = np.argsort(step, kind="stable")
    sequence = np.repeat(order, sorted_lengths)[by_step]
    step = step[by_step]
    return Packed(begin[sequence] + step, sequence, step, lengths, order)
