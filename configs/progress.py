"""How a stage tells how far it is: a protocol, so that stages know neither terminal nor log."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[float], None]
"""Called with how many units of the task were done since the last call."""


class Progress(Protocol):
    """Shows tasks. `with progress.task("Training", total=10) as advance: advance(1)`."""

    def task(self, description: str, total: float | None) -> AbstractContextManager[Advance]:
        """Start a task of `total` units (None: unknown); leaving the context ends it."""
        ...


class Silent:
    """Shows nothing."""

    @contextmanager
    def task(self, description: str, total: float | None) -> Iterator[Advance]:
        """Accept the task and show nothing."""
        yield lambda units: None


SILENT = Silent()
