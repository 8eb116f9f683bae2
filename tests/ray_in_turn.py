"""What a Ray cluster is asked to do, done in this process: for tests of the bytes, not of the cluster."""

import pickle
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import pytest

import embed.ray_engine
import eventlog.ray_engine
import train.ray_engine


def in_turn(patch: pytest.MonkeyPatch) -> list[str]:
    """Have tasks done one after the other, the last one first, by a worker that got its work as bytes.

    Returns a list that grows by a worker's name with each of its tasks.
    """
    done: list[str] = []

    def hand_out(
        ray: object, worker: type[Any], work: Any, indexes: Sequence[int], threads: int, *, gpu: bool = False
    ) -> Iterator[int]:
        made = worker(pickle.loads(pickle.dumps(work)))
        made.ready()
        for index in reversed(indexes):
            made.do(index)
            done.append(worker.__name__)
            yield index

    for module in (eventlog.ray_engine, train.ray_engine, embed.ray_engine):
        patch.setattr(module, "hand_out", hand_out)
        patch.setattr(module, "ray_cluster", nullcontext)
    return done
