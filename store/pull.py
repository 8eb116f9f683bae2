"""One pull of a remote workspace: what is to be here, and how it gets here."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from configs.errors import ArtifactError, NotFoundError, storage_errors
from configs.progress import SILENT, Advance, Progress
from store.artifact import MANIFEST, put, read_manifest, write_atomic
from store.digests import sha256
from store.head import RECEIPTS, Head, same
from store.mirror import CATALOGUE, FOLDERS, LOOSE, Files, Mirror, looks
from store.objects import Objects

BLOBS, LAYERS = "objects", "layers.json"

Need = Literal["notes", "served", "line", "kept", "everything"]
"""What is to be here, beside catalogue, audiences and reports: nothing; the served snapshot; its log and model too;
every kept snapshot; all there is."""


class Pull:
    """Brings a mirror to a head. The mirror is held."""

    def __init__(
        self,
        objects: Objects,
        mirror: Mirror,
        head: Head,
        need: Need = "line",
        names: Iterable[str] = (),
        progress: Progress = SILENT,
        writer: bool = False,
    ) -> None:
        self.objects, self.mirror, self.head, self.need, self.writer = objects, mirror, head, need, writer
        self.root, self.progress = mirror.root, progress
        self.names = [f"snapshots/{name}" for name in names]
        noted = mirror.notes()
        self.noted: Files = {} if noted is None else noted.files
        self.sums = (None, None) if noted is None else (noted.catalogue, noted.copied)
        self.by_content = {known["sha256"]: self.root / path for path, known in self.noted.items()}

    def run(self) -> None:
        """Fetch what is needed and not here, and remove what the store has no more."""
        with storage_errors(self.root):
            self.mirror.sweep()
            self.mirror.drop_journal()
            if self.head.erasures - self.noted.keys():
                self.mirror.drop_own(self.head.files)
            # neither served nor in the catalogue: what was not pushed has not happened
            self.mirror.drop_unpushed(self.head.files, self.writer)
            self._fetch_artifacts()
            self._fetch_loose()
            catalogue = self._fetch_catalogue()
            served = self.head.snapshot
            if served is not None and self._stands(f"snapshots/{served}"):  # last, so that what it names stands
                write_atomic(self.mirror.workspace.trail_file, "".join(f"{name}\n" for name in self.head.trail))
                write_atomic(self.mirror.workspace.pointer, f"{served}\n")
            elif served is None:  # left by a push that failed: what only this folder serves is not served
                for path in (self.mirror.workspace.pointer, self.mirror.workspace.trail_file):
                    path.unlink(missing_ok=True)
            self._clear()
            here = {path: told for path, told in self.head.files.items() if (self.root / path).is_file()}
            self.mirror.note(here, catalogue)

    def _fetch_artifacts(self) -> None:
        wanted = list(self.names)
        for name in wanted:
            if not self.head.below(name):
                there = ", ".join(one.partition("/")[2] for one in self.head.artifacts("snapshots")) or "none"
                raise NotFoundError(f"{self.objects.url}: no snapshot {name.partition('/')[2]!r}; there are: {there}")
        if self.need == "everything":
            wanted += self.head.artifacts(*FOLDERS)
        elif self.need == "kept":
            wanted += self.head.artifacts("snapshots")
        if self.head.snapshot is not None and self.need != "notes":
            wanted.append(f"snapshots/{self.head.snapshot}")
        self._fetch(wanted)
        if self.need == "line":
            named = [*self.names, *([f"snapshots/{self.head.snapshot}"] if self.head.snapshot else [])]
            parents = [read_manifest(self.root / name).parents for name in named]
            logs = [f"eventlog/{one['eventlog']}" for one in parents if "eventlog" in one]
            self._fetch([*logs, *(f"models/{one['model']}" for one in parents if "model" in one)])
            self._fetch([f"eventlog/{key}" for log in logs for key in self._layers(log)])

    def _layers(self, log: str) -> list[str]:
        path = self.root / log / LAYERS
        return list(json.loads(path.read_text(encoding="utf-8"))["layers"]) if path.is_file() else []

    def _fetch(self, folders: Iterable[str]) -> None:
        """Artifacts, each whole or not at all."""
        missing = [name for name in dict.fromkeys(folders) if self.head.below(name) and not self._stands(name)]
        size = sum(int(told["size"]) for name in missing for told in self.head.below(name).values())
        self.mirror.check_room(size)
        with self.progress.task(f"Fetching from {self.objects.url}", float(size)) as advance:
            for name in missing:
                self._fetch_folder(name, advance)

    def _stands(self, folder: str) -> bool:
        """Whether an artifact is here as it is there: its manifest is, and its files have their sizes."""
        for path, told in self.head.below(folder).items():
            here = self.root / path
            if not here.is_file() or here.stat().st_size != told["size"]:
                return False
        manifest = f"{folder}/{MANIFEST}"
        return manifest not in self.head.files or sha256(self.root / manifest) == self.head.files[manifest]["sha256"]

    def _fetch_folder(self, folder: str, advance: Advance) -> None:
        target = self.root / folder
        beside = self.mirror.room() / folder
        try:
            for path, told in self.head.below(folder).items():
                self._fetch_file(told, beside / Path(path).relative_to(folder), path)
                advance(float(told["size"]))
            put(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _fetch_loose(self) -> None:
        """Audiences, reports and receipts: those that differ are replaced, those that are gone removed."""
        wanted = {path: told for top in LOOSE for path, told in self.head.below(top).items()}
        new = [path for path, told in wanted.items() if not self._same_file(path, told)]
        self.mirror.check_room(sum(int(wanted[path]["size"]) for path in new))
        beside = {path: self.mirror.room() / path for path in new}
        for path, place in beside.items():
            self._fetch_file(wanted[path], place, path)
        for path, place in beside.items():  # all at once, so that nobody sees half of an audience for long
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            os.replace(place, self.root / path)
        gone = [path for path in self.noted if path.split("/")[0] in LOOSE and path not in wanted]
        # an erasure that was not pushed has not happened, whatever its receipt says
        receipts = [f"{RECEIPTS}{path.name}" for path in (self.root / RECEIPTS).glob("*.json")]
        self.mirror.remove_files([*gone, *(path for path in receipts if path not in wanted)])

    def _same_file(self, path: str, told: Mapping[str, Any]) -> bool:
        here, known = self.root / path, self.noted.get(path)
        if not here.is_file():
            return False
        if known is not None and known["at"] == looks(here):
            return same(known, told)
        return same({"sha256": sha256(here)}, told)

    def _fetch_catalogue(self) -> tuple[str | None, str | None]:
        """The catalogue as it is there; what was noted here and never pushed is gone with it."""
        told = self.head.files.get(CATALOGUE)
        if told is None:
            if self.sums[0] is not None:
                self.mirror.remove_catalogue()
            return None, None
        if self.sums[0] == told["sha256"] and self.sums[1] == self.mirror.catalogue_sum():
            return self.sums
        copy = self.mirror.room() / "catalogue.fetched"
        try:
            self._fetch_file(told, copy, CATALOGUE)
            self.mirror.restore_catalogue(copy)
        finally:
            copy.unlink(missing_ok=True)
        return told["sha256"], self.mirror.catalogue_sum()

    def _fetch_file(self, told: Mapping[str, Any], target: Path, path: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not self._copied(told, target):
            self._download(told, target, path)
        if "modified" in told:
            os.utime(target, ns=(told["modified"], told["modified"]))

    def _copied(self, told: Mapping[str, Any], target: Path) -> bool:
        """Whether the bytes are here already, under another path or in a folder that is to be replaced."""
        source = self.by_content.get(told["sha256"])
        if source is None or not source.is_file():
            return False
        shutil.copyfile(source, target)
        return same({"sha256": sha256(target)}, told)

    def _download(self, told: Mapping[str, Any], target: Path, path: str) -> None:
        name = f"{BLOBS}/{told['sha256']}"
        if not self.objects.download(name, target):
            raise ArtifactError(f"{self.objects.url}/{name}: missing, it holds {path}; restore it from a backup")
        if sha256(target) != told["sha256"]:
            target.unlink()
            raise ArtifactError(
                f"{self.objects.url}/{name}: its SHA-256 differs from its name, so it is corrupt; it holds {path}, "
                "restore it from a backup"
            )

    def _clear(self) -> None:
        """Remove artifacts that were pruned or rewritten there since. What was finished here and never pushed stays."""
        for name in self.mirror.artifacts():
            there = self.head.below(name)
            known = any(path.startswith(f"{name}/") for path in self.noted)
            if (there and not self._stands(name)) or (not there and known):
                self.mirror.remove(name)
