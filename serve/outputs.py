"""Files written for the user: whole or not at all, and faults found before the work starts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.errors import InputError, storage_errors
from store.artifact import fsync


def check_output(path: Path) -> None:
    """Raise InputError where no file can be written at `path`, so that no one waits for an answer that is lost."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name the file to write")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: the folder {path.absolute().parent} does not exist; make it or choose another place")


@contextmanager
def output(path: Path) -> Iterator[Path]:
    """Give a hidden path beside `path` to write to, and rename it over `path` when the block ends well.

    Raises InputError where `path` is a folder or lies in none, StorageError on a full or read-only disk.
    """
    check_output(path)
    beside = path.with_name(f".{os.getpid()}.part.{path.name}")  # the suffix stays: writers choose a format by it
    with storage_errors(path):
        try:
            yield beside
            fsync(beside)
            os.replace(beside, path)
            fsync(path.absolute().parent)
        finally:
            beside.unlink(missing_ok=True)
