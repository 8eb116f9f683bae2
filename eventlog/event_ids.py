"""Event ids as 128-bit numbers that stay the same over versions of every library, since they are kept for years.

A whole number is itself. Any other text is hashed by tabulation: each byte at its position stands for a random number,
and the sum of these is the hash (Zobrist 1970; Patrascu and Thorup 2012, "The power of simple tabulation hashing").
Two ids have one hash by chance once in 2^128 pairs. A text that is a whole number written the usual way is that number,
so that ids compare alike whether a file keeps them as text or as numbers.

Legend: e ids, b bytes.
"""

from functools import cache

import numpy as np
import polars as pl
import pyarrow as pa

from eventlog.columns import flat, is_text

SEEDS = (0x243F6A8885A308D3, 0x13198A2E03707344)
"""The first digits of pi after the point, which nobody chose."""
POSITIONS = 128
"""Bytes of an id whose random numbers are kept in a table; those of later ones are worked out each time."""
LARGEST = 10**18
"""Whole numbers from here on are hashed as text, since not all of them fit 64 bits."""
PIECE_BYTES = 1 << 20


def hashes(ids: pa.Array) -> np.ndarray:
    """uint64 [e, 2] of ids that are whole numbers or text, none of them missing."""
    ids = flat(ids)
    out = np.zeros((len(ids), 2), np.uint64)
    if not len(ids):
        return out
    series = pl.from_arrow(ids)
    assert isinstance(series, pl.Series)
    numbers = series.cast(pl.Int64, strict=False)
    whole = numbers.is_not_null() & numbers.is_between(-LARGEST, LARGEST, closed="none").fill_null(False)
    if is_text(ids.type):
        whole &= (numbers.cast(pl.String) == series).fill_null(False)  # 007 and +7 are text
    mask = whole.to_numpy()
    out[mask, 0] = numbers.fill_null(0).to_numpy()[mask].view(np.uint64)
    if not mask.all():
        text = series.filter(~whole).cast(pl.String).to_arrow()
        out[~mask] = _of_text(text.cast(pa.large_string()))
    return out


def _of_text(text: pa.Array) -> np.ndarray:
    """uint64 [e, 2] hashes of texts, by their UTF-8 bytes."""
    _, places, raw = text.buffers()
    offsets = np.frombuffer(places, np.int64)[text.offset : text.offset + len(text) + 1]
    data = np.frombuffer(raw, np.uint8) if raw is not None else np.zeros(0, np.uint8)
    out = np.empty((len(text), 2), np.uint64)
    start = 0
    while start < len(text):
        stop = int(np.searchsorted(offsets, offsets[start] + PIECE_BYTES, side="right")) - 1
        stop = min(max(stop, start + 1), len(text))
        begin = offsets[start : stop + 1]
        out[start:stop] = _of_bytes(data[begin[0] : begin[-1]], begin - begin[0])
        start = stop
    return out


def _of_bytes(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """uint64 [e, 2]: sums over the bytes uint8 [b] of each id, which lie between its `offsets` int64 [e + 1]."""
    position = np.arange(len(data)) - np.repeat(offsets[:-1], np.diff(offsets))
    entry = position * 256 + data
    far = np.flatnonzero(position >= POSITIONS)
    near = np.minimum(entry, POSITIONS * 256 - 1)
    out = np.empty((len(offsets) - 1, 2), np.uint64)
    for i, seed in enumerate(SEEDS):
        numbers = _table(seed)[near]
        if len(far):
            numbers[far] = _mixed(seed, entry[far])
        sums = np.zeros(len(data) + 1, np.uint64)
        np.cumsum(numbers, out=sums[1:])  # modulo 2^64, so that differences are right all the same
        out[:, i] = sums[offsets[1:]] - sums[offsets[:-1]]
    return out


@cache
def _table(seed: int) -> np.ndarray:
    return _mixed(seed, np.arange(POSITIONS * 256))


def _mixed(seed: int, entry: np.ndarray) -> np.ndarray:
    """splitmix64 (Steele, Lea and Flood 2014) of the entries after `seed`: uint64, as if drawn at random."""
    z = np.uint64(seed) + (entry.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed


def find(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """bool [e]: which of the ids `wanted` uint64 [e, 2] are among `known` uint64 [k, 2], which is sorted.

    Bisection of all at once: of a map on disk only the pages on the way are read. Quickest where `wanted` is sorted.
    """
    low, high = np.zeros(len(wanted), np.int64), np.full(len(wanted), len(known), np.int64)
    for _ in range(len(known).bit_length()):
        middle = (low + high) // 2
        row = known[np.minimum(middle, len(known) - 1)]
        less = (row[:, 0] < wanted[:, 0]) | ((row[:, 0] == wanted[:, 0]) & (row[:, 1] < wanted[:, 1]))
        less &= low < high
        low, high = np.where(less, middle + 1, low), np.where(less, high, np.maximum(middle, low))
    inside = low < len(known)
    found = np.zeros(len(wanted), bool)
    if inside.any():
        found[inside] = (known[low[inside]] == wanted[inside]).all(axis=1)
    return found
