"""Batches of slices: several runs of events from each of several customers, drawn anew for every step.

The batch of (seed, epoch, step) is always the same one, so that training resumed at an epoch goes on as if never
stopped.

Shapes: B customers, S = B * slices sequences, N events, Q positions whose next event is predicted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from eventlog.sequences import EventLog
from train.config import TrainConfig
from train.encoder import Encoder, EventTensors, event_tensors
from train.packing import Packed, pack
from train.pools import gather, pooled

POSITIONS = 2048
"""Most next events predicted in a batch: enough for a gradient, and output layers are the dearest part."""


@dataclass(frozen=True)
class Batch:
    """One step's work."""

    packed: Packed
    events: EventTensors
    owner: Tensor
    """int64 [S], which of the B customers a slice is of."""
    pools: Tensor
    """float32 [B, F - H], pool features of each customer's whole history."""
    at: Tensor
    """int64 [Q], packed positions from which the next event is predicted."""
    following: Tensor
    """int64 [Q], packed positions of those next events."""

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(
            self.packed,
            self.events.to(device),
            self.owner.to(device),
            self.pools.to(device),
            self.at.to(device),
            self.following.to(device),
        )


class SliceBatches(IterableDataset[Batch]):
    """The batches of one epoch over `customers` (positions in the log)."""

    def __init__(
        self,
        log: EventLog,
        encoder: Encoder,
        config: TrainConfig,
        customers: np.ndarray,
        stream: tuple[int, ...],
        steps: int,
    ) -> None:
        super().__init__()
        self.log, self.encoder, self.config = log, encoder, config
        self.customers, self.stream, self.steps = customers, stream, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.steps):
            yield self.batch(np.random.default_rng([self.config.seed, *self.stream, step]))

    def batch(self, rng: np.random.Generator) -> Batch:
        """Draw one batch."""
        count = min(self.config.batch_customers, len(self.customers))
        chosen = rng.choice(self.customers, count, replace=False)
        owner = np.repeat(np.arange(count), self.config.slices)
        first, stop = self.log.offsets[chosen][owner], self.log.offsets[chosen + 1][owner]
        length = slice_lengths(rng, stop - first, *self.config.slice_events)
        begin = first + (rng.random(len(owner)) * (stop - first - length + 1)).astype(np.int64)
        packed = pack(begin, begin + length)
        at, following = next_positions(packed)
        if len(at) > POSITIONS:
            kept = np.sort(rng.choice(len(at), POSITIONS, replace=False))
            at, following = at[kept], following[kept]
        return Batch(
            packed,
            event_tensors(self.log, self.encoder.scales, packed, first),
            torch.from_numpy(owner),
            torch.from_numpy(whole_pools(self.log, self.encoder, chosen)),
            torch.from_numpy(at),
            torch.from_numpy(following),
        )


def slice_lengths(rng: np.random.Generator, available: np.ndarray, shortest: int, longest: int) -> np.ndarray:
    """Lengths int64, uniform between `shortest` and `longest`; a short history is cut to a third or more of itself."""
    most = np.minimum(available, longest)
    least = np.minimum(shortest, np.maximum(available // 3, 1))
    lengths: np.ndarray = least + (rng.random(len(available)) * (most - least + 1)).astype(np.int64)
    return lengths


def next_positions(packed: Packed) -> tuple[np.ndarray, np.ndarray]:
    """Packed positions that have a next event in their slice, and the positions of those next events."""
    sizes = np.bincount(packed.step)
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(packed.rows)) - starts[packed.step]
    after = np.append(sizes[1:], 0)
    at = np.flatnonzero(place < after[packed.step])
    return at, (starts[packed.step[at]] + sizes[packed.step[at]] + place[at])


def whole_pools(log: EventLog, encoder: Encoder, customers: np.ndarray) -> np.ndarray:
    """Pool features float32 [B, F - H] of whole histories; very long ones are pooled from their last 20,000 events."""
    end = log.offsets[customers + 1]
    begin = np.maximum(log.offsets[customers], end - 20_000)
    events = gather(log, customers, begin, end)
    return encoder.features_of_pools(*pooled(encoder.layout, events, len(customers)))
