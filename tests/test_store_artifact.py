"""Artifacts: any change of any byte of any file is refused, and the message names the file."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import ArtifactError, DataError, StorageError, storage_errors
from store.artifact import (
    Manifest,
    create,
    is_complete,
    key_of,
    read_manifest,
    seal,
    verify,
    write_atomic,
)
from store.workspace import Workspace


def write_example(folder: Path, key: str = "k1") -> None:
    """A small real artifact: an array, a nested file, JSON, an empty file, and a manifest with awkward values."""
    with create(folder, "example", 2, key) as artifact:
        np.save(artifact.path("vectors.npy"), np.arange(64, dtype=np.float32).reshape(8, 8))
        artifact.path("deep/er/bytes.bin").write_bytes(bytes(range(256)))
        artifact.write_json("facts.json", {"café": 1e-05, "b": [1, 2.5, None]})
        artifact.write_text("empty", "")
        artifact.parents.update({"model": "0123456789abcdef"})
        artifact.counts.update({"customers": 8, "events": 2**40})
        artifact.figures.update(
            {"recall": 0.991, "tiny": 1e-05, "big": 1e22, "words": "Größe", "nested": {"a": [1, 2]}}
        )


def publish_example(root: Path) -> Workspace:
    """A workspace with one published snapshot of two parts."""
    workspace = Workspace.create(root)
    for part in ("embeddings", "index"):
        write_example(workspace.staging / "k1" / part)
    workspace.publish("k1", {"model": "m"}, {"customers": 8}, {"recall": 0.99, "tiny": 1e-05})
    return workspace


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example artifact, never changed."""
    folder = tmp_path_factory.mktemp("artifact") / "example"
    write_example(folder)
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The example workspace; tests put back what they change."""
    return publish_example(tmp_path_factory.mktemp("workspace"))


def files_of(folder: Path) -> list[Path]:
    """Every file below, sorted."""
    return sorted(p for p in folder.rglob("*") if p.is_file())


class Changed:
    """Holds a file changed, and puts its bytes back on leaving."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content = path, content

    def __enter__(self) -> None:
        self.before = self.path.read_bytes()
        self.put(self.content)

    def __exit__(self, *_: object) -> None:
        self.put(self.before)

    def put(self, content: bytes) -> None:
        """Write in place: file systems flush a file that was emptied first, which is slow."""
        with self.path.open("r+b") as handle:
            handle.write(content)
            handle.truncate()


def flipped(content: bytes, bit: int) -> bytes:
    """`content` with one bit the other way."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


@settings(max_examples=300)
@given(data=st.data())
def test_a_flipped_bit_of_an_artifact_is_refused_by_name(artifact: Path, data: st.DataObject) -> None:
    """Every file of an artifact, its manifest too."""
    path = data.draw(st.sampled_from([p for p in files_of(artifact) if p.stat().st_size]))
    content = path.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    with Changed(path, flipped(content, bit)), pytest.raises(ArtifactError, match=path.name):
        verify(artifact, "example", 2)
    verify(artifact, "example", 2)


def test_every_bit_of_a_manifest_counts(artifact: Path) -> None:
    """All of them, not a sample: parsed values can be equal where bytes are not (1e-05 and 1E-05)."""
    path = artifact / "manifest.json"
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        with Changed(path, flipped(content, bit)), pytest.raises(ArtifactError, match=r"manifest\.json"):
            read_manifest(artifact)


@settings(max_examples=200)
@given(data=st.data())
def test_a_flipped_bit_of_a_published_snapshot_is_refused_by_name(workspace: Workspace, data: st.DataObject) -> None:
    """Every file of the snapshot, the manifests of its parts, its own, and the pointer."""
    path = data.draw(st.sampled_from([workspace.pointer, *files_of(workspace.snapshots)]))
    content = path.read_bytes()
    if not content:
        return
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    with Changed(path, flipped(content, bit)), pytest.raises(ArtifactError, match=path.name):
        workspace.verify_snapshot()
    workspace.verify_snapshot()


@settings(max_examples=60)
@given(data=st.data())
def test_truncated_and_longer_files_are_refused_by_name(workspace: Workspace, data: st.DataObject) -> None:
    """Shallow checks see lengths too, so that loading large files stays quick."""
    path = data.draw(st.sampled_from([p for p in files_of(workspace.snapshots) if p.stat().st_size]))
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content) - 1))
    for other in (content[:cut], content + b"\0"):
        with Changed(path, other), pytest.raises(ArtifactError, match=path.name):
            workspace.verify_snapshot(deep=False)


def test_missing_files_are_refused_by_name(artifact: Path, tmp_path: Path) -> None:
    """One after the other, the manifest too."""
    for path in files_of(artifact):
        copy = tmp_path / path.name
        shutil.copytree(artifact, copy)
        (copy / path.relative_to(artifact)).unlink()
        with pytest.raises(ArtifactError, match=f"{path.name}: missing"):
            verify(copy, "example", 2, deep=False)
        assert not is_complete(copy, "example", 2)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"s-k1", b"s-k1\n\n", b"s-k1\ns-k1\n", b"../../etc\n", b"\xff\xfe\n", b"s-\n"]
)
def test_garbage_in_the_pointer_is_refused_by_name(workspace: Workspace, content: bytes) -> None:
    """An emptied pointer is damage, and not a workspace before its first publication."""
    with Changed(workspace.pointer, content), pytest.raises(ArtifactError, match=r"current: damaged.*rollback.*s-k1"):
        workspace.snapshot_folder()


def test_a_pointer_to_nowhere_is_refused_by_name(workspace: Workspace) -> None:
    """The message lists what there is."""
    with (
        Changed(workspace.pointer, b"s-k2\n"),
        pytest.raises(ArtifactError, match=r"current: names snapshot 's-k2'.*s-k1"),
    ):
        workspace.verify_snapshot()


def test_newer_formats_and_other_kinds_are_refused(artifact: Path, tmp_path: Path) -> None:
    """A newer manifest may know more fields; what counts is its version."""
    with pytest.raises(ArtifactError, match="format 2 of example, this version of kinfolk reads up to 1; upgrade"):
        verify(artifact, "example", 1)
    with pytest.raises(ArtifactError, match="kind 'example', expected 'index'"):
        verify(artifact, "index", 2)
    assert verify(artifact, "example", 3).version == 2


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60)
@given(figures=st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_a_manifest_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, figures: dict[str, Any]) -> None:
    """Whatever JSON the figures are, and however their keys sort."""
    folder = tmp_path_factory.mktemp("manifest")
    sealed = seal(folder, Manifest("example", 1, "k", {"a": "b"}, {"n": 1}, figures))
    assert read_manifest(folder) == sealed


def test_keys_that_are_numbers_become_text(tmp_path: Path) -> None:
    """JSON has no other keys; 10 sorts after 9 as a number and before it as text."""
    seal(tmp_path, Manifest("example", 1, "k", figures={"recall": {9: 0.1, 10: 0.2}}))
    assert read_manifest(tmp_path).figures == {"recall": {"9": 0.1, "10": 0.2}}


def test_a_figure_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    """NaN is no JSON; better here than in whatever reads the manifest next."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        seal(tmp_path, Manifest("example", 1, "k", figures={"recall": float("nan")}))


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    """Also when the figures are given in another order."""
    for name, order in (("a", ("x", "y")), ("b", ("y", "x"))):
        with create(tmp_path / name, "example", 1, key_of("same")) as artifact:
            artifact.figures.update(dict.fromkeys(order, 1))
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})


def fail_halfway(folder: Path, error: Exception) -> None:
    """Start to write an artifact, and fail."""
    with create(folder, "example", 2, "k2") as artifact:
        artifact.write_text("half", "…")
        raise error


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    """Neither a half-written artifact nor a change to the one that stood."""
    write_example(tmp_path / "example")
    before = (tmp_path / "example" / "manifest.json").read_bytes()
    with pytest.raises(DataError, match="no customer"):
        fail_halfway(tmp_path / "example", DataError("no customer is left"))
    assert [p.name for p in tmp_path.iterdir()] == ["example"]
    assert (tmp_path / "example" / "manifest.json").read_bytes() == before


def test_another_key_or_version_replaces_what_stood(tmp_path: Path) -> None:
    """And a damaged one of the same key is replaced, too."""
    folder = tmp_path / "example"
    write_example(folder, "k1")
    write_example(folder, "k2")
    assert verify(folder, "example", 2).key == "k2"
    (folder / "facts.json").write_text("rot")
    write_example(folder, "k2")
    assert json.loads((folder / "facts.json").read_text(encoding="utf-8"))["b"] == [1, 2.5, None]
    verify(folder, "example", 2)


LIBRARY_WORDS = (
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EFBIG, "File too large"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    OSError("4096 requested and 512 written"),  # numpy.ndarray.tofile
    RuntimeError("Error in void faiss::FileIOWriter: write error in x: 0 != 1 (No space left on device)"),
    RuntimeError("No space left on device (os error 28)"),  # polars, safetensors
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),  # torch.save
)
"""How libraries say that a disk is full, the system's error number or not."""


@pytest.mark.parametrize("error", LIBRARY_WORDS, ids=str)
def test_a_full_disk_is_told_whoever_notices_it(tmp_path: Path, error: Exception) -> None:
    """One sentence, StorageError, and nothing half-written."""
    with pytest.raises(StorageError, match=r"(full|used up|size limit).*start the same command again"):
        fail_halfway(tmp_path / "index", error)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_pass_as_they_are() -> None:
    """A bug is not a disk."""
    with pytest.raises(ZeroDivisionError), storage_errors("here"):
        _ = 1 / 0
    with pytest.raises(FileNotFoundError), storage_errors("here"):
        Path("/nowhere/at/all").read_bytes()


def test_write_atomic_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file keeps its old content when the rename fails."""
    write_atomic(tmp_path / "current", "old\n")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StorageError, match="current: the disk is full"):
        write_atomic(tmp_path / "current", "new\n")
    assert [p.name for p in tmp_path.iterdir()] == ["current"]
    assert (tmp_path / "current").read_text() == "old\n"
