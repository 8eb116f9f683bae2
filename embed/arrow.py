"""Arrow IPC files of one record batch, so that each column is one contiguous piece that numpy sees without a copy."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from configs.errors import ArtifactError
from store.digests import PARTS, filled

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
PIECE = 1 << 19
"""Bytes of rows that are hashed and written at once: as many as stay in a processor's cache in between."""


def write_columns(path: Path, columns: Mapping[str, pa.Array]) -> None:
    """Write some columns of equal length."""
    _write(path, _batch(columns))


def create_matrix(path: Path, columns: Mapping[str, pa.Array], name: str, shape: tuple[int, int]) -> Floats:
    """Write some columns and a matrix [n, d] of zeros, column `name` of n lists of d float32; returns the matrix as a
    writable map of the file, to be filled.

    The disk's room is taken at once, since a write through a map that finds no room kills the process: OSError on a
    full disk.
    """
    zeros = np.zeros(shape, np.float32)  # never touched, so it takes no memory
    flat = pa.Array.from_buffers(pa.float32(), zeros.size, [None, pa.py_buffer(zeros.reshape(-1))])
    batch = _batch({**columns, name: pa.FixedSizeListArray.from_arrays(flat, shape[1])})
    if not zeros.size:
        _write(path, batch)
        return zeros
    with open(path, "wb", buffering=0) as file:
        sink = _Sink(file, zeros.ctypes.data)
        with pa.PythonFile(sink, mode="w") as told, pa.ipc.new_file(told, batch.schema) as writer:
            writer.write_batch(batch)
    return np.memmap(path, np.float32, "r+", sink.offset, shape)


@contextmanager
def in_order(to: Floats) -> Iterator[Callable[..., None]]:
    """Fill a matrix that `create_matrix` returned, from its first row to its last: `put(rows, *sources)` adds the
    `rows` of matrices that are thought of as one below the other.

    Runs of rows go from where they lie to the file itself, hashed on the way. Through the map, each page would first be
    filled with zeros; and the file would be read again to be sealed.
    """
    if not to.size:
        yield _nothing
        return
    assert isinstance(to, np.memmap)
    assert to.filename is not None
    width = to.shape[1] * to.itemsize
    step = min(max(PIECE // width, 1), PARTS)
    with filled(Path(to.filename), to.offset) as write:

        def put(rows: Rows, *sources: Floats) -> None:
            starts = np.cumsum([0, *map(len, sources)])
            views = [source.data.cast("B") if source.size else memoryview(b"") for source in sources]
            new = np.flatnonzero((np.diff(rows) != 1) | np.isin(rows[1:], starts)) + 1
            begins = np.union1d(new, np.arange(0, len(rows), step))
            of = np.searchsorted(starts, rows[begins], side="right") - 1
            places = (rows[begins] - starts[of]) * width
            sizes = np.diff(np.append(begins, len(rows))) * width
            runs = list(zip(of.tolist(), places.tolist(), (places + sizes).tolist(), strict=True))
            cuts = np.searchsorted(begins, np.arange(0, len(rows), step)).tolist()
            for first, last in pairwise([*cuts, len(runs)]):
                write([views[source][place:end] for source, place, end in runs[first:last]])

        yield put


def _nothing(_rows: Rows, *_sources: Floats) -> None:
    """Of a matrix without rows."""


def map_columns(path: Path, columns: tuple[str, ...]) -> pa.RecordBatch:
    """The one record batch of a mapped file; its arrays keep the map alive.

    Raises ArtifactError where the file is not readable or has other columns.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path), "r"))
        if reader.num_record_batches != 1 or tuple(reader.schema.names) != columns:
            raise ArtifactError(
                f"{path}: expected one record batch with columns {', '.join(columns)}; rebuild the embeddings"
            )
        return reader.get_batch(0)
    except (pa.ArrowInvalid, OSError) as error:
        raise ArtifactError(f"{path}: not a readable Arrow file ({error}); rebuild the embeddings") from None


def as_matrix(column: pa.Array) -> Floats:
    """A column of n lists of d as float32 [n, d] over the same memory."""
    flat: Floats = column.flatten().to_numpy(zero_copy_only=True)
    return flat.reshape(len(column), column.type.list_size)


class _Sink:
    """A file in which Arrow's one buffer of zeros, told by its address, becomes room that is taken but not written."""

    closed = False

    def __init__(self, file: FileIO, zeros: int) -> None:
        self.file, self.zeros, self.offset = file, zeros, 0

    def write(self, data: pa.Buffer | bytes) -> int:
        if isinstance(data, bytes) or data.address != self.zeros:
            return _write_all(self.file.fileno(), memoryview(data))
        self.offset = self.file.tell()
        _take_room(self.file.fileno(), self.offset, data.size)
        self.file.seek(self.offset + data.size)
        return int(data.size)

    def tell(self) -> int:
        return self.file.tell()

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The file is closed by who opened it."""


def _take_room(file: int, offset: int, size: int) -> None:
    """Take a file's room on the disk, as zeros. Raises OSError where there is none."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, offset, size)
        return
    piece = bytes(1 << 20)  # macOS
    os.lseek(file, offset, os.SEEK_SET)
    for start in range(0, size, len(piece)):
        _write_all(file, memoryview(piece)[: size - start])
    os.lseek(file, offset, os.SEEK_SET)


def _write_all(file: int, data: memoryview) -> int:
    done = 0
    while done < len(data):
        done += os.write(file, data[done:])
    return done


def _write(path: Path, batch: pa.RecordBatch) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def _batch(columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
