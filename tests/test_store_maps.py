"""Pages of mapped files are let go of and brought in, and nothing else is touched."""

from pathlib import Path

import numpy as np
import pytest

from store import maps
from store.maps import bring_in, let_go

N = 6_000_000


@pytest.fixture
def mapped(tmp_path: Path) -> np.ndarray:
    np.arange(N, dtype=np.float32).tofile(tmp_path / "numbers")
    return np.memmap(tmp_path / "numbers", np.float32, mode="r")


def resident(array: np.ndarray) -> int:
    """Kilobytes of an array's mapping that are in this process's page tables."""
    first, here = array.ctypes.data, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            begin, _, end = words[0].partition("-")
            here = int(begin, 16) <= first < int(end, 16)
        elif here and words[0] == "Rss:":
            return int(words[1])
    raise AssertionError("not mapped")


@pytest.mark.skipif(not maps.MAPS.exists(), reason="the system does not tell its maps")
def test_pages_of_a_file_go_and_come_and_its_bytes_stay(mapped: np.ndarray) -> None:
    total = float(mapped.sum(dtype=np.float64))
    assert resident(mapped) > 20_000
    assert let_go([mapped], pause=0) > 0.99 * mapped.nbytes
    assert resident(mapped) < 100
    if bring_in([mapped], pause=0):
        assert resident(mapped) > 20_000
    assert float(mapped.sum(dtype=np.float64)) == total


def test_arrays_in_memory_and_writable_maps_are_left_alone(tmp_path: Path) -> None:
    memory = np.arange(N, dtype=np.float32)
    writable = np.memmap(tmp_path / "w", np.float32, mode="w+", shape=(N,))
    private = np.memmap(tmp_path / "w", np.float32, mode="c", shape=(N,))
    private[:] = 1
    for array in (memory, writable, private, np.empty(0)):
        assert let_go([array], pause=0) == 0
        assert bring_in([array], pause=0) == 0
    assert memory[-1] == N - 1
    assert private.min() == 1


def test_nothing_happens_where_the_system_does_not_tell(mapped: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "MAPS", Path("/nowhere/maps"))
    assert let_go([mapped]) == 0
