"""Digests of files: the right ones, read again whenever a file changed, and only then where they are remembered."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from configs.errors import ArtifactError
from store import digests
from store.artifact import create
from store.digests import filled, remembered, sha256
from store.workspace import Workspace

LARGE = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a test are small, and remembered all the same."""
    monkeypatch.setattr(digests, "REMEMBERED_FROM", len(LARGE))
    monkeypatch.setattr(digests, "_known", {})


def reads(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often `remembered` reads the file."""
    seen = []

    def counted(path: Path) -> str:
        seen.append(path)
        return sha256(path)

    with monkeypatch.context() as watched:
        watched.setattr(digests, "sha256", counted)
        assert remembered(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    return len(seen)


def test_a_file_is_read_again_only_where_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "matrix"
    path.write_bytes(LARGE)
    assert reads(path, monkeypatch) == 1
    assert reads(path, monkeypatch) == 0
    moved = path.rename(tmp_path / "other")
    os.utime(moved, ns=(0, 0))
    assert reads(moved, monkeypatch) == 1
    moved.write_bytes(LARGE[::-1])
    assert reads(moved, monkeypatch) == 1
    moved.write_bytes(LARGE + b".")
    assert reads(moved, monkeypatch) == 1
    path.write_bytes(LARGE[:-1])
    assert [reads(path, monkeypatch) for _ in range(2)] == [1, 1]  # too small to be remembered


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "matrix"
    path.write_bytes(LARGE)
    then = path.stat().st_mtime_ns
    assert reads(path, monkeypatch) == 1
    while path.stat().st_ctime_ns == then:  # wait for the file system's clock to tick
        path.write_bytes(LARGE[::-1])
    os.utime(path, ns=(then, then))
    assert reads(path, monkeypatch) == 1


@pytest.mark.parametrize("begin", [0, 1, 2500, len(LARGE)])
def test_a_file_that_is_filled_in_is_hashed_with_what_stands_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: int
) -> None:
    monkeypatch.setattr(digests, "CHUNK", 1000)
    path = tmp_path / "matrix"
    path.write_bytes(LARGE)
    pieces = [[b"some" * 700, b"", b"then"], [], [b"more" * 300]][: 0 if begin == len(LARGE) else 3]
    with filled(path, begin) as write:
        for piece in pieces:
            write([memoryview(part) for part in piece])
    inside = b"".join(part for piece in pieces for part in piece)
    assert path.read_bytes() == LARGE[:begin] + inside + LARGE[begin + len(inside) :]
    assert reads(path, monkeypatch) == 0


def test_a_small_file_that_is_filled_in_is_read_to_be_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "matrix"
    path.write_bytes(LARGE[:-1])
    with filled(path, 10) as write:
        write([memoryview(b"so"), memoryview(b"me")])
    assert path.read_bytes() == LARGE[:10] + b"some" + LARGE[14:-1]
    assert reads(path, monkeypatch) == 1


def test_a_write_that_is_cut_short_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "matrix"
    path.write_bytes(bytes(len(LARGE)))
    monkeypatch.setattr(os, "writev", lambda file, parts: os.write(file, b"".join(parts)[:7]))
    with filled(path, 0) as write:
        write([memoryview(LARGE[:5000]), memoryview(LARGE[5000:])])
    assert path.read_bytes() == LARGE
    assert reads(path, monkeypatch) == 0


def test_a_check_reads_every_byte_whatever_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "matrix"
    path.write_bytes(LARGE)
    right = remembered(path)
    digests._known[path.stat().st_dev, path.stat().st_ino] = digests._stamp(path.stat()), "wrong"
    assert sha256(path) == right
    assert remembered(path) == right


def test_damage_to_a_large_part_is_not_sealed_in(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    with create(workspace.staging / "k" / "embeddings", "embeddings", 1, "k") as part:
        part.path("vectors").write_bytes(LARGE)
    path = workspace.staging / "k" / "embeddings" / "vectors"
    while path.read_bytes() == LARGE or path.stat().st_mtime_ns == path.stat().st_ctime_ns:
        path.write_bytes(LARGE[:-1] + b".")
        os.utime(path, ns=(1, 1))
    with pytest.raises(ArtifactError, match=r"embeddings/vectors: its SHA-256 differs"):
        workspace.publish("k", {}, {}, {})
    assert workspace.published() == []


def test_a_share_of_the_time_is_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    (tmp_path / "file").write_bytes(b"x" * (8 * digests.CHUNK))
    monkeypatch.setattr(digests.time, "sleep", waited.append)
    taken = time.thread_time()
    assert sha256(tmp_path / "file", 0.25) == sha256(tmp_path / "file")
    taken = time.thread_time() - taken
    assert len(waited) == 8
    assert 0 < sum(waited) <= 3 * taken
