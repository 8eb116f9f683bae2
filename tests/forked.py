"""The command line in processes of its own that are forked from one which has imported everything.

A new interpreter spends some five seconds on imports, which is most of what a small night takes. Nothing is computed
before the fork, so that a child is what a new interpreter is after the same imports: it can be killed by SIGKILL, and
no cleaning up of the parent's runs in it.
"""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
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
    written: Path
    """Folder of what it writes."""
    out: str = ""
    err: str = ""
    """What it wrote, once it has ended."""

    def ended(self, after: float | None = None) -> int:
        """Wait for its end, or kill it after so many seconds; returns the exit code, -9 of one that was killed."""
        self.process.join(after)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.out, self.err = ((self.written / name).read_text(encoding="utf-8") for name in ("out", "err"))
        shutil.rmtree(self.written)
        assert self.process.exitcode is not None
        return self.process.exitcode


def start(
    *words: str | Path,
    folder: Path,
    before: Callable[..., None] | None = None,
    given: tuple[Any, ...] = (),
    environment: dict[str, str] | None = None,
) -> Command:
    """Start `kinfolk` with some words in `folder`; `before`, a function of a module, is called with `given` first."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(EVERYTHING)
    written = Path(tempfile.mkdtemp(prefix="kinfolk-command-"))
    for name in ("out", "err"):
        (written / name).touch()
    call = ([str(word) for word in words], folder, written, {**os.environ, **(environment or {})}, before, given)
    process = forks.Process(target=_command, args=call)
    process.start()
    return Command(process, written)


def run(*words: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `kinfolk` with some words in `folder` to its end."""
    command = start(*words, folder=folder, environment=environment)
    code = command.ended(300)
    return subprocess.CompletedProcess([*words], code, command.out, command.err)


def _command(
    words: list[str],
    folder: Path,
    written: Path,
    environment: dict[str, str],
    before: Callable[..., None] | None,
    given: tuple[Any, ...],
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for name, descriptor in (("out", 1), ("err", 2)):
        os.dup2(os.open(written / name, os.O_WRONLY), descriptor)
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
