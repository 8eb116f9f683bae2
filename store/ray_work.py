"""Numbered tasks handed out to actors of a Ray cluster, each to whoever is free; what a lost one had goes to the next.

What goes through Ray is what an actor needs to begin and the number of a task. Everything else is read from a disk that
all nodes see under the same path, and written there.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from configs.errors import InputError, KinfolkError, StorageError
from store.ray_cluster import worker_environment

LOSSES = 4
"""Losses of an actor at the same task after which it is the task that is to blame, as where memory runs out."""


class Worker(Protocol):
    """What lives in an actor. Made with one argument, which is sent to it."""

    def ready(self) -> None:
        """Open what is needed; not at the start, since what goes wrong there reaches nobody in its own words."""
        ...

    def do(self, index: int) -> None:
        """Do the task of this number, unless another actor has finished it meanwhile."""
        ...


def hand_out(
    ray: Any, worker: type[Any], work: Any, indexes: Sequence[int], threads: int, *, gpu: bool = False
) -> Iterator[int]:
    """Numbers of tasks as they are finished by actors that hold a `worker` made with `work`.

    An actor takes as many cores as `threads`, or all of a node that has fewer; with `gpu` also one GPU, where there are
    any. Where no node is left, it waits for one. Raises what an actor raised, StorageError where Ray fails or an
    actor is lost again and again.
    """
    from ray.exceptions import RayActorError, RayError

    waiting, losses = deque(indexes), Counter[int]()
    busy: dict[Any, tuple[Any, int | None]] = {}
    idle: list[Any] = []
    while waiting or any(index is not None for _, index in busy.values()):
        while waiting and idle:
            actor, task = idle.pop(), waiting.popleft()
            busy[actor.do.remote(task)] = (actor, task)
        if not busy:  # at the start, and where every node was lost: those that came in their place are used
            actors = _start(ray, worker, work, len(waiting), threads, gpu)
            busy = {actor.ready.remote(): (actor, None) for actor in actors}
        for done in ray.wait(list(busy))[0]:
            actor, index = busy.pop(done)
            try:
                ray.get(done)
            except RayActorError as error:  # its node or process is gone: the task goes to whoever is free next
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


def seen_by_workers(path: Path) -> None:
    """Raise InputError where a file or folder of the command is not there on a worker."""
    if not path.exists():
        raise InputError(
            f"{path}: not there on a worker; every node has to see workspace and events under the same path"
        )


def _start(ray: Any, worker: type[Any], work: Any, tasks: int, threads: int, gpu: bool) -> list[Any]:
    """As many actors as the cluster has room for, and tasks."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = min(threads, max(int(node.get("CPU", 1)) for node in nodes))
    room = sum(int(node.get("CPU", 0)) // cpus for node in nodes)
    options = {
        "num_cpus": cpus,
        "num_gpus": 1 if gpu and any(node.get("GPU") for node in nodes) else 0,
        "runtime_env": {"env_vars": worker_environment()},
    }
    actor = ray.remote(**options)(worker)
    return [actor.remote(work) for _ in range(max(1, min(room, tasks)))]


def _cause(error: BaseException) -> KinfolkError:
    """The clear sentence inside of Ray's error, or one around it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, KinfolkError):
            return inner
        inner = getattr(inner, "cause", None) or inner.__cause__
    reason = str(error).strip().rpartition("\n")[2][:300]
    return StorageError(f"the Ray cluster failed ({reason}); start the same command again: finished work is kept")
