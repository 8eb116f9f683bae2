"""Counter-based randomness: every draw has an address, so that any day can be made without the days before it.

Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) turns a key into an independent stream.
Legend of shapes: n customers, k events, P personas, C categories.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESOLUTION = 4096
"""Steps of a lookup table: shares are exact to 1/4096."""


class Stream(IntEnum):
    """What a stream is for; part of its address. Append only: a number that changes changes every bank."""

    PERSONA = 1
    LIFE_TIME = 2
    LIFE_KIND = 3
    CHURN = 4
    TRAIT = 5
    RATE = 6
    STATE = 7
    TRIP = 8
    EVENTS = 9


def generator(seed: int, stream: Stream, index: int = 0, part: int = 0) -> np.random.Generator:
    """The generator at an address: `index` below 2**32 (a day, a step), `part` below 2**16 (a source)."""
    return np.random.Generator(np.random.Philox(key=seed | (((stream << 48) | (part << 32) | index) << 64)))


def uniforms(seed: int, stream: Stream, count: int, index: int = 0) -> Floats:
    """[count] uniforms in (0, 1]; a longer draw starts with a shorter one, so that customers who join change nobody."""
    return 1.0 - generator(seed, stream, index).random(count)


def lookup(weights: Floats) -> NDArray[np.uint8]:
    """Weights [P, C] -> table [P, RESOLUTION] of categories: `table[p, random // step]` draws one in constant time."""
    ends = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)  # [P, C]
    at = (np.arange(RESOLUTION) + 0.5) / RESOLUTION
    return np.stack([np.searchsorted(row, at) for row in ends]).astype(np.uint8)


def draw(rng: np.random.Generator, table: NDArray[np.uint8], rows: NDArray[np.integer]) -> NDArray[np.uint8]:
    """One category [k] for each row of the table in `rows` [k]."""
    return np.asarray(table[rows, rng.integers(0, RESOLUTION, rows.size, dtype=np.uint16)])


def pick(rng: np.random.Generator, rate: Floats) -> Ints:
    """Events of independent Poisson processes with rates [n]: the customers [k] they befall, ascending.

    One draw of the total, then one uniform an event: the superposition of Poisson processes, in O(n + k log k).
    """
    ends = np.cumsum(rate)
    total = float(ends[-1]) if ends.size else 0.0
    if total <= 0:
        return np.zeros(0, np.int64)
    at = np.sort(rng.random(rng.poisson(total)) * total)
    return np.searchsorted(ends, np.minimum(at, np.nextafter(total, 0)), side="right").astype(np.int64)


def mixed(values: Ints, salt: int) -> NDArray[np.uint64]:
    """A hash of integers (the finaliser of splitmix64), for facts that need no stream of their own."""
    with np.errstate(over="ignore"):
        x = values.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) % (1 << 64))
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))
