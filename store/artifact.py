"""Artifacts: immutable folders whose manifest holds every file's size and SHA-256.

An artifact appears by one rename of a finished folder, so that it is there whole or not at all. A manifest holds
nothing that differs between two equal runs (no clock, no host, no path), so that equal inputs give equal bytes.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from configs.errors import ArtifactError, storage_errors
from store.digests import remember, remembered, sha256

MANIFEST = "manifest.json"


def key_of(*parts: Any) -> str:
    """A 16-digit hex key of JSON-able parts: equal inputs, equal key. Names artifacts, so that a rerun finds them."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Manifest:
    """What an artifact says of itself."""

    kind: str
    """What it is: eventlog, model, embeddings, index, segments, snapshot."""
    version: int
    """Format version of this kind; a reader refuses a newer one than it knows."""
    key: str
    """Key of everything that it was made from; two artifacts with one key hold the same bytes."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """Role -> key of what it was made from."""
    counts: Mapping[str, int] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Quality figures and other facts, JSON values."""
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Relative path -> {"size": bytes, "sha256": hex}."""

    def to_json(self) -> str:
        """The manifest as it stands on disk: sorted keys, and last a SHA-256 over the text before it.

        The checksum is over bytes, not over parsed values, so that no flipped bit goes unseen (1e5 and 1E5 are equal).
        """
        body = {name: getattr(self, name) for name in FIELDS}
        text = json.dumps(body, sort_keys=True, indent=1, default=dict, allow_nan=False).removesuffix("\n}")
        return f'{text}{SEAL}{hashlib.sha256(text.encode()).hexdigest()}"\n}}\n'


FIELDS = ("kind", "version", "key", "parents", "counts", "figures", "files")
SEAL = ',\n "sha256": "'
"""Stands once at this depth, before the manifest's own checksum."""


NO_LINKS = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK)
"""What a disk answers that has no second names for a file, or not so many, or not for other users' files."""


class ArtifactWriter:
    """Collects an artifact's files in a hidden folder beside its final place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parents: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.figures: dict[str, Any] = {}

    def path(self, name: str) -> Path:
        """Where to write the file `name` (folders inside are made)."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_text(self, name: str, text: str) -> None:
        """Write a small text file."""
        self.path(name).write_text(text, encoding="utf-8")

    def link(self, name: str, source: Path, told: Mapping[str, Any]) -> None:
        """Give the file `name` the bytes of `source`, by a second name for them where the disk can, else by a copy.

        `told` is what the manifest beside `source` says of it. Sealing believes it, and does not read the file again:
        whoever serves what is made has to have `source` checked by then.
        """
        path = self.path(name)
        try:
            os.link(source, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            shutil.copyfile(source, path)
            return
        stat = path.stat()
        if stat.st_size == told["size"]:
            remember(stat, stat, told["sha256"])

    def write_json(self, name: str, value: Any) -> None:
        """Write a small JSON file with sorted keys."""
        self.write_text(name, json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def create(folder: Path, kind: str, version: int, key: str) -> Iterator[ArtifactWriter]:
    """Write an artifact: files first, manifest last, everything fsynced, then one rename to `folder`.

    A leftover of a killed run is swept away. Where the same artifact (kind, version, key) stands already and passes a
    full check it is kept, since its bytes are the same; anything else there is replaced once the new one is complete.
    Raises StorageError on a full or read-only disk; nothing half-written stays.
    """
    hidden, aside = folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")
    with storage_errors(folder):
        if aside.exists() and not folder.exists():
            os.replace(aside, folder)  # killed between the two renames of `put`: the old one stands again
        for leftover in (hidden, aside):
            shutil.rmtree(leftover, ignore_errors=True)
        hidden.mkdir(parents=True)
        writer = ArtifactWriter(hidden)
        try:
            yield writer
            seal(hidden, Manifest(kind, version, key, writer.parents, writer.counts, writer.figures))
            if not stands(folder, kind, version, key):
                put(hidden, folder)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def stands(folder: Path, kind: str, version: int, key: str) -> bool:
    """Whether the finished artifact of this kind, format version and key stands at `folder` and passes a full check."""
    try:
        manifest = verify(folder, kind, version)
    except ArtifactError:
        return False
    return (manifest.version, manifest.key) == (version, key)


def put(new: Path, folder: Path) -> None:
    """Rename the finished folder `new` to `folder`; what stands there moves aside first and is deleted last.

    Killed at any point, `folder` is the old one, the new one or absent, and never a mixture.
    """
    aside = folder.with_name(f".{folder.name}.old")
    if aside.exists():
        shutil.rmtree(aside)
    if folder.exists():
        os.replace(folder, aside)
    os.replace(new, folder)
    fsync(folder.parent)
    if new.parent != folder.parent:
        fsync(new.parent)
    shutil.rmtree(aside, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed runs left anywhere in `folder`: hidden `.*.part` and `.*.old` files and folders."""
    leftovers = [path for path in folder.rglob(".*") if path.suffix in (".part", ".old")]
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """Fsync every file of `folder`, write the manifest over them, and return it with its files filled in.

    Parts of `folder` that are artifacts themselves must still hold the bytes that their own manifests name: raises
    ArtifactError otherwise, so that damage done since is never sealed in.
    """
    sweep(folder)
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST):
        fsync(path)
        files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": remembered(path)}
    for part in sorted(p.parent for p in folder.glob(f"*/{MANIFEST}")):
        _check_part(part, files)
    for inner in sorted({p for p in folder.rglob("*") if p.is_dir()}):
        fsync(inner)
    sealed = replace(manifest, files=files)
    write_atomic(folder / MANIFEST, sealed.to_json())
    return sealed


def _check_part(part: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    for name, expected in read_manifest(part).files.items():
        found = files.get(f"{part.name}/{name}")
        if found is None:
            raise ArtifactError(f"{part / name}: missing; {REBUILD}")
        if found != expected:
            raise ArtifactError(f"{part / name}: its SHA-256 differs from its manifest's, so it is corrupt; {REBUILD}")


def fsync(path: Path) -> None:
    """Force a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, text: str) -> None:
    """Replace a small text file in one step: written beside, fsynced, renamed, the folder fsynced."""
    beside = path.with_name(f".{path.name}.part")
    with storage_errors(path):
        try:
            beside.write_text(text, encoding="utf-8")
            fsync(beside)
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        fsync(path.parent)


REBUILD = "restore it from a backup, or delete the folder and run the same command again"


def read_manifest(folder: Path) -> Manifest:
    """Read a manifest and check its own checksum. Raises ArtifactError naming the file."""
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
        text, _, rest = raw.rpartition(SEAL.encode())
        if rest != f'{hashlib.sha256(text).hexdigest()}"\n}}\n'.encode():
            raise ValueError("its checksum does not fit its content")
        body = json.loads(raw)
        # a newer version may know more fields; `verify` tells by the format version whether that matters
        return Manifest(**{name: body[name] for name in FIELDS})
    except FileNotFoundError:
        raise ArtifactError(
            f"{path}: missing, so {folder.name} is not a finished artifact; run the command that made it again"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: damaged manifest ({error}); {REBUILD}") from None


def verify(folder: Path, kind: str, version: int, *, deep: bool = True, share: float = 1.0) -> Manifest:
    """Check an artifact against its manifest: kind, format version, sizes and, where `deep`, SHA-256 of every file.

    A `share` below 1 is how much of one processor's time reading may take, see `store.digests.sha256`.
    Raises ArtifactError naming the first file that is missing, truncated, changed or newer than `version`, and
    StorageError where the disk refuses to be read.
    """
    manifest = read_manifest(folder)
    if manifest.kind != kind:
        raise ArtifactError(f"{folder}: is an artifact of kind {manifest.kind!r}, expected {kind!r}")
    if manifest.version > version:
        raise ArtifactError(
            f"{folder}: written in format {manifest.version} of {kind}, this version of kinfolk reads up to {version}; "
            "upgrade kinfolk"
        )
    if deep:
        check_bytes(folder, manifest, manifest.files, threads=2 if share == 1 else 1, share=share)
    with storage_errors(folder):
        for name, expected in manifest.files.items() if not deep else ():
            _check_file(folder / name, expected, deep)
    return manifest


def check_bytes(folder: Path, manifest: Manifest, names: Iterable[str], threads: int = 1, share: float = 1.0) -> None:
    """Check the SHA-256 of some of an artifact's files, several at a time. Raises as `verify` does."""
    with storage_errors(folder), ThreadPoolExecutor(threads, "verify") as pool:
        checks = [pool.submit(_check_file, folder / name, manifest.files[name], True, share) for name in names]
        try:
            for check in checks:
                check.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _check_file(path: Path, expected: Mapping[str, Any], deep: bool, share: float = 1.0) -> None:
    if not path.is_file():
        raise ArtifactError(f"{path}: missing; {REBUILD}")
    size = path.stat().st_size
    if size != expected["size"]:
        raise ArtifactError(
            f"{path}: {size} bytes long, its manifest says {expected['size']}, so it is truncated or was "
            f"changed; {REBUILD}"
        )
    if deep and sha256(path, share) != expected["sha256"]:
        raise ArtifactError(
            f"{path}: its SHA-256 differs from the manifest's, so it is corrupt or was changed; {REBUILD}"
        )


def is_complete(folder: Path, kind: str, version: int) -> bool:
    """Whether a finished artifact that passes a full check stands at `folder`."""
    try:
        verify(folder, kind, version)
    except ArtifactError:
        return False
    return True
