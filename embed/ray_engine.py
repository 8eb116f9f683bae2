"""Embedding over a Ray cluster: shards are handed to actors, each of which holds the encoder.

What goes through Ray is the number of a shard. Log and model are read from disk by every actor, and shards are written
there, so every node has to see the workspace under the same path.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import embed.run
from configs.progress import Advance
from embed.artifact import Draft
from embed.config import EmbedConfig
from embed.shards import Shards, assemble, events_of, make, missing
from eventlog.recode import recoded
from eventlog.sequences import EventLog
from store.ray_cluster import ray_cluster
from store.ray_work import hand_out, seen_by_workers
from store.shared import attempts, sweep_among_others
from store.threads import set_threads
from train.artifact import Model
from train.encode import torch_threads


@dataclass(frozen=True)
class Work:
    """What an actor needs to begin."""

    config: EmbedConfig
    model: Path
    log: Path
    shards: Shards
    threads: int
    """Of the numerical libraries in the process that gives out the work; the last bits may depend on it."""


@dataclass(frozen=True)
class Repeats:
    """What became of the shards."""

    found: int
    """Were finished before."""
    made: int
    """Were made now."""
    repeated: int
    """Were begun more often than once in all, since a worker was lost."""


class Embedder:
    """An actor: log and model opened once, then shard after shard."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def ready(self) -> None:
        """Open log and model."""
        set_threads(self.work.threads)
        for folder in (self.work.model, self.work.log):
            seen_by_workers(folder)
        self.model = Model.load(self.work.model, deep=False)
        self.log = recoded(EventLog.load(self.work.log, deep=False), self.model.schema)

    def do(self, index: int) -> None:
        """Make the shard of this number, unless another actor has finished it meanwhile."""
        shards = self.work.shards
        if not shards.finished(shards.every[index], self.model, self.log):
            with torch_threads(self.work.config.threads):
                make(self.work.config, self.model, self.log, shards, shards.every[index])


def over_ray(folder: Path, told: Callable[[Repeats], None] | None = None) -> embed.run.Fill:
    """How `embed.run.run` fills the embeddings at `folder` over Ray; shards lie beside it until they are put together.

    A rerun, or another worker in the place of a lost one, makes those alone that are not finished. `told` hears what
    became of the shards.
    """

    def fill(config: EmbedConfig, model: Model, log: EventLog, made: Draft, advance: Advance) -> None:
        shards = Shards.of(folder.with_name(f".{folder.name}.shards"), log.n_customers, embed.run.BLOCK)
        repeats = make_missing(config, model, log, shards, advance)
        assemble(model, log, shards, made)
        shards.remove()
        if told is not None:
            told(repeats)

    return fill


def make_missing(config: EmbedConfig, model: Model, log: EventLog, shards: Shards, advance: Advance) -> Repeats:
    """Make over Ray the shards that are not finished yet."""
    sweep_among_others(shards.folder)
    left = list(missing(shards, model, log))
    advance(log.n_events - events_of(log, left))
    before = attempts(shards.folder)
    if left:
        threads = set_threads()
        work = Work(config, model.folder.resolve(), log.folder.resolve(), shards, threads)
        with ray_cluster() as ray:
            indexes, cores = [shard.index for shard in left], config.threads or threads
            for index in hand_out(ray, Embedder, work, indexes, cores, gpu=True):
                advance(events_of(log, [shards.every[index]]))
    return Repeats(len(shards.every) - len(left), len(left), attempts(shards.folder) - before - len(left))
