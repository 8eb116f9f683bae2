"""What the object `current` of a remote workspace says: what is served, and every file with its checksum."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from configs.errors import ArtifactError
from store.mirror import Files
from store.objects import Objects
from store.workspace import SNAPSHOT_NAME

FORMAT = 1
CURRENT = "current"
RECEIPTS = "erasures/"
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Head:
    """What `current` says."""

    snapshot: str | None = None
    trail: tuple[str, ...] = ()
    files: Files = field(default_factory=dict)
    writer: str | None = None
    """What a writer's last push left, another one each time. A service adds files and leaves it as it is."""
    tag: str | None = None
    """Of the object that it was read from; None where there is none yet."""

    @property
    def objects(self) -> set[str]:
        """The checksums of all files."""
        return {told["sha256"] for told in self.files.values()}

    def below(self, folder: str) -> Files:
        """The files in a folder."""
        return {path: told for path, told in self.files.items() if path.startswith(f"{folder}/")}

    def artifacts(self, *tops: str) -> list[str]:
        """Every artifact in some folders, as `models/<key>`."""
        return sorted({"/".join(path.split("/")[:2]) for path in self.files if path.split("/")[0] in tops})

    @property
    def erasures(self) -> frozenset[str]:
        """The receipts of all erasures."""
        return frozenset(path for path in self.files if path.startswith(RECEIPTS))

    def tagged(self, tag: str) -> "Head":
        """The same, once it is written."""
        return replace(self, tag=tag)

    def to_json(self) -> bytes:
        """The text of `current`."""
        body = {"format": FORMAT, "snapshot": self.snapshot, "trail": self.trail, "files": self.files}
        return json.dumps({**body, "writer": self.writer}, sort_keys=True, indent=1).encode() + b"\n"


def read_head(objects: Objects) -> Head:
    """What is served now. Raises ArtifactError where `current` is damaged, StorageError."""
    stored = objects.read(CURRENT)
    if stored is None:
        return Head()
    try:
        body = json.loads(stored.body)
        if body["format"] > FORMAT:
            raise ArtifactError(f"{objects.url}: written by a newer version of kinfolk; upgrade kinfolk")
        _check_names(body)
        return Head(body["snapshot"], tuple(body["trail"]), body["files"], body.get("writer"), stored.tag)
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{objects.url}/{CURRENT}: damaged ({error}); restore its last version in the object store"
        ) from None


def _check_names(body: Mapping[str, Any]) -> None:
    """Raise ValueError where a name leads out of the folder here: to write in a bucket is not to write on a disk."""
    for path, told in body["files"].items():
        parts = path.split("/")
        if {"", ".", ".."} & set(parts) or "\\" in path or "\0" in path:
            raise ValueError(f"{path!r} is no path in a workspace")
        if not SHA256.fullmatch(told["sha256"]):
            raise ValueError(f"{path}: its checksum is no SHA-256")
    for name in (*body["trail"], *filter(None, [body["snapshot"]])):
        if not SNAPSHOT_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a snapshot")


def same(one: Mapping[str, object] | None, other: Mapping[str, object] | None) -> bool:
    """Whether two files are equal by their bytes; None is a file that is not there."""
    return (one and one["sha256"]) == (other and other["sha256"])


def way_back(before: Sequence[str], here: Sequence[str], kept: Collection[str]) -> tuple[str, ...]:
    """The trail after a command's work: `before` is what it was, `here` how the command left its own.

    Its own lacks what was not fetched, so it is not simply taken: what it goes on from is found in the one of before,
    and what it added comes after that. Of both, what is `kept`.
    """
    known, last = 0, -1
    while known < len(here) and here[known] in before[last + 1 :]:
        last = before.index(here[known], last + 1)
        known += 1
    added = here[known:]
    old = before[: last + 1] if known else before
    return tuple(name for name in (*(name for name in old if name not in added), *added) if name in kept)
