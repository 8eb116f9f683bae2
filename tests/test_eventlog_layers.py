"""A log in layers reads like the flat one that it stands for, and no damaged layer is read."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ArtifactError
from eventlog.layers import LAYERS, Extents, Layered, Runs
from eventlog.sequences import KIND, VERSION, CategoricalField, EventLog, Schema
from store.artifact import create


@st.composite
def stacks(draw: st.DrawFn) -> tuple[list[np.ndarray], Runs, np.ndarray]:
    """Parts of a column [., 2], the runs over them, and the flat column that they stand for."""
    sizes = draw(st.lists(st.integers(0, 20), min_size=1, max_size=4))
    parts = [np.arange(2 * size).reshape(size, 2) + 1000 * i for i, size in enumerate(sizes)]
    runs = []
    for _ in range(draw(st.integers(0, 12))):
        layer = draw(st.integers(0, len(parts) - 1))
        start = draw(st.integers(0, sizes[layer]))
        runs.append((layer, start, draw(st.integers(0, sizes[layer] - start))))
    pieces = [parts[layer][start : start + count] for layer, start, count in runs]
    columns = np.array(runs, np.int64).reshape(-1, 3).T
    made = Runs(np.arange(len(runs) + 1), columns[0].astype(np.uint16), columns[1], columns[2])
    return parts, made, np.concatenate([parts[0][:0], *pieces])


@given(stacks(), st.data())
def test_a_column_in_layers_is_indexed_like_the_flat_one(
    stack: tuple[list[np.ndarray], Runs, np.ndarray], data: st.DataObject
) -> None:
    parts, runs, flat = stack
    column = Layered(parts, Extents.of(runs))
    assert (len(column), column.shape, column.dtype, column.ndim) == (len(flat), flat.shape, flat.dtype, 2)
    np.testing.assert_array_equal(np.asarray(column), flat)
    some = data.draw(st.slices(len(flat)))
    np.testing.assert_array_equal(column[some], flat[some])
    np.testing.assert_array_equal(column[some, 1], flat[some, 1])
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(flat), max_size=len(flat))), bool)
    np.testing.assert_array_equal(column[mask], flat[mask])
    if len(flat):
        places = st.integers(-len(flat), len(flat) - 1)
        rows = np.array(data.draw(st.lists(places, max_size=30)), np.int64)
        np.testing.assert_array_equal(column[rows], flat[rows])
        np.testing.assert_array_equal(column[rows, 0], flat[rows, 0])
        pairs = rows[: len(rows) // 2 * 2].reshape(-1, 2)
        np.testing.assert_array_equal(column[pairs], flat[pairs])
        one = data.draw(places)
        np.testing.assert_array_equal(column[one], flat[one])
        assert column[one, 1] == flat[one, 1]
    for outside in (len(flat), -len(flat) - 1):
        with pytest.raises(IndexError, match="out of the"):
            column[np.array([outside])]
    with pytest.raises(IndexError, match="a mask of"):
        column[np.ones(len(flat) + 1, bool)]


def test_long_extents_are_read_like_short_ones() -> None:
    parts = [np.arange(3000), np.arange(10_000, 11_000)]
    runs = Runs(np.array([0, 2, 3]), np.array([0, 1, 0], np.uint16), np.array([0, 5, 1000]), np.array([900, 700, 2000]))
    column, flat = (
        Layered(parts, Extents.of(runs)),
        np.concatenate([parts[0][:900], parts[1][5:705], parts[0][1000:3000]]),
    )
    for start, stop in ((0, len(flat)), (100, 200), (850, 950), (899, 1601), (5, 1595), (3000, 9999), (7, 3)):
        np.testing.assert_array_equal(column[start:stop], flat[start:stop])
    assert np.shares_memory(column[100:200], parts[0]), "what lies in one piece is not copied"


def write(
    folder: Path, columns: dict[str, np.ndarray], offsets: np.ndarray, runs: Runs | None, layers: list[str]
) -> None:
    """A log of one categorical and one numeric field."""
    with create(folder, KIND, VERSION, folder.name) as writer:
        schema = Schema("integer", (CategoricalField("shop", ("a", "b")),), ("amount",))
        writer.write_json("schema.json", schema.to_json())
        pl.DataFrame({"customer": np.arange(len(offsets) - 1)}).write_parquet(writer.path("customers.parquet"))
        arrays = {**columns, "offsets": offsets}
        if runs is not None:
            arrays |= {f"run_{name}": getattr(runs, name) for name in ("offsets", "layer", "start", "count")}
            writer.write_json(LAYERS, {"layers": layers})
        for name, array in arrays.items():
            np.save(writer.path(f"{name}.npy"), array)


def columns(n: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "codes": random.integers(0, 4, (n, 1)).astype(np.uint16),
        "values": random.normal(size=(n, 1)).astype(np.float32),
        "time": np.sort(random.integers(0, 10**15, n)),
    }


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A log in two layers: customer 0 has events in both, 1 in the lower one, 2 in the upper one."""
    write(tmp_path / "low", columns(9, 0), np.array([0, 4, 9]), None, [])
    runs = Runs(
        np.array([0, 2, 3, 4]), np.array([0, 1, 0, 1], np.uint16), np.array([0, 0, 4, 2]), np.array([4, 2, 5, 3])
    )
    write(tmp_path / "high", columns(5, 1), np.array([0, 6, 11, 14]), runs, ["low", "high"])
    return tmp_path


def test_a_log_in_layers_is_opened_over_the_layers_below(two: Path) -> None:
    log, low, high = EventLog.load(two / "high"), columns(9, 0), columns(5, 1)
    assert (log.layered, log.layers, log.n_events, log.n_customers) == (True, ("low", "high"), 14, 3)
    below = EventLog.load(two / "low")
    assert (below.layered, below.layers, below.n_events) == (False, ("low",), 9)
    for name in ("codes", "values", "time"):
        flat = np.concatenate([low[name][:4], high[name][:2], low[name][4:], high[name][2:]])
        np.testing.assert_array_equal(np.asarray(getattr(log, name)), flat)
        np.testing.assert_array_equal(getattr(log, name)[log.offsets[1] : log.offsets[2]], low[name][4:])
    assert log.end == max(low["time"].max(), high["time"].max())
    np.testing.assert_array_equal(below.runs().start, [0, 4])
    np.testing.assert_array_equal(log.runs().layer, [0, 1, 0, 1])


def test_a_flipped_bit_in_any_layer_is_refused_by_name(two: Path) -> None:
    random = np.random.default_rng(0)
    for path in sorted(p for p in two.rglob("*") if p.is_file()):
        raw = path.read_bytes()
        for place in random.integers(0, 8 * len(raw), 20).tolist():
            changed = bytearray(raw)
            changed[place // 8] ^= 1 << place % 8
            path.write_bytes(bytes(changed))
            with pytest.raises(ArtifactError, match=path.name):
                EventLog.load(two / "high")
        path.write_bytes(raw[:-1])
        with pytest.raises(ArtifactError, match=path.name):
            EventLog.load(two / "high", deep=False)
        path.write_bytes(raw)
    assert EventLog.load(two / "high").n_events == 14


def test_a_layer_that_is_gone_or_another_one_is_told(two: Path) -> None:
    shutil.rmtree(two / "low")
    with pytest.raises(ArtifactError, match=r"low.*missing"):
        EventLog.load(two / "high", deep=False)
    write(two / "other", columns(9, 5), np.array([0, 4, 9]), None, [])
    (two / "other").rename(two / "low")
    with pytest.raises(ArtifactError, match="another log than its name says"):
        EventLog.load(two / "high", deep=False)
