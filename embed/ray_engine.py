"""Embedding over a Ray cluster: shards are handed to actors, each of which holds the encoder.

What goes through Ray is the number of a shard. Log and model are read from disk by every actor, and shards are written
there, so every node has to see the workspace under the same path.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import embed.run
from configs.errors import InputError, KinfolkError, StorageError
from configs.progress import Advance
from embed.artifact import Draft
from embed.config import EmbedConfig
from embed.shards import Shards, assemble, events_of, make, missing
from eventlog.recode import recoded
from eventlog.sequences import EventLog
from store.ray_cluster import ray_cluster, worker_environment
from store.threads import set_threads
from train.artifact import Model
from train.encode import torch_threads

LOSSES = 4
"""Losses of an actor at the same shard after which it is the shard that is to blame, as where memory runs out."""


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
        """Open log and model; not at the start, since what goes wrong there reaches nobody in its own words."""
        set_threads(self.work.threads)
        for folder in (self.work.model, self.work.log):
            if not folder.is_dir():
                raise InputError(
                    f"{folder}: not there on a worker; every node has to see the workspace under the same path"
                )
        self.model = Model.load(self.work.model, deep=False)
        self.log = recoded(EventLog.load(self.work.log, deep=False), self.model.schema)

    def embed(self, index: int) -> None:
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
    """Numbers of shards as they are finished. Raises what an actor raised, StorageError where no node is left."""
    from ray.exceptions import RayActorError, RayError

    waiting, losses, actors = deque(indexes), Counter[int](), _start(ray, work, len(indexes))
    busy: dict[Any, tuple[Any, int | None]] = {actor.ready.remote(): (actor, None) for actor in actors}
    idle: list[Any] = []
    while waiting or any(index is not None for _, index in busy.values()):
        while waiting and idle:
            actor, shard = idle.pop(), waiting.popleft()
            busy[actor.embed.remote(shard)] = (actor, shard)
        if not busy:  # every node was lost; those that come in their place are used
            busy = {actor.ready.remote(): (actor, None) for actor in _start(ray, work, len(waiting))}
        for done in ray.wait(list(busy))[0]:
            actor, index = busy.pop(done)
            try:
                ray.get(done)
            except RayActorError as error:  # its node or process is gone: the shard goes to whoever is free next
                ray.kill(actor)
                lost = -1 if index is None else index
                losses[lost] += 1
                if losses[lost] == LOSSES:
                    raise _cause(error) from error
                waiting.extend([] if index is None else [index])
                continue
            except RayError as error:
                raise _cause(error) from error
            idle.append(actor)
            if index is not None:
                yield index


def _start(ray: Any, work: Work, shards: int) -> list[Any]:
    """As many actors as the cluster has room for, and work."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = min(work.config.threads or work.threads, max(int(node.get("CPU", 1)) for node in nodes))
    room = sum(int(node.get("CPU", 0)) // cpus for node in nodes)
    options = {
        "num_cpus": cpus,
        "num_gpus": 1 if any(node.get("GPU") for node in nodes) else 0,
        "runtime_env": {"env_vars": worker_environment()},
    }
    actor = ray.remote(**options)(Embedder)
    return [actor.remote(work) for _ in range(max(1, min(room, shards)))]


def _cause(error: BaseException) -> KinfolkError:
    """The clear sentence inside of Ray's error, or one around it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, KinfolkError):
            return inner
        inner = getattr(inner, "cause", None) or inner.__cause__
    reason = str(error).strip().rpartition("\n")[2][:300]
    return StorageError(f"the Ray cluster failed ({reason}); start the same command again: finished shards are kept")
