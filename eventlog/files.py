"""The files of a source: which ones a path or glob means, in which order, and what their bytes are."""

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from configs.errors import DataError
from eventlog.config import Source

WILDCARDS = "*?["


@dataclass(frozen=True)
class SourceFile:
    """One file of a source."""

    path: Path
    label: str
    """Its name below the fixed part of the glob: says which file, wherever the folder stands."""
    kind: Literal["parquet", "csv"]
    first_row: int = 0
    """Rows of the same label that come before this file, as in the parts of a query's answer."""

    size: int = 0
    """Bytes when the file was found."""
    changed: int = 0
    """Time of the file's last change when it was found; only compared, never written."""
    since: int | None = None
    """Moment up to which an earlier night read it, microseconds since 1970 UTC; None of a new file."""

    def is_as_found(self) -> bool:
        """Whether the file is still what it was when it was found."""
        now = self.path.stat() if self.path.exists() else None
        return now is not None and (now.st_size, now.st_mtime_ns) == (self.size, self.changed)


def kind_of(path: Path) -> Literal["parquet", "csv"]:
    """What a file holds, by its name."""
    return "parquet" if path.suffix.lower() in (".parquet", ".pq") else "csv"


def find_files(source: Source, *, read_before: bool = False) -> list[SourceFile]:
    """The files of `source.path` sorted by name. Raises DataError where there is none or one cannot be read.

    Of a source that was `read_before` none need be left, as long as their folder stands.
    """
    assert source.path is not None
    pattern = Path(source.path)
    if pattern.is_file() or not any(sign in source.path for sign in WILDCARDS):
        found, root = [pattern], pattern.parent
    else:
        found = [path for path in map(Path, glob.glob(source.path, recursive=True)) if path.is_file()]
        root = _fixed_part(pattern)
    labels = {path.relative_to(root).as_posix(): path for path in found if not path.name.startswith("_")}
    if not any(path.is_file() for path in labels.values()):
        if read_before and root.is_dir() and not pattern.is_dir():
            return []
        what = "is a folder; name its files, as in folder/*.parquet" if pattern.is_dir() else "there is no such file"
        raise DataError(f"source {source.name!r}: {source.path}: {what} (accepted: a Parquet or CSV file, or a glob)")
    files = [describe(labels[label], label) for label in sorted(labels)]
    for file in files:
        if not os.access(file.path, os.R_OK):
            raise DataError(f"source {source.name!r}: {file.path}: permission to read it is denied")
    return files


def describe(path: Path, label: str, first_row: int = 0) -> SourceFile:
    """A file as it stands now."""
    stat = path.stat()
    return SourceFile(path, label, kind_of(path), first_row, stat.st_size, stat.st_mtime_ns)


def _fixed_part(pattern: Path) -> Path:
    """The part of a glob before its first wildcard."""
    parts = pattern.parts
    first = next(i for i, part in enumerate(parts) if any(sign in part for sign in WILDCARDS))
    return Path(*parts[:first])
