"""Progress in the terminal: bars where stderr is one, plain lines where it is a file or a pipe."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from configs.progress import Advance, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

BRIEF = 2.0
"""Seconds below which a finished task leaves no trace."""
BETWEEN_LINES = 10.0
"""Seconds between two plain lines of one task."""


class Bars:
    """A rich bar for every running task; a task that lasted more than two seconds stays as a finished line."""

    def __init__(self, display: "RichProgress") -> None:
        self._display = display

    @contextmanager
    def task(self, description: str, total: float | None) -> Iterator[Advance]:
        """Show a bar of `total` units; None shows a moving one."""
        bar = self._display.add_task(description, total=total)
        started = time.monotonic()
        try:
            yield lambda units: self._display.advance(bar, units)
        finally:
            if time.monotonic() - started < BRIEF:
                self._display.remove_task(bar)
            else:
                done = self._display.tasks[self._display.task_ids.index(bar)]
                whole = total if total is not None else max(done.completed, 1.0)
                self._display.update(bar, total=whole, completed=done.completed if total is not None else whole)
                self._display.stop_task(bar)


class Lines:
    """A plain line when a task starts to last, one every ten seconds, and one at its end."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    @contextmanager
    def task(self, description: str, total: float | None) -> Iterator[Advance]:
        """Tell of a task in plain lines."""
        started = said = time.monotonic()
        done = 0.0

        def advance(units: float) -> None:
            nonlocal done, said
            done += units
            if (now := time.monotonic()) - said >= BETWEEN_LINES:
                said = now
                share = f" {done / total:.0%}" if total else ""
                self._say(f"{description}:{share} after {now - started:.0f} s")

        yield advance
        if (seconds := time.monotonic() - started) >= BRIEF:
            self._say(f"{description}: done in {seconds:.1f} s")

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)


@contextmanager
def console_progress() -> Iterator[Progress]:
    """The progress display that fits stderr."""
    if not sys.stderr.isatty():
        yield Lines(sys.stderr)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Display(*columns, console=Console(stderr=True)) as display:
        yield Bars(display)


class LateProgress:
    """A display for each task alone: other displays may come and go between two of them."""

    @contextmanager
    def task(self, description: str, total: float | None) -> Iterator[Advance]:
        """Show one task."""
        with console_progress() as progress, progress.task(description, total) as advance:
            yield advance
