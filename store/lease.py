"""A lock for writers on many machines: an object that says who writes and for how long, and is renewed while they do.

How old it is is told by the store's clock alone, so that those of the writers need not agree. A writer that slept
through the end of its lease may wake up believing: so it renews it (`verify`) before it removes or moves anything, and
the pointer is written on the condition that it is still the one that the writer began from.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

from configs.errors import BusyError, StorageError
from store.objects import Objects, Stored

NAME = "lease"
PUSHING = "pushing"
"""Held while `current` moves, while objects are removed that it does not name, and over an erasure."""
LASTS_S = 90.0
"""How long a lease holds after its last renewal: so long does a writer's sudden death keep others waiting."""
BETWEEN_S = 0.2
WHOLE_S = 2.0
"""The store tells times in whole seconds: two of them may be so much further apart than they are told."""


@dataclass
class Lease:
    """A lease that is held, until it is lost."""

    objects: Objects
    name: str
    token: str
    tag: str
    began: datetime
    """By the store's clock."""
    lasts: float = LASTS_S
    lost: bool = False
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Raises BusyError where the lease was lost, as after a long sleep of this machine."""
        if self.lost:
            raise BusyError("the lease of the workspace was lost to another writer; start the same command again")

    def verify(self) -> None:
        """Renew it, so that nobody takes it in the next moments. Raises BusyError where it is lost, StorageError."""
        self.check()
        self.renew(self.lasts)
        self.check()

    def renew(self, lasts: float) -> None:
        """Hold it from now on for so many seconds. Raises StorageError; then it may have been renewed, or not."""
        with self._turn:
            tag = self.objects.write_if(self.name, _text(self.token, lasts), self.tag)
            if tag is None:
                # an earlier renewal whose answer never came has changed the tag
                stored = self.objects.read(self.name)
                if stored is not None and _told(stored, "token") == self.token:
                    tag = self.objects.write_if(self.name, _text(self.token, lasts), stored.tag)
            if tag is None:
                self.lost = True
            else:
                self.tag = tag


@contextmanager
def leased(objects: Objects, lasts: float = LASTS_S, *, name: str = NAME, wait: float = 0.0) -> Iterator[Lease]:
    """Hold a lease of a workspace in an object store, renewed in the background; wait so many seconds for it.

    Raises BusyError naming the holder where it is held, StorageError where the store is out of reach, InputError where
    it does not write on a condition.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            held = _taken(objects, name, lasts)
            break
        except BusyError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(BETWEEN_S)
    stop = threading.Event()

    def keep() -> None:
        while not held.lost and not stop.wait(lasts / 3):
            with suppress(StorageError):  # the next one may come through; `lost` follows from who took it meanwhile
                held.renew(lasts)

    thread = threading.Thread(target=keep, name=name, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        stop.set()
        thread.join()
        if not held.lost:
            with suppress(StorageError):  # then it runs out by itself
                held.renew(0.0)


def _taken(objects: Objects, name: str, lasts: float) -> Lease:
    token, before = uuid.uuid4().hex, objects.read(name)
    if before is not None and (left := _left(before)) > 0:
        raise BusyError(
            f"{objects.url}: in use by another job ({_told(before, 'holder')}); wait for it to end, or {left:.0f} "
            "seconds where it was killed, then start again"
        )
    tag = objects.write_if(name, _text(token, lasts), None if before is None else before.tag)
    if tag is None:
        raise BusyError(f"{objects.url}: another job has just begun; wait for it to end, then start again")
    objects.check_conditions(name, _text(token, 0.0))
    stored = objects.read(name)
    if stored is None or _told(stored, "token") != token:
        raise BusyError(f"{objects.url}: another job has just begun; wait for it to end, then start again")
    return Lease(objects, name, token, stored.tag, stored.written, lasts)


def _left(stored: Stored) -> float:
    """Seconds until a lease ends; one that cannot be read holds nobody back."""
    try:
        lasts = float(_told(stored, "lasts"))
    except ValueError:
        return 0.0
    return lasts + WHOLE_S - (stored.read - stored.written).total_seconds() if lasts else 0.0


def _told(stored: Stored, name: str) -> str:
    """What a lease says of its holder; empty where it cannot be read."""
    try:
        return str(json.loads(stored.body)[name])
    except (ValueError, KeyError, TypeError):
        return ""


def _text(token: str, lasts: float) -> bytes:
    """What a lease says. Each writing is another one, so that its tag is."""
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    return json.dumps({"holder": holder, "token": token, "lasts": lasts, "writing": uuid.uuid4().hex}).encode()
