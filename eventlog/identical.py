"""Events that say exactly the same as another one, counted while sorted events pass by."""

import numpy as np

MIX = np.uint64(0x9E3779B97F4A7C15)
"""An odd constant with well spread bits: 2^64 over the golden ratio (Knuth, The Art of Computer Programming 3, 6.4)."""


class IdenticalCounter:
    """Counts the repeats among records that come sorted by customer and time, batch after batch."""

    def __init__(self) -> None:
        self.count = 0
        self._open: np.ndarray | None = None

    def see(self, batch: np.ndarray) -> None:
        """Take the next batch of records."""
        events = batch if self._open is None else np.concatenate([self._open, batch])
        if not len(events):
            return
        tied = (events["rank"][1:] == events["rank"][:-1]) & (events["time"][1:] == events["time"][:-1])
        # the last run of equal customer and time may go on in the next batch
        breaks = np.flatnonzero(~tied)
        start = int(breaks[-1]) + 1 if len(breaks) else 0
        self._open = events[start:].copy()
        self._compare(events[:start], tied[: max(start - 1, 0)])

    def finish(self) -> int:
        """The count once all batches were seen."""
        if self._open is not None:
            self._compare(self._open, np.ones(len(self._open) - 1, bool))
            self._open = None
        return self.count

    def _compare(self, events: np.ndarray, tied: np.ndarray) -> None:
        member = np.zeros(len(events), bool)
        member[1:] |= tied
        member[:-1] |= tied
        if member.any():
            prints = np.sort(fingerprints(events[member]))
            self.count += int(np.count_nonzero(prints[1:] == prints[:-1]))


def fingerprints(events: np.ndarray) -> np.ndarray:
    """uint64 [e] hashes of whole records."""
    size = events.dtype.itemsize
    padded = np.zeros((len(events), -(-size // 8) * 8), np.uint8)
    padded[:, :size] = events.view(np.uint8).reshape(len(events), size)
    words = padded.view(np.uint64)
    out = np.zeros(len(events), np.uint64)
    for column in range(words.shape[1]):
        out ^= words[:, column]
        out *= MIX
        out ^= out >> np.uint64(29)
    return out
