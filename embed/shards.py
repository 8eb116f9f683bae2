"""Embedding in shards: runs of customers, each a small finished artifact, that are put together in one pass.

A shard is one block of the local engine: the same customers, in the same batches, so that the bytes are the same. It is
keyed by model, log and place, so that whoever finds it finished takes it as it is.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from configs.errors import ArtifactError
from embed.arrow import in_order
from embed.artifact import Draft
from embed.config import EmbedConfig
from embed.run import embed_whole, rooms
from eventlog.sequences import EventLog, load_array
from store.artifact import key_of, stands, verify
from store.shared import attempt, create_among_others
from train.artifact import Model

KIND, VERSION = "embedding-shard", 2
VECTORS, STATES, HIDDEN = "vectors.npy", "states.npy", "hidden.npy"


@dataclass(frozen=True)
class Shard:
    """The customers start .. stop of a log."""

    index: int
    start: int
    stop: int

    def key(self, model: Model, log: EventLog) -> str:
        """Key of everything that its vectors and states depend on."""
        return key_of(KIND, VERSION, model.key, log.key, self.start, self.stop)


@dataclass(frozen=True)
class Shards:
    """Where the shards of one population lie, and which there are."""

    folder: Path
    every: tuple[Shard, ...]

    @classmethod
    def of(cls, folder: Path, customers: int, size: int) -> "Shards":
        """A population of so many customers, cut into runs of `size`; their artifacts go to `folder`."""
        starts = range(0, customers, size)
        return cls(folder, tuple(Shard(i, start, min(start + size, customers)) for i, start in enumerate(starts)))

    def place(self, shard: Shard) -> Path:
        """Folder of a finished shard."""
        return self.folder / f"{shard.index:06d}"

    def finished(self, shard: Shard, model: Model, log: EventLog) -> bool:
        """Whether a shard stands, undamaged, for this model and log."""
        return stands(self.place(shard), KIND, VERSION, shard.key(model, log))

    def remove(self) -> None:
        """Remove all shards, once they are put together."""
        shutil.rmtree(self.folder, ignore_errors=True)


def make(config: EmbedConfig, model: Model, log: EventLog, shards: Shards, shard: Shard) -> None:
    """Embed one shard and let it stand, unless another worker was faster. Raises StorageError on a full disk."""
    part = replace(log, customers=log.customers[shard.start : shard.stop], offsets=_offsets(log, shard))
    lengths = np.diff(part.offsets)
    states, hidden = (room.states() for room in rooms(model.encoder, lengths))
    made = Draft(np.zeros((len(lengths), model.width), np.float32), states, hidden, {}, {})
    attempt(shards.folder, shard.index)
    embed_whole(config, model, part, np.arange(len(lengths)), made, _silent)
    with create_among_others(shards.place(shard), KIND, VERSION, shard.key(model, log)) as writer:
        np.save(writer.path(VECTORS), made.vectors)
        np.save(writer.path(STATES), states.matrix)
        np.save(writer.path(HIDDEN), hidden.matrix)
        writer.counts.update(customers=len(lengths), states=len(states.rows), hidden=len(hidden.rows))


def assemble(model: Model, log: EventLog, shards: Shards, made: Draft) -> None:
    """Copy every shard to its rows of `made`, one after the other. Raises ArtifactError where one is damaged."""
    with (
        in_order(made.vectors) as vectors,
        in_order(made.states.matrix) as states,
        in_order(made.hidden.matrix) as hidden,
    ):
        for shard in shards.every:
            folder = shards.place(shard)
            if verify(folder, KIND, VERSION).key != shard.key(model, log):
                raise ArtifactError(f"{folder}: is not the shard of this model and log; delete it and start again")
            for put, name in ((vectors, VECTORS), (states, STATES), (hidden, HIDDEN)):
                part = load_array(folder / name)
                put(np.arange(len(part)), part)


def missing(shards: Shards, model: Model, log: EventLog) -> Iterator[Shard]:
    """The shards that are not finished yet."""
    return (shard for shard in shards.every if not shards.finished(shard, model, log))


def events_of(log: EventLog, some: Iterable[Shard]) -> int:
    """How many events some shards hold."""
    return sum(int(log.offsets[shard.stop] - log.offsets[shard.start]) for shard in some)


def _offsets(log: EventLog, shard: Shard) -> np.ndarray:
    return np.asarray(log.offsets[shard.start : shard.stop + 1])


def _silent(count: float) -> None:
    """Progress is told by whoever gives out the shards."""
