"""A lock for writers on many machines: an object that says who writes, until when, and is renewed while they do.

It keeps writers from working in vain. That two of them never both win does not rest on it, nor on clocks that agree,
but on the pointer, which is written on the condition that it is still the one that the writer began from.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from configs.errors import BusyError, StorageError
from store.objects import Objects, Stored

NAME = "lease"
PUSHING = "pushing"
"""Held for moments: while `current` moves, or objects are removed that it does not name."""
LASTS_S = 90.0
"""How long a lease holds after its last renewal: so long does a writer's sudden death keep others waiting."""
BETWEEN_S = 0.2


@dataclass
class Lease:
    """A lease that is held, until it is lost."""

    token: str
    tag: str
    lost: bool = False

    def check(self) -> None:
        """Raises BusyError where the lease was lost, as after a long sleep of this machine."""
        if self.lost:
            raise BusyError("the lease of the workspace was lost to another writer; start the same command again")


@contextmanager
def leased(
    objects: Objects,
    lasts: float = LASTS_S,
    now: Callable[[], float] = time.time,
    *,
    name: str = NAME,
    wait: float = 0.0,
) -> Iterator[Lease]:
    """Hold a lease of a workspace in an object store, renewed in the background; wait so many seconds for it.

    Raises BusyError naming the holder where it is held, StorageError where the store is out of reach, InputError where
    it does not write on a condition.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            held = _taken(objects, name, lasts, now)
            break
        except BusyError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(BETWEEN_S)
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(lasts / 3):
            try:
                tag = objects.write_if(name, _text(held.token, now() + lasts), held.tag)
            except StorageError:
                continue  # the next one may come through; `lost` follows from who took it meanwhile
            if tag is None:
                held.lost = True
                return
            held.tag = tag

    thread = threading.Thread(target=renew, name=name, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        stop.set()
        thread.join()
        if not held.lost:
            with suppress(StorageError):  # then it runs out by itself
                objects.write_if(name, _text(held.token, 0.0), held.tag)


def _taken(objects: Objects, name: str, lasts: float, now: Callable[[], float]) -> Lease:
    token, before = uuid.uuid4().hex, objects.read(name)
    if before is not None and (until := _until(before)) > now():
        holder = json.loads(before.body).get("holder", "unknown")
        raise BusyError(
            f"{objects.url}: in use by another job ({holder}); wait for it to end, or {until - now():.0f} seconds "
            "where it was killed, then start again"
        )
    tag = objects.write_if(name, _text(token, now() + lasts), None if before is None else before.tag)
    if tag is None:
        raise BusyError(f"{objects.url}: another job has just begun; wait for it to end, then start again")
    # this must fail now; a store that does it all the same knows no conditions
    if objects.write_if(name, _text(token, now() + lasts), None) is not None:
        raise objects.unconditional()
    return Lease(token, tag)


def _until(stored: Stored) -> float:
    """When a lease ends; one that cannot be read holds nobody back."""
    try:
        return float(json.loads(stored.body)["until"])
    except (ValueError, KeyError, TypeError):
        return 0.0


def _text(token: str, until: float) -> bytes:
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    return json.dumps({"holder": holder, "token": token, "until": until}).encode()
