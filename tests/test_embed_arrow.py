"""Arrow files of one batch: matrices that are made of the right size first and filled afterwards."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from configs.errors import ArtifactError
from embed import arrow
from embed.arrow import as_matrix, create_matrix, in_order, map_columns, write_columns


def read(path: Path) -> np.ndarray:
    return as_matrix(map_columns(path, ("id", "vector")).column("vector"))


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (7, 3), (50_000, 5)])
def test_a_new_matrix_is_zeros_of_its_full_size_and_readable_by_any_arrow_reader(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    path = tmp_path / "m.arrow"
    matrix = create_matrix(path, {"id": pa.array(np.arange(shape[0]))}, "vector", shape)
    assert matrix.shape == shape
    assert not matrix.any()
    assert os.stat(path).st_blocks * 512 >= matrix.nbytes  # room is taken, not promised
    with pa.OSFile(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table["id"].to_pylist() == list(range(shape[0]))
    assert table["vector"].combine_chunks().flatten().to_pylist() == [0.0] * matrix.size


def test_what_is_filled_in_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.arrow"
    matrix = create_matrix(path, {"id": pa.array(np.arange(1000))}, "vector", (1000, 8))
    matrix[:] = values = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
    np.testing.assert_array_equal(read(path), values)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows_at_once", [1, 7, 5000])
def test_rows_of_several_matrices_are_put_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, rows_at_once: int
) -> None:
    monkeypatch.setattr(arrow, "PIECE", rows_at_once * 24)
    rng = np.random.default_rng(seed)
    sources = [rng.normal(size=(size, 6)).astype(np.float32) for size in (3000, 0, 400, 1)]
    below = np.concatenate(sources)
    rows = np.sort(rng.choice(len(below), 2500, replace=False))
    rows[::50] = rng.integers(0, len(below), 50)
    path = tmp_path / "m.arrow"
    matrix = create_matrix(path, {"id": pa.array(np.arange(2510))}, "vector", (2510, 6))
    with in_order(matrix) as put:
        for some in np.split(rows, [1000, 1000, 2400]):
            put(some, *sources)
    for seen in (matrix, read(path)):
        np.testing.assert_array_equal(seen[:2500], below[rows])
        assert not seen[2500:].any()


def test_nothing_to_put_writes_nothing(tmp_path: Path) -> None:
    none = np.zeros(0, np.int64)
    matrix = create_matrix(tmp_path / "m.arrow", {"id": pa.array(none)}, "vector", (0, 3))
    with in_order(matrix) as put:
        put(none, np.zeros((4, 3), np.float32))
    assert read(tmp_path / "m.arrow").shape == (0, 3)


def test_a_file_with_other_columns_or_no_arrow_file_is_refused(tmp_path: Path) -> None:
    write_columns(tmp_path / "a.arrow", {"id": pa.array([1, 2])})
    with pytest.raises(ArtifactError, match=r"a\.arrow: expected one record batch with columns id, vector"):
        map_columns(tmp_path / "a.arrow", ("id", "vector"))
    (tmp_path / "b.arrow").write_bytes(b"not arrow")
    with pytest.raises(ArtifactError, match=r"b\.arrow: not a readable Arrow file"):
        map_columns(tmp_path / "b.arrow", ("id",))


def test_room_that_is_not_there_is_an_error_before_anything_is_filled_in(tmp_path: Path) -> None:
    # in a process of its own: the limit on file sizes cannot be raised again
    code = (
        "import resource, signal, sys; import pyarrow as pa; from pathlib import Path; from embed.arrow import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n create_matrix(Path(sys.argv[1]), {'id': pa.array(range(1000))}, 'vector', (1000, 64))\n"
        "except OSError as error:\n print(error.errno)"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    told = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m")], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(errno.EFBIG)
