"""What the stage writes: the sequence store with its dictionaries (format 2), and behaviours.

Format 2 of behaviours is one plain matrix, as format 1 is, or one in layers.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl

from configs.errors import ArtifactError
from eventlog.aggregates import Behaviour, Feature
from eventlog.behaviour_layers import LAYERS, MOMENTS, ROWS, LayeredMatrix, layer_name
from eventlog.behaviour_refresh import Layer, Refreshed
from eventlog.scan import Scan
from eventlog.sequences import CUSTOMERS, SCHEMA, Column, Schema, ids_name, load_array
from eventlog.spool import Tally
from store.artifact import ArtifactWriter, create, key_of, read_manifest, verify
from store.digests import written

BEHAVIOUR_KIND, BEHAVIOUR_VERSION = "behaviour", 2
SAVE_ROWS = 1 << 15
MATRIX, FEATURES = "matrix.npy", "features.json"


def write_log(writer: ArtifactWriter, tally: Tally, batches: Iterable[np.ndarray]) -> None:
    """Write customers, schema and the flat arrays from records that come sorted by customer and time."""
    write_head(writer, tally.customers, tally.schema, tally.counts)
    write_events(writer, tally.schema, int(tally.counts.sum()), batches)


def write_head(writer: ArtifactWriter, customers: pl.Series, schema: Schema, counts: np.ndarray) -> None:
    """Write customers, schema and the offsets that `counts` int64 [n] events a customer make."""
    pl.DataFrame({"customer": customers}).write_parquet(writer.path(CUSTOMERS), statistics=False)
    writer.write_json(SCHEMA, schema.to_json())
    save_array(writer.path("offsets.npy"), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def write_events(writer: ArtifactWriter, schema: Schema, events: int, batches: Iterable[np.ndarray]) -> None:
    """Write codes, values and time of `events` records."""
    c, v = len(schema.categorical), len(schema.numeric)
    columns = {"codes": (np.uint16, (events, c)), "values": (np.float32, (events, v)), "time": (np.int64, (events,))}
    files: dict[str, BinaryIO] = {}
    try:
        for name, (kind, shape) in columns.items():
            files[name] = _open(writer.path(f"{name}.npy"), np.dtype(kind), shape)
        for batch in batches:
            for name, file in files.items():
                file.write(np.ascontiguousarray(batch[name]).tobytes())
    finally:
        for file in files.values():
            file.close()


def write_ids(writer: ArtifactWriter, found: Scan) -> None:
    """Write the event ids that each source adds, sorted, where it has any."""
    for source in found.sources:
        if source.ids is None:
            continue
        count, batches = source.ids.fresh()
        write_rows(writer.path(ids_name(source.table.index)), np.dtype(np.uint64), (count, 2), batches)


def write_rows(path: Path, kind: np.dtype[Any], shape: tuple[int, ...], batches: Iterable[np.ndarray]) -> None:
    """Write a .npy file of `shape` from batches of rows, hashed on the way; a full disk is told as such, unlike by
    np.save."""
    with written(path) as write:
        write(memoryview(_header(kind, shape)))
        for batch in batches:
            write(np.ascontiguousarray(batch).data)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as a .npy file."""
    batches = (array[start : start + SAVE_ROWS] for start in range(0, len(array), SAVE_ROWS))
    write_rows(path, array.dtype, array.shape, batches)


def _open(path: Path, kind: np.dtype[np.generic], shape: tuple[int, ...]) -> BinaryIO:
    """A .npy file whose header is written, to append rows to."""
    file = path.open("wb")
    file.write(_header(kind, shape))
    return file


def _header(kind: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The header of a .npy file."""
    room = BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(room, header)
    return room.getvalue()


def write_behaviour(behaviour: Behaviour, key: str, folder: Path, parents: Mapping[str, str]) -> Behaviour:
    """Write the features at `folder` as an artifact; returns them mapped from there."""
    with create(folder, BEHAVIOUR_KIND, BEHAVIOUR_VERSION, key) as writer:
        writer.parents.update(parents)
        writer.counts.update(customers=behaviour.matrix.shape[0], features=behaviour.matrix.shape[1])
        writer.write_json(FEATURES, [asdict(feature) for feature in behaviour.features])
        save_array(writer.path(MATRIX), np.asarray(behaviour.matrix))
    return load_behaviour(folder, deep=False)


def write_refreshed(refreshed: Refreshed, key: str, folder: Path, parents: Mapping[str, str]) -> Behaviour:
    """The same of features that were refreshed: a layer on top of the files of those before, which are linked.

    Their bytes are taken for what their manifest says: whoever publishes what comes of it has to check them.
    """
    below = refreshed.previous.folder
    layer = refreshed.layered() if below is not None else None
    with create(folder, BEHAVIOUR_KIND, BEHAVIOUR_VERSION, key) as writer:
        writer.parents.update(parents)
        writer.counts.update(customers=refreshed.shape[0], features=refreshed.shape[1])
        writer.write_json(FEATURES, [asdict(feature) for feature in refreshed.features])
        if below is None or layer is None:
            write_rows(writer.path(MATRIX), np.dtype(np.float32), refreshed.shape, refreshed.pieces())
        else:
            _write_layer(writer, layer, below)
    return load_behaviour(folder, deep=False)


def _write_layer(writer: ArtifactWriter, layer: Layer, below: Path) -> None:
    files = read_manifest(below).files
    there = [MATRIX] if MATRIX in files else [layer_name(number) for number in range(layer.number)]
    for number, name in enumerate(there):
        writer.link(layer_name(number), below / name, files[name])
    save_array(writer.path(layer_name(layer.number)), layer.fresh)
    save_array(writer.path(ROWS), layer.rows)
    save_array(writer.path(MOMENTS), layer.moments)
    writer.write_json(LAYERS, {"end": layer.end, "layers": layer.number + 1, "since": list(layer.since)})


def load_behaviour(folder: Path, *, deep: bool = True) -> Behaviour:
    """Open the features at `folder`, memory-mapped; `deep` checks every file's SHA-256 first.

    Raises ArtifactError naming the file that is missing, truncated, changed or too new.
    """
    files = verify(folder, BEHAVIOUR_KIND, BEHAVIOUR_VERSION, deep=deep).files
    try:
        features = tuple(Feature(**item) for item in json.loads((folder / FEATURES).read_text(encoding="utf-8")))
        matrix: Column = _open_layers(folder) if LAYERS in files else load_array(folder / MATRIX)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder}: cannot be read as behaviour ({error}); make it again") from None
    return Behaviour(features, matrix, key_of(*(files[name]["sha256"] for name in sorted(files))), folder)


def _open_layers(folder: Path) -> LayeredMatrix:
    about = json.loads((folder / LAYERS).read_text(encoding="utf-8"))
    layers = [load_array(folder / layer_name(number)) for number in range(about["layers"])]
    first, last = about["since"]
    rows, moments = load_array(folder / ROWS), load_array(folder / MOMENTS)
    return LayeredMatrix(layers, rows, moments, about["end"], (first, last))
