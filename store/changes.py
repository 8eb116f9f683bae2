"""What a command changed in its mirror, and how it is put on top of what a store says by now."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from configs.errors import ArtifactError, BusyError
from store.artifact import MANIFEST
from store.head import Head, same
from store.mirror import CATALOGUE, LOOSE, Files, Mirror, about

Told = Mapping[str, dict[str, object] | None]


@dataclass(frozen=True)
class Changes:
    """What is different here from what the mirror began from."""

    files: Told
    """By path; None where it was removed here."""
    here: Files
    moved: bool = False
    """Whether another snapshot is served here than then."""

    @property
    def new(self) -> Files:
        """The files to send."""
        return {path: told for path, told in self.files.items() if told}


def changes_in(mirror: Mirror, base: Head, catalogue: Path | None, moved: bool, but: Collection[str]) -> Changes:
    """What differs from `base` in a mirror, `but` for some artifacts; `catalogue` is a copy of its catalogue.

    Raises ArtifactError where files of an artifact are missing, which nobody who removes one leaves.
    """
    notes, here = mirror.notes(), mirror.files(but=but)
    noted = {} if notes is None else notes.files
    gone = [path for path in noted if path in base.files and path not in here]
    for artifact in {"/".join(path.split("/")[:2]) for path in gone if path.split("/")[0] not in LOOSE}:
        manifest = f"{artifact}/{MANIFEST}"
        # an erasure rewrites an artifact with its manifest, and pruning removes all of it
        if (mirror.root / artifact).is_dir() and same(base.files.get(manifest), here.get(manifest)):
            raise ArtifactError(
                f"{mirror.root / artifact}: files are missing, such as {gone[0]}; delete that folder, and start the "
                "same command again"
            )
    files: dict[str, dict[str, object] | None] = dict.fromkeys(gone)
    files |= {path: told for path, told in here.items() if not same(base.files.get(path), told)}
    if catalogue is not None:
        told = about(catalogue, CATALOGUE)
        if notes is None or told["sha256"] != notes.copied:
            files[CATALOGUE] = told
    return Changes(files, here, moved)


def merged(url: str, base: Head, head: Head, changes: Changes) -> Files:
    """The files of `head` with the changes that were made on top of `base`.

    Services may have added and removed since. Raises BusyError where both changed the same, where another writer pushed
    in between, or where one of the two is an erasure.
    """
    names = {_saved(path) for path in base.files} - {None}
    # a saved audience that one of the two removed is gone with what the other one added to it
    gone_there = names - {_saved(path) for path in head.files}
    gone_here = names - {_saved(path) for path in base.files if changes.files.get(path, ...) is not None}
    mine = {path: told for path, told in changes.files.items() if _saved(path) not in gone_there}
    if head.tag != base.tag:
        theirs = [p for p in mine if not same(head.files.get(p), base.files.get(p))]
        both = [p for p in theirs if not same(head.files.get(p), mine[p])]
        # an erasure goes with nothing that it has not seen, and nothing with one that it has not seen
        erased = Head(files={**head.files, **changes.new}).erasures - base.erasures
        if both or erased or head.writer != base.writer:
            raise BusyError(f"{url}: another job has published since this one began; start the same again")
    files = {path: told for path, told in head.files.items() if _saved(path) not in gone_here}
    return {path: told for path, told in (files | mine).items() if told is not None}


def _saved(path: str) -> str | None:
    """The folder of the saved audience that a file is of."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "saved" else None
