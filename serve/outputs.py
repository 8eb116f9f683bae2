"""Files written for the user: whole or not at all, and faults found before the work starts."""

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from configs.errors import InputError, StorageError, storage_errors
from store.artifact import fsync


def check_output(path: Path, suffixes: Collection[str] = (), inputs: Iterable[Path] = ()) -> None:
    """Raise InputError where no file can be written at `path`, so that no one waits for an answer that is lost.

    `suffixes`: how its name may end, where that matters; `inputs`: files of the user's that it must not overwrite.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name the file to write")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: the folder {path.absolute().parent} does not exist; make it or choose another place")
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{path}: the name must end in {' or '.join(suffixes)}, which is what is written")
    for given in inputs:
        if path.resolve() == given.resolve():
            raise InputError(f"{path}: is named both to be read and to be written; name another file to write")


@contextmanager
def output(path: Path) -> Iterator[Path]:
    """Give a hidden path beside `path` to write to, and rename it over `path` when the block ends well.

    Raises InputError where `path` is a folder or lies in none, StorageError on a full or read-only disk.
    """
    check_output(path)
    beside = path.with_name(f".{os.getpid()}.part.{path.name}")  # the suffix stays: writers choose a format by it
    try:
        with storage_errors(path):
            yield beside
            fsync(beside)
            os.replace(beside, path)
            fsync(path.absolute().parent)
    except StorageError as error:  # told of the file that the user named
        raise StorageError(str(error).replace(beside.name, path.name)) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
