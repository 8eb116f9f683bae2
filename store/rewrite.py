"""Replacing many files and folders of a workspace as one: everything changes, or nothing does.

    workspace/
      .erasure/new/…     replacements, under the paths of what they replace
      .erasure/old/…     what was replaced, until it is deleted
      erasure.json       the journal: what is to be replaced and removed; there from the moment of decision to the end

Replacements are written and forced to disk first; then the journal appears by one rename, which is the decision. Killed
before it, nothing has happened, and the replacements are swept by whoever takes the lock next. Killed after it, whoever
takes the lock next goes on (`settle`): each step is one rename that is skipped where it was done already. The journal
stays, marked as swapped, until the catalogue has been brought along too (`store.erasures`).
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.errors import ArtifactError, storage_errors
from store.artifact import fsync, write_atomic

JOURNAL, ROOM = "erasure.json", ".erasure"


class Rewrite:
    """Collects replacements in a workspace whose lock is held."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.replaced: list[str] = []
        self.removed: list[str] = []
        shutil.rmtree(root / ROOM, ignore_errors=True)

    def room(self, place: Path) -> Path:
        """Where to write the replacement of the file or folder `place`; its parents are made."""
        inside = place.relative_to(self.root).as_posix()
        path = self.root / ROOM / "new" / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        self.replaced.append(inside)
        return path

    def staged(self, place: Path) -> Path:
        """The replacement of `place` where there is one, else `place` itself."""
        room = self.root / ROOM / "new" / place.relative_to(self.root)
        return room if room.exists() else place

    def remove(self, place: Path) -> None:
        """Have a file or folder removed."""
        self.removed.append(place.relative_to(self.root).as_posix())

    def drop(self) -> None:
        """Let go of everything that was collected."""
        shutil.rmtree(self.root / ROOM, ignore_errors=True)

    def commit(self, facts: Mapping[str, Any]) -> None:
        """Decide, and put everything in place; `facts` (JSON values, no customer's id) stay in the journal."""
        with storage_errors(self.root / ROOM):
            for path in sorted((self.root / ROOM).rglob("*")):
                fsync(path)
            body = {"replaced": sorted(self.replaced), "removed": sorted(self.removed), "swapped": False}
            _write(self.root, body | {"facts": dict(facts)})
        settle(self.root)


def read_journal(root: Path) -> dict[str, Any] | None:
    """What the journal holds; None where nothing is under way. Raises ArtifactError where it is damaged."""
    path = root / JOURNAL
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {name: body[name] for name in ("replaced", "removed", "swapped", "facts")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path}: the journal of an erasure is damaged ({error}); restore it from a backup, or delete it and "
            "the folder .erasure beside it, and ask for the erasure again"
        ) from None


def settle(root: Path) -> None:
    """Finish what a decided erasure has to do to files, or sweep what an undecided one left. For the lock's holder."""
    journal, room = read_journal(root), root / ROOM
    if journal is None:
        shutil.rmtree(room, ignore_errors=True)
        return
    if journal["swapped"]:
        shutil.rmtree(room, ignore_errors=True)
        return
    with storage_errors(room):
        for inside in journal["replaced"]:
            _swap(room / "new" / inside, root / inside, room / "old" / inside)
        for inside in journal["removed"]:
            _remove(root / inside)
        for parent in sorted({(root / inside).parent for inside in (*journal["replaced"], *journal["removed"])}):
            if parent.is_dir():
                fsync(parent)
        shutil.rmtree(room, ignore_errors=True)
        _write(root, {**journal, "swapped": True})


def finish(root: Path) -> None:
    """Take the journal away: files and catalogue are done."""
    (root / JOURNAL).unlink(missing_ok=True)
    fsync(root)


def _swap(new: Path, place: Path, old: Path) -> None:
    """Put `new` in the place of what stands there; again after a kill it goes on where it stopped."""
    if not new.exists():
        return  # done before
    place.parent.mkdir(parents=True, exist_ok=True)
    if new.is_dir() and place.exists():
        old.parent.mkdir(parents=True, exist_ok=True)
        os.replace(place, old)
    os.replace(new, place)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write(root: Path, body: Mapping[str, Any]) -> None:
    write_atomic(root / JOURNAL, json.dumps(body, sort_keys=True, indent=1, allow_nan=False) + "\n")
