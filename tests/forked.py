"""The command line in processes of its own that are forked from one which has imported everything.

A new interpreter spends some five seconds on imports, which is most of what a small night takes. Nothing is computed
before the fork, so that a child is what a new interpreter is after the same imports: it can be killed by SIGKILL, and
no cleaning up of the parent's runs in it.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

EVERYTHING = [
    "serve.cli", "serve.pipeline", "serve.nightly", "serve.retrain", "pytorch_lightning", "umap", "hdbscan", "sklearn",
    "faiss", "lightgbm", "plotly.graph_objects", "matplotlib.pyplot", "alembic.command", "train.module", "httpx",
]  # fmt: skip
"""Modules that the server of forks imports, once."""


@dataclass
class Command:
    """A command line that was started."""

    process: BaseProcess
    log: Path
    """Everything that it wrote to stdout and stderr."""

    def ended(self, after: float | None = None) -> int:
        """Wait for its end, or kill it after so many seconds; returns the exit code, -9 of one that was killed."""
        self.process.join(after)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode

    @property
    def told(self) -> str:
        """What it wrote."""
        return self.log.read_text(encoding="utf-8")


def start(*words: str | Path, folder: Path, before: Callable[..., None] | None = None, given: Any = ()) -> Command:
    """Start `kinfolk` with some words in `folder`; `before`, a function of a module, is called with `given` first."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(EVERYTHING)
    log = folder / "command.log"
    process = forks.Process(target=_command, args=([str(word) for word in words], folder, log, before, given))
    process.start()
    return Command(process, log)


def _command(
    words: list[str], folder: Path, log: Path, before: Callable[..., None] | None, given: tuple[Any, ...]
) -> None:
    os.chdir(folder)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["kinfolk", *words]
    if before is not None:
        before(*given)
    from serve.cli import main

    main()


def die_in(stage: str, moment: str) -> None:
    """Die by SIGKILL right before or after the first file that a stage of the line puts in place."""
    import serve.pipeline  # which imports every stage

    place = {"behaviour": "behaviour_of", "publish": "publish"}.get(stage)
    owner, name = (serve.pipeline, place) if place else (sys.modules[f"{stage}.run"], "run")
    finished, working = os.replace, getattr(owner, name)

    def die(*words: Any, **options: Any) -> None:
        if moment == "after":
            finished(*words, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    def until_death(*words: Any, **options: Any) -> Any:
        os.replace = die
        return working(*words, **options)

    setattr(owner, name, until_death)


def die_after_publishing(step: str) -> None:
    """Die by SIGKILL at one of the steps of a night after the pointer moved."""
    import serve.aftermath

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(serve.aftermath, step, die)
