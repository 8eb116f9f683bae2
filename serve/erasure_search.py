"""The closing search of an erasure: every file of the workspace, decoded where it is packed, for the ids.

Ids of text with 8 characters or more are looked for in the bytes of every file and in every file's name, as whole words
(C1003748 is not found in C10037480), and Parquet and Arrow files are decoded first. Shorter ids, and whole numbers,
occur everywhere by chance: as part of a number, of a word, of an array of floats. They are looked for where ids stand:
in columns of Parquet and Arrow files and in JSON values that are named as ids, and in the register of objections. So a
find is a customer, and not chance.
"""

import json
import sqlite3
import string
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from serve.night_files import json_lines
from store.erasures import Named
from store.remote import RemoteWorkspace
from store.workspace import Workspace

COLUMNS = ("customer", "customer_id")
LISTS = ("typical", "seeds", "suppress", "prototypes", "unmatched_ids")
CHUNK = 1 << 22
LETTERS = frozenset(string.ascii_letters + string.digits)
ROWS = 1 << 16
MARKS = ((b"PAR1", ".parquet"), (b"ARROW1", ".arrow"), (b"SQLite format 3", ".db"), (b"{", ".json"), (b"[", ".json"))


@dataclass(frozen=True)
class Searched:
    """What a search found."""

    files: int
    size: int
    """Bytes."""
    found: tuple[str, ...]
    """Files that still hold an id, relative to the workspace; never the id itself."""
    unread: tuple[str, ...]
    """Files that could not be decoded, so that only their bytes were searched."""


def search(workspace: Workspace, who: Named) -> Searched:
    """Look for customers in everything that a workspace holds."""
    found, unread, files, size = [], [], 0, 0
    needles = tuple(id.encode() for id in who.telling)
    for number, path in enumerate(sorted(p for p in workspace.root.rglob("*") if p.is_file())):
        inside = path.relative_to(workspace.root).as_posix()
        files, size = files + 1, size + path.stat().st_size
        if who.blanked(inside) != inside:
            found.append(f"the name of file {number}")
            continue
        try:
            # a database's rows stand side by side without anything between them
            if _bytes(path, needles, words=".db" not in path.suffix) or _decoded(path, who):
                found.append(inside)
        except (pa.ArrowInvalid, ValueError, sqlite3.DatabaseError):
            unread.append(inside)
    return Searched(files, size, tuple(found), tuple(unread))


def search_store(remote: RemoteWorkspace, who: Named) -> Searched:
    """Look for customers in what an object store holds of a workspace, once everything is pushed.

    An object that is equal to a file of the mirror, by its SHA-256, was searched with the mirror. All others below the
    URL are fetched and searched, whoever put them there.
    """
    names = remote.unaccounted()
    with TemporaryDirectory(prefix="searched-", dir=remote.mirror.room()) as folder:
        place = {}
        for number, name in enumerate(names):
            path = Path(folder) / str(number)
            if remote.objects.download(name, path):
                named = path.with_suffix(_suffix(path, name))
                path.rename(named)
                place[named.name] = name
        looked = search(Workspace(Path(folder)), who)
    found = [*(place[name] for name in looked.found), *(f"object {n}" for n in names if who.blanked(n) != n)]
    return Searched(len(names), looked.size, tuple(found), tuple(place[name] for name in looked.unread))


def _suffix(path: Path, name: str) -> str:
    """How the file of an object should end, by its first bytes where its name does not tell."""
    with path.open("rb") as file:
        head = file.read(16)
    return next((suffix for mark, suffix in MARKS if head.startswith(mark)), Path(name).suffix)


def _bytes(path: Path, needles: tuple[bytes, ...], words: bool) -> bool:
    """Whether one of some texts stands in a file's bytes, as a whole word or anywhere."""
    if not needles:
        return False
    overlap, before = max(map(len, needles)) + 1, b" "
    with path.open("rb") as file:
        while True:
            chunk = file.read(CHUNK)
            window = before + (chunk or b" ")
            if any(_there(window, needle, words) for needle in needles):
                return True
            if not chunk:
                return False
            before = window[-overlap:]


def _there(window: bytes, needle: bytes, words: bool) -> bool:
    at = window.find(needle)
    while at >= 0:
        around = window[at - 1 : at] + window[at + len(needle) : at + len(needle) + 1]
        # at the edges of a window what is beside it is seen with the next one
        if not words or (len(around) == 2 and not any(chr(byte) in LETTERS for byte in around)):
            return True
        at = window.find(needle, at + 1)
    return False


def _decoded(path: Path, who: Named) -> bool:
    if path.suffix == ".parquet":
        return any(_in_table(batch, who) for batch in pq.ParquetFile(path).iter_batches(ROWS))
    if path.suffix == ".arrow":
        with pa.ipc.open_file(pa.memory_map(str(path), "r")) as reader:
            names = [name for name in reader.schema.names if name in COLUMNS]
            return any(_in_table(reader.get_batch(i).select(names), who) for i in range(reader.num_record_batches))
    if path.suffix == ".json":
        return _in_json(json.loads(path.read_text(encoding="utf-8")), who)
    if path.suffix == ".jsonl":
        return any(_in_json(json.loads(line), who) for line in json_lines(path))
    if path.suffix == ".db":
        return _in_objections(path, who)
    return False


def _in_table(batch: pa.RecordBatch, who: Named) -> bool:
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        column = pl.Series(name, array)
        if name in COLUMNS and bool(who.among(column).any()):
            return True
        if column.dtype == pl.String and who.telling:
            near = column.filter(column.str.contains_any(list(who.telling)).fill_null(False))
            if any(who.blanked(text) != text for text in near):
                return True
    return False


def _in_json(value: Any, who: Named) -> bool:
    return any(who.are(id) for id in _ids(value, "", False))


def _ids(value: Any, key: str, listed: bool) -> Iterator[Any]:
    """Values that are named as ids; `suppress` and others may be a number of ids, where they are no list."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _ids(inner, name, False)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids(inner, key, True)
    elif key in COLUMNS or (listed and key in LISTS):
        yield value


def _in_objections(path: Path, who: Named) -> bool:
    """Whether the register of objections in an SQLite catalogue names one of them."""
    with closing(sqlite3.connect(path)) as database:
        try:
            return any(who.are(row[0]) for row in database.execute("SELECT customer FROM objections"))
        except sqlite3.OperationalError:  # another database, without such a table
            return False
