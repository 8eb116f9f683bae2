"""Customers taken out of prepared logs, plain and in layers: their events, their rows in quarantine, their values.

Every event of a layer belongs to one customer, whom the layer's own map tells (newer logs may not use all of it any
more). So each layer is copied without the events of those who are erased, and the maps of all logs that stand on it
are moved to the new places. Events, codes and values of everybody else stay the same bytes in the same order.

A dictionary's value that erased customers used and no remaining event of any log does may tell who they were: it gives
way to a placeholder under the same code, in models too. Should another customer bring the value again, it gets a code
of its own in the log, and a model takes it for a value that it has never seen. Hashes of event ids stay: which of them
were of an erased customer is kept nowhere, and they tell nothing to whoever has not the event id itself.

Legend: n customers, e events, c categorical fields, r runs, d erased customers.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from configs.errors import InputError
from eventlog.artifact import (
    BEHAVIOUR_KIND,
    BEHAVIOUR_VERSION,
    FEATURES,
    MATRIX,
    load_behaviour,
    save_array,
    write_rows,
)
from eventlog.config import SOURCE_FIELD
from eventlog.layers import LAYERS, RUN_ARRAYS
from eventlog.sequences import CUSTOMERS, KIND, QUARANTINE, REPORT, SCHEMA, VERSION, load_array
from eventlog.watermark import read_watermark
from store.artifact import MANIFEST, Manifest, read_manifest, verify
from store.erasures import Named
from store.reseal import link_others, reseal, write_json
from store.rewrite import Rewrite

COLUMNS = ("codes", "values", "time")
PIECE = 1 << 18
Ranges = list[tuple[int, int]]
Values = Mapping[tuple[str, str], str]
"""(field, value) of dictionaries that are to be blanked -> what stands in its place: the same wherever it stood, so
that dictionaries still fit each other, and made of the receipt's id alone, so that it tells nothing."""


@dataclass(eq=False)
class _Log:
    """One log, and what is known of it before anything is written."""

    folder: Path
    manifest: Manifest
    layers: tuple[str, ...]
    schema: dict[str, Any]
    customers: pl.Series
    gone: np.ndarray
    """bool [n]."""
    runs: dict[str, np.ndarray]
    """RUN_ARRAYS; empty for a plain log."""
    dropped: Ranges = field(default_factory=list)
    """Events of its own layer that are taken out, ascending, apart from each other."""


@dataclass(frozen=True)
class ErasedLog:
    """What was taken out of a log."""

    key: str
    customers: int
    events: int
    """Of its own layer."""
    quarantined: int


def erase_logs(rewrite: Rewrite, folders: Iterable[Path], who: Named, receipt: str) -> tuple[list[ErasedLog], Values]:
    """Stage every log of `folders` that erased customers are in; also returns the values that are to be blanked.

    Raises InputError where a log would be left without anybody, ArtifactError where one is damaged.
    """
    logs = {folder.name: _opened(folder, who) for folder in sorted(folders)}
    for log in logs.values():
        log.dropped = _own_dropped(log)
        if log.gone.all():
            raise InputError(
                f"{log.folder}: nobody would be left in this event log; delete the workspace instead, or name fewer "
                "customers"
            )
    lost = sorted(_lonely(logs) | _named(logs, who))
    blanked = {pair: f"(erased {receipt} {number})" for number, pair in enumerate(lost, start=1)}
    out = []
    for log in logs.values():
        quarantine, rows = _without_quarantined(log.folder, who)
        moved = any(logs[key].dropped for key in log.layers if key in logs)
        values = {(f["name"], v) for f in log.schema["categorical"] for v in f["values"]}
        report = _blanked_report(log.folder / REPORT, who)
        if log.gone.any() or moved or rows or values & blanked.keys() or report is not None:
            _write(rewrite, log, logs, quarantine if rows else None, report, blanked)
            events = sum(stop - start for start, stop in log.dropped)
            out.append(ErasedLog(log.folder.name, int(log.gone.sum()), events, rows))
    return out, blanked


def _opened(folder: Path, who: Named) -> _Log:
    manifest = verify(folder, KIND, VERSION)
    schema = json.loads((folder / SCHEMA).read_text(encoding="utf-8"))
    customers = pl.read_parquet(folder / CUSTOMERS)["customer"]
    layers, runs = (folder.name,), dict[str, np.ndarray]()
    if (folder / LAYERS).is_file():
        layers = tuple(json.loads((folder / LAYERS).read_text(encoding="utf-8"))["layers"])
        runs = {name: load_array(folder / f"{name}.npy") for name in RUN_ARRAYS}
    return _Log(folder, manifest, layers, schema, customers, who.among(customers), runs)


def _own_dropped(log: _Log) -> Ranges:
    """The events of a log's own layer that belong to erased customers."""
    rows = np.flatnonzero(log.gone)
    if not log.runs:
        offsets = load_array(log.folder / "offsets.npy")
        begin, end = offsets[rows], offsets[rows + 1]
    else:
        mine = np.flatnonzero(_of_customers(log.runs["run_offsets"], log.gone))
        mine = mine[np.asarray(log.runs["run_layer"])[mine] == len(log.layers) - 1]
        begin = np.asarray(log.runs["run_start"])[mine]
        end = begin + np.asarray(log.runs["run_count"])[mine]
    order = np.argsort(begin, kind="stable")
    return [(int(a), int(b)) for a, b in zip(begin[order], end[order], strict=True) if b > a]


def _of_customers(offsets: np.ndarray, some: np.ndarray) -> np.ndarray:
    """bool: which of the entries that `offsets` [n + 1] shares out are of the customers `some` bool [n]."""
    return np.repeat(some, np.diff(offsets))


def remaining(dropped: Ranges, size: int) -> Ranges:
    """What is left of 0 .. `size` between the ascending `dropped` ranges."""
    edges = [0, *(edge for pair in dropped for edge in pair), size]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]


def _lonely(logs: Mapping[str, _Log]) -> set[tuple[str, str]]:
    """Values that erased customers' events used and no remaining event of any log does.

    Names of sources stay: the recipe gives them, and tomorrow's events are from these sources too.
    """
    theirs: set[tuple[str, str]] = set()
    for log in logs.values():
        codes = load_array(log.folder / "codes.npy")
        theirs |= _used(log, (codes[a:b] for a, b in log.dropped))
    for log in logs.values():
        if theirs:
            codes = load_array(log.folder / "codes.npy")
            theirs -= _used(log, _pieces(codes, remaining(log.dropped, len(codes))))
    return theirs - {(SOURCE_FIELD, name) for log in logs.values() for name in _sources(log)} if theirs else theirs


def _sources(log: _Log) -> list[str]:
    """Names of the sources of a log that has several, and tells them apart by a field."""
    read = read_watermark(log.folder)
    return [source.name for source in read.sources] if read is not None and len(read.sources) > 1 else []


def _pieces(array: np.ndarray, ranges: Ranges) -> Iterator[np.ndarray]:
    for start, stop in ranges:
        for at in range(start, stop, PIECE):
            yield array[at : min(at + PIECE, stop)]


def _used(log: _Log, pieces: Iterable[np.ndarray]) -> set[tuple[str, str]]:
    """(field, value) that some events [., c] of a log use."""
    fields = log.schema["categorical"]
    seen = [np.zeros(len(field["values"]) + 2, bool) for field in fields]
    for piece in pieces:
        for column, used in enumerate(seen):
            used[piece[:, column]] = True
    return {
        (field["name"], field["values"][code - 2])
        for field, used in zip(fields, seen, strict=True)
        for code in np.flatnonzero(used).tolist()
        if code >= 2
    }


def _named(logs: Mapping[str, _Log], who: Named) -> set[tuple[str, str]]:
    """Values in whose text an erased customer's id stands, whoever used them."""
    every = {(f["name"], value) for log in logs.values() for f in log.schema["categorical"] for value in f["values"]}
    return {pair for pair in every if who.blanked(pair[1]) != pair[1]}


def blanked_schema(schema: Mapping[str, Any], blanked: Values) -> dict[str, Any]:
    """A schema as JSON values with placeholders under the codes of blanked values."""
    fields = [
        {**f, "values": [blanked.get((f["name"], value), value) for value in f["values"]]}
        for f in schema["categorical"]
    ]
    return {**schema, "categorical": fields}


def _write(
    rewrite: Rewrite,
    log: _Log,
    logs: Mapping[str, _Log],
    quarantine: pl.DataFrame | None,
    report: dict[str, Any] | None,
    blanked: Values,
) -> None:
    room = rewrite.room(log.folder)
    room.mkdir()
    written = {MANIFEST, SCHEMA}
    if log.gone.any():
        written |= {CUSTOMERS, "offsets.npy"}
        pl.DataFrame({"customer": log.customers.filter(pl.Series(~log.gone))}).write_parquet(
            room / CUSTOMERS, statistics=False
        )
        counts = np.diff(load_array(log.folder / "offsets.npy"))[~log.gone]
        save_array(room / "offsets.npy", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    if log.dropped:
        for name in COLUMNS:
            written.add(f"{name}.npy")
            _copy_events(log.folder / f"{name}.npy", room / f"{name}.npy", log.dropped)
    if log.runs:
        for name, array in _moved_runs(log, logs).items():
            written.add(f"{name}.npy")
            save_array(room / f"{name}.npy", array)
    if quarantine is not None:
        written.add(QUARANTINE)
        quarantine.write_parquet(room / QUARANTINE, compression="zstd")
    if report is not None:
        written.add(REPORT)
        write_json(room / REPORT, report)
    write_json(room / SCHEMA, blanked_schema(log.schema, blanked))
    link_others(log.folder, room, written)
    lost = int(np.diff(load_array(log.folder / "offsets.npy"))[log.gone].sum())
    counts = {**log.manifest.counts, "customers": len(log.customers) - int(log.gone.sum())}
    counts["events"] = log.manifest.counts["events"] - lost
    reseal(room, log.manifest, int(log.gone.sum()), counts)


def _copy_events(source: Path, target: Path, dropped: Ranges) -> None:
    array = load_array(source)
    ranges = remaining(dropped, len(array))
    write_rows(target, array.dtype, (sum(b - a for a, b in ranges), *array.shape[1:]), _pieces(array, ranges))


def _moved_runs(log: _Log, logs: Mapping[str, _Log]) -> dict[str, np.ndarray]:
    """The run arrays of a log in layers, without erased customers and at the new places."""
    keep = ~_of_customers(log.runs["run_offsets"], log.gone)
    counts = np.diff(log.runs["run_offsets"])[~log.gone]
    layer = np.asarray(log.runs["run_layer"])[keep]
    start, count = np.array(log.runs["run_start"])[keep], np.asarray(log.runs["run_count"])[keep]
    for number, key in enumerate(log.layers):
        dropped = logs[key].dropped
        if dropped:
            here = layer == number
            ends = np.array([stop for _, stop in dropped])
            lost = np.concatenate([[0], np.cumsum([stop - begin for begin, stop in dropped])])
            start[here] -= lost[np.searchsorted(ends, start[here], side="right")]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return dict(zip(RUN_ARRAYS, (offsets, layer, start.astype(np.int64), count.astype(np.int64)), strict=True))


def _without_quarantined(folder: Path, who: Named) -> tuple[pl.DataFrame, int]:
    """The quarantine without rows of erased customers, and how many these were.

    The log says which column of its source is the customer's. One of format 1 does not: there any cell counts, so that
    of ids that are small numbers rows of others may go too.
    """
    frame, watermark = pl.read_parquet(folder / QUARANTINE), read_watermark(folder)
    columns = {s.name: str(s.meaning["customer"]) for s in watermark.sources} if watermark is not None else {}
    texts = sorted({*who.texts, *map(str, who.numbers)})
    near = pl.lit(False)
    for column in ("event", "value"):
        near |= pl.col(column).str.contains_any(texts).fill_null(False)
    numbered = frame.with_row_index("at")
    asked = numbered.filter(near).select("at", "source", "event", "value").iter_rows()
    gone = [at for at, source, event, value in asked if _is_of(event, value, columns.get(source), who)]
    left = numbered.filter(~pl.col("at").is_in(pl.Series(gone, dtype=pl.UInt32).implode()))
    return left.drop("at"), len(gone)


def _is_of(event: str | None, value: str | None, column: str | None, who: Named) -> bool:
    if event is None:  # a line that could not be taken apart
        return _names(value or "", who)
    cells = json.loads(event)
    named = [cells.get(column)] if column is not None else list(cells.values())
    return any(who.are(cell) for cell in named) or who.blanked(event) != event


def _names(text: str, who: Named) -> bool:
    """Whether a line of an event file, or a part of one, names an erased customer."""
    for sign in "\"';\t|":
        text = text.replace(sign, ",")
    return any(who.are(cell) for cell in text.split(",")) or who.blanked(text) != text


def _blanked_report(path: Path, who: Named) -> dict[str, Any] | None:
    """The report without examples that name an erased customer; None where there is none."""
    text = path.read_text(encoding="utf-8")
    body: dict[str, Any] = json.loads(text)
    for source in body["sources"]:
        for reason in source["reasons"]:
            if _names(reason["example"].partition(": ")[2], who) or who.blanked(reason["example"]) != reason["example"]:
                reason["example"] = "(erased)"
    body["notes"] = [who.blanked(note) for note in body["notes"]]
    return None if body == json.loads(text) else body


def erase_behaviour(folder: Path, room: Path, keep: np.ndarray, blanked: Values) -> None:
    """Write behaviours at `room` for the customers `keep` bool [n] alone, as the artifact that they were, but plain.

    Layers are linked from snapshot to snapshot, and hold rows from before as well: none of their bytes is kept. The
    bytes at `folder` were checked.
    """
    manifest = verify(folder, BEHAVIOUR_KIND, BEHAVIOUR_VERSION, deep=False)
    room.mkdir(parents=True)
    matrix = load_behaviour(folder, deep=False).matrix
    rows = np.flatnonzero(keep)
    pieces = (matrix[rows[at : at + PIECE // 8]] for at in range(0, len(rows), PIECE // 8))
    write_rows(room / MATRIX, matrix.dtype, (len(rows), matrix.shape[1]), pieces)
    features = json.loads((folder / FEATURES).read_text(encoding="utf-8"))
    for feature in features:
        pair = (feature["field"], feature["value"])
        if pair in blanked:
            for part in ("name", "words"):
                feature[part] = feature[part].replace(f"= {pair[1]}", f"= {blanked[pair]}")
                feature[part] = feature[part].replace(f"={pair[1]}", f"={blanked[pair]}")
            feature["value"] = blanked[pair]
    write_json(room / FEATURES, features)
    reseal(room, manifest, int((~keep).sum()), {**manifest.counts, "customers": len(rows)})


def models_to_blank(models: Iterable[Path], blanked: Values) -> list[Path]:
    """Folders of the models whose dictionaries hold blanked values."""
    found = []
    for folder in models:
        schema = json.loads((folder / "model.json").read_text(encoding="utf-8"))["schema"]
        if blanked_schema(schema, blanked) != schema:
            found.append(folder)
    return found


def blank_model(folder: Path, room: Path, blanked: Values) -> None:
    """Write a model at `room` with placeholders in its dictionaries; its weights stay."""
    manifest = read_manifest(folder)
    verify(folder, manifest.kind, manifest.version)
    room.mkdir(parents=True)
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    write_json(room / "model.json", {**about, "schema": blanked_schema(about["schema"], blanked)})
    link_others(folder, room, {"model.json", MANIFEST})
    reseal(room, manifest, 0, manifest.counts)
