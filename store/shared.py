"""Finished work on a disk that several workers share, where one that was given up for lost may still be writing.

Each worker writes in a folder of its own, and the first one to rename it wins. Whoever comes later finds a sound
artifact of the same key, whose bytes are the same, and drops its own.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.errors import storage_errors
from store.artifact import ArtifactWriter, create, stands

ATTEMPTS = "attempts"
"""Folder of one file a begun task, that holds who began it: the worker's process id."""
Sound = Callable[[Path], bool]
"""Whether what lies at a folder is the finished artifact that is wanted there."""


@contextmanager
def create_among_others(
    place: Path, kind: str, version: int, key: str, sound: Sound | None = None
) -> Iterator[ArtifactWriter]:
    """Write an artifact that other workers may be writing too, and let it stand at `place` unless one was faster.

    `sound` says more than the key does of whether the one that stands there is right.
    """
    own = place.with_name(f".{place.name}-{uuid.uuid4().hex}")
    with create(own, kind, version, key) as writer:
        yield writer
    put_among_others(own, place, sound or (lambda folder: stands(folder, kind, version, key)))


def put_among_others(own: Path, place: Path, sound: Sound) -> None:
    """Rename the finished folder `own` to its place; where a sound one stands already, that stays."""
    if sound(place):
        shutil.rmtree(own, ignore_errors=True)
        return
    if place.exists():  # damaged, or of other inputs: out of the way, under a name that only this worker uses
        os.replace(place, aside := own.with_name(f"{own.name}.old"))
        shutil.rmtree(aside, ignore_errors=True)
    try:
        os.rename(own, place)
    except OSError:
        if not sound(place):
            raise
        shutil.rmtree(own, ignore_errors=True)


def attempt(folder: Path, index: int) -> None:
    """Note beside the finished work that this process begins a task."""
    with storage_errors(folder):
        (folder / ATTEMPTS).mkdir(parents=True, exist_ok=True)
        (folder / ATTEMPTS / f"{index:06d}-{uuid.uuid4().hex}").write_text(f"{os.getpid()}\n", encoding="ascii")


def attempts(folder: Path) -> int:
    """How often a task was begun; more than there are tasks where some were repeated."""
    return sum(1 for _ in (folder / ATTEMPTS).iterdir()) if (folder / ATTEMPTS).is_dir() else 0


def sweep_among_others(folder: Path) -> None:
    """Remove what workers that were killed left; only while none is at work."""
    for leftover in folder.glob(".*"):
        shutil.rmtree(leftover, ignore_errors=True)
