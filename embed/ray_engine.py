"""Embedding over a Ray cluster: Ray Data hands shards to actors, each of which holds the encoder.

What goes through Ray is the number of a shard. Log and model are read from disk by every actor, and shards are written
there, so every node has to see the workspace under the same path.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import embed.run
from configs.errors import ArtifactError, KinfolkError, StorageError
from configs.progress import Advance
from embed.artifact import Draft
from embed.config import EmbedConfig
from embed.shards import Shards, assemble, events_of, make, missing
from eventlog.recode import recoded
from eventlog.sequences import EventLog
from store.ray_cluster import quiet_data, ray_cluster, worker_environment
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
        set_threads(work.threads)
        self.work = work
        for folder in (work.model, work.log):
            if not folder.is_dir():
                raise ArtifactError(
                    f"{folder}: not there on a worker; every node has to see the workspace under the same path"
                )
        self.model = Model.load(work.model, deep=False)
        self.log = recoded(EventLog.load(work.log, deep=False), self.model.schema)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make the shards of these numbers, but for those that another actor has finished meanwhile."""
        shards = self.work.shards
        with torch_threads(self.work.config.threads):
            for index in batch["shard"].tolist():
                if not shards.finished(shards.every[index], self.model, self.log):
                    make(self.work.config, self.model, self.log, shards, shards.every[index])
        return batch


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
    shards.sweep()
    left = list(missing(shards, model, log))
    advance(log.n_events - events_of(log, left))
    before = shards.attempts()
    if left:
        threads = set_threads()
        work = Work(config, model.folder.resolve(), log.folder.resolve(), shards, threads)
        with ray_cluster() as ray:
            for index in _handed_out(ray, work, [shard.index for shard in left]):
                advance(events_of(log, [shards.every[index]]))
    return Repeats(len(shards.every) - len(left), len(left), shards.attempts() - before - len(left))


def _handed_out(ray: Any, work: Work, indexes: list[int]) -> Iterator[int]:
    """Numbers of shards as they are finished. Raises what an actor raised."""
    from ray.exceptions import RayError

    cluster = ray.cluster_resources()
    cpus = work.config.threads or work.threads
    actors = min(len(indexes), max(1, int(cluster.get("CPU", 1)) // cpus))
    with quiet_data() as data:
        done = data.from_items([{"shard": index} for index in indexes], override_num_blocks=len(indexes)).map_batches(
            Embedder,
            batch_size=1,
            compute=data.ActorPoolStrategy(min_size=1, max_size=actors),
            fn_constructor_args=(work,),
            num_cpus=cpus,
            num_gpus=1 if cluster.get("GPU") else 0,
            runtime_env={"env_vars": worker_environment()},
            max_restarts=-1,  # on another node, where its own is lost
            max_task_retries=-1,
        )
        try:
            for row in done.iter_rows():
                yield int(row["shard"])
        except RayError as error:
            raise _cause(error) from error


def _cause(error: BaseException) -> KinfolkError:
    """The clear sentence inside of Ray's error, or one around it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, KinfolkError):
            return inner
        inner = getattr(inner, "cause", None) or inner.__cause__
    reason = str(error).strip().rpartition("\n")[2][:300]
    return StorageError(f"the Ray cluster failed ({reason}); start the same command again: finished shards are kept")
