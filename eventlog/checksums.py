"""Checksums of source files, kept beside the logs so that a night need not read every old file again.

Like git's index: a file whose size, time of change and time of its inode's change are as they were is taken to hold
the same bytes; any other is read. The cache is no part of an artifact; where it is lost, everything is read once.
"""

import json
from pathlib import Path

from configs.progress import Advance
from eventlog.files import SourceFile
from store.artifact import write_atomic
from store.digests import sha256

CACHE = ".checksums.json"
"""Name in the folder of the logs."""


class Checksums:
    """SHA-256 of files by path; `save` keeps those that were asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read(path)
        self._asked: dict[str, list[int | str]] = {}

    def of(self, file: SourceFile, advance: Advance) -> str:
        """SHA-256 of a file's bytes, in hex."""
        stat = file.path.stat()
        name, print_ = str(file.path.absolute()), [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        known = self._known.get(name)
        found = str(known[3]) if known is not None and known[:3] == print_ else sha256(file.path)
        self._asked[name] = [*print_, found]
        advance(file.size)
        return found

    def save(self) -> None:
        """Write what was asked for, where it differs from what is there."""
        if self._asked != self._known:
            write_atomic(self._path, json.dumps(self._asked, sort_keys=True) + "\n")


def _read(path: Path) -> dict[str, list[int | str]]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return {name: entry for name, entry in body.items() if len(entry) == 4 and len(entry[3]) == 64}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
