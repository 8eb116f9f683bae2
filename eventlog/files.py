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

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size


def kind_of(path: Path) -> Literal["parquet", "csv"]:
    """What a file holds, by its name."""
    return "parquet" if path.suffix.lower() in (".parquet", ".pq") else "csv"


def find_files(source: Source) -> list[SourceFile]:
    """The files of `source.path` sorted by name. Raises DataError where there is none or one cannot be read."""
    assert source.path is not None
    pattern = Path(source.path)
    if pattern.is_file() or not any(sign in source.path for sign in WILDCARDS):
        found, root = [pattern], pattern.parent
    else:
        found = [path for path in map(Path, glob.glob(source.path, recursive=True)) if path.is_file()]
        root = _fixed_part(pattern)
    files = [SourceFile(path, path.relative_to(root).as_posix(), kind_of(path)) for path in found]
    files = sorted((file for file in files if not Path(file.label).name.startswith("_")), key=lambda file: file.label)
    if not files or not files[0].path.is_file():
        what = "is a folder; name its files, as in folder/*.parquet" if pattern.is_dir() else "there is no such file"
        raise DataError(f"source {source.name!r}: {source.path}: {what} (accepted: a Parquet or CSV file, or a glob)")
    for file in files:
        if not os.access(file.path, os.R_OK):
            raise DataError(f"source {source.name!r}: {file.path}: permission to read it is denied")
    return files


def _fixed_part(pattern: Path) -> Path:
    """The part of a glob before its first wildcard."""
    parts = pattern.parts
    first = next(i for i, part in enumerate(parts) if any(sign in part for sign in WILDCARDS))
    return Path(*parts[:first])
