"""Arrow IPC files of one record batch, so that each column is one contiguous piece that numpy sees without a copy."""

import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from configs.errors import ArtifactError

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


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


def copy_rows(to: Floats, rows: Rows, source: Floats, source_rows: Rows) -> None:
    """Copy `source[source_rows]` to `rows` of a matrix that `create_matrix` returned.

    Runs of rows are written to the file itself: through the map, each page would first be filled with zeros.
    """
    if not len(rows):
        return
    assert isinstance(to, np.memmap)
    assert to.filename is not None
    width = to.shape[1] * to.itemsize
    bounds = np.flatnonzero(np.concatenate([[True], (np.diff(rows) != 1) | (np.diff(source_rows) != 1), [True]]))
    runs = bounds[:-1]
    sizes, begins, places = ((column * width).tolist() for column in (np.diff(bounds), source_rows[runs], rows[runs]))
    whole = source.data.cast("B")
    with open(to.filename, "r+b", buffering=0) as file:
        handle = file.fileno()
        for size, begin, place in zip(sizes, begins, places, strict=True):
            done = 0
            while done < size:
                done += os.pwrite(handle, whole[begin + done : begin + size], to.offset + place + done)


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
