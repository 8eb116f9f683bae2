"""What the commands share: options, how errors end a command, tables and JSON."""

import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from configs.errors import InputError, KinfolkError, storage_fault
from serve.commands.places import open_workspace as open_workspace
from serve.commands.places import places

if TYPE_CHECKING:
    from rich.table import Table

WorkspaceOption = Annotated[
    str,
    typer.Option(
        "--workspace",
        "-w",
        metavar="DIR",
        envvar="KINFOLK_WORKSPACE",
        help="Folder that kinfolk keeps everything in, or s3://bucket/prefix.",
    ),
]
RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML recipe; its least form lists `sources`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
SnapshotOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of a snapshot; the one being served if left out.")
]
EngineOption = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Where most of the work is done: on this machine, or over the Ray cluster of RAY_ADDRESS."),
]
WORKSPACE = "workspace"
NUMBER = re.compile(r"[-+]?[\d,.]*\d%?|")
UNCUT = 300
"""Width of tables that are not for a terminal."""


class Group(TyperGroup):
    """The root command: turns errors into one sentence on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command. KinfolkError and a full disk exit with 2, anything unexpected with 1."""
        try:
            with interruptible(), places():
                return super().invoke(ctx)
        except KinfolkError as error:
            fail(". ".join([str(error), *getattr(error, "__notes__", ())]), error.exit_code)
        except MemoryError:
            fail("out of memory; use a machine with more, or a smaller recipe (`base: small`)", 1)
        except Exception as error:
            if isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "show"):
                raise  # typer's own: an exit, or a usage error that it shows itself
            if (fault := storage_fault(error)) is not None:
                where = getattr(error, "filename", None) or "storage"
                fail(f"{where}: {fault}; free space or choose another place, then start the same command again", 2)
            unexpected(error)


@contextmanager
def interruptible() -> Iterator[None]:
    """See that Ctrl-C ends the block with KeyboardInterrupt.

    Lightning makes an exit with 1 of it, and compiled code (pyarrow, numba) that calls Python an error of its own.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield  # such as a job in the background, to which Ctrl-C is not meant
        return
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    except BaseException as error:
        if seen and not isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def fail(sentence: str, code: int) -> None:
    """End the command with a sentence on stderr."""
    typer.echo(f"Error: {sentence}", err=True)
    raise typer.Exit(code)


def unexpected(error: Exception) -> None:
    """End the command on a fault of kinfolk itself; KINFOLK_DEBUG=1 shows where it happened."""
    if isinstance(error, BrokenPipeError) or os.environ.get("KINFOLK_DEBUG"):
        raise error
    # its text may hold an id or a secret
    place = traceback.extract_tb(error.__traceback__)[-1]
    fail(
        f"unexpected {type(error).__name__} at {Path(place.filename).name}:{place.lineno}\n"
        "This is a fault of kinfolk, not of your input. Set KINFOLK_DEBUG=1 and run the command again for a traceback "
        "to report; a started line resumes where it stopped.",
        1,
    )


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas. Raises InputError, naming the option."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return tuple(int(part) for part in parts)
    except ValueError:
        raise InputError(f"{option}: {text[:100]!r} is given; whole numbers separated by commas are accepted") from None


def print_json(value: Any) -> None:
    """Write `value` to stdout as JSON."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Write a table to stdout, under its title; a file or pipe gets it uncut."""
    from rich.console import Console

    if title:
        typer.echo(f"\n{title}")
    console = Console()
    console = console if console.is_terminal else Console(width=UNCUT)
    console.print(table(columns, rows))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> "Table":
    """A table without frame; columns of numbers go to the right."""
    from rich.markup import escape
    from rich.table import Table

    cells = [[written(cell) for cell in row] for row in rows]
    drawn = Table(box=None, pad_edge=False, show_header=any(columns))
    for index, column in enumerate(columns):
        right = bool(cells) and all(NUMBER.fullmatch(row[index]) for row in cells)
        drawn.add_column(column, justify="right" if right else "left")
    for row in cells:
        drawn.add_row(*map(escape, row))
    return drawn


def counted(count: int, thing: str) -> str:
    """A number of things as text: 1 day, 2 days."""
    return f"{count:,} {thing}" + ("s" if count != 1 else "")


def written(cell: Any) -> str:
    """A table cell as text."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
