"""Where commands work: a folder, or the mirror of a workspace in an object store, pulled before and pushed after.

The command line holds `places` around every command, so that what a command opens to write is pushed once, at its end.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from configs.errors import InputError

if TYPE_CHECKING:
    from store.pull import Need
    from store.remote import RemoteWorkspace
    from store.workspace import Workspace

Write = Literal["no", "notes", "yes"]
"""What a command writes: nothing; the catalogue alone, which may be in PostgreSQL; files of the workspace too."""

_open: ContextVar[ExitStack | None] = ContextVar("places", default=None)


@contextmanager
def places() -> Iterator[None]:
    """Bring what the block opens to its end, also where it fails or exits."""
    with ExitStack() as stack:
        token = _open.set(stack)
        try:
            yield
        finally:
            _open.reset(token)


def is_remote(where: str) -> bool:
    """Whether a workspace is named by URL."""
    return "://" in where


def open_workspace(
    where: str, *names: str | None, need: "Need" = "served", write: Write = "no", create: bool = False
) -> "Workspace":
    """The workspace at a folder or URL; NotFoundError where there is none, unless it is to be created.

    Of one in an object store, what the command needs is fetched, the snapshots `names` too; and what it writes is
    pushed when it ends, under the lease.
    """
    from store.workspace import Workspace

    if is_remote(where):
        return open_mirror(where, *names, need=need, write=write, create=create).local
    return Workspace.create(Path(where)) if create else Workspace.open(Path(where))


def open_mirror(
    where: str, *names: str | None, need: "Need" = "served", write: Write = "no", create: bool = False
) -> "RemoteWorkspace":
    """The same of a workspace in an object store, with what it takes to push before the end."""
    from serve.catalogues import VARIABLE
    from store.objects import PROTOCOL
    from store.remote import RemoteWorkspace

    if not where.startswith(PROTOCOL):
        raise InputError(f"{where}: accepted as a workspace: a folder, or s3://bucket/prefix")
    stack, remote = _open.get(), RemoteWorkspace(where)
    writes = write == "yes" or (write == "notes" and not os.environ.get(VARIABLE))
    if stack is None and writes:
        raise RuntimeError("a remote workspace is opened for writing inside `places`")
    wanted = tuple(name for name in names if name)
    if writes and stack is not None:
        stack.enter_context(_written(remote, wanted, need, must_exist=not create))
    else:
        from serve.console_progress import console_progress

        with console_progress() as progress:
            remote.refresh(*wanted, need=need, progress=progress, must_exist=not create)
    return remote


@contextmanager
def _written(remote: "RemoteWorkspace", names: tuple[str, ...], need: "Need", must_exist: bool) -> Iterator[None]:
    """The work of a command that writes. An exit with a code, such as a night that is held, is an end like others."""
    from serve.console_progress import LateProgress

    left: typer.Exit | None = None
    with remote.writing(*names, need=need, progress=LateProgress(), must_exist=must_exist):
        try:
            yield
        except typer.Exit as exit:
            left = exit
    if left is not None:
        raise left


def folder_only(where: str, command: str) -> Path:
    """A workspace that must be a folder. Raises InputError for an URL."""
    if is_remote(where):
        raise InputError(f"{where}: {command} works in a folder; name one by --workspace")
    return Path(where)
