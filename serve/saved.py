"""Saved audiences: a definition that is kept, and an edition of it for every snapshot that it was refreshed with.

    workspace/saved/<name>/
      definitions/<number>/   request.json, attributes.parquet, make_up.parquet, manifest.json
      editions/<number>/      edition.json, changes.parquet, manifest.json

The members of an edition are an audience as any other (`serve.audiences`); `changes.parquet` tells who entered and who
left since the edition before, and why. Numbers go up from 1; nothing is ever overwritten.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from configs.errors import ArtifactError, InputError, NotFoundError, storage_errors
from index.request import AudienceRequest
from serve.audiences import Asked, options_of, writing
from store.artifact import create, key_of, read_manifest, verify
from store.catalogue import Catalogue
from store.erasures import Erasures
from store.workspace import Workspace

DEFINITION, EDITION, VERSION = "audience-definition", "audience-edition", 1
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
TABLES = ("attributes", "make_up")


@dataclass(frozen=True, eq=False)
class Edition:
    """One refresh of a saved audience."""

    number: int
    audience: str
    """Id of the audience that holds its members."""
    snapshot: str
    definition: int
    objections: int
    """Version of the register of objections that it was made by."""
    size: int
    entered: Mapping[str, int]
    """Why members entered since the edition before -> how many; empty for the first one."""
    left: Mapping[str, int]
    folder: Path

    @property
    def erased(self) -> int:
        """Customers erased from its changes so far."""
        return int(read_manifest(self.folder).figures.get("erased", 0))

    def changes(self) -> pl.DataFrame:
        """customer_id, change (entered, left), why; see `index.changes`."""
        return pl.read_parquet(self.folder / "changes.parquet")


@dataclass(frozen=True, eq=False)
class Saved:
    """A saved audience."""

    name: str
    asked: Asked
    definition: int
    editions: tuple[Edition, ...]
    """Oldest first."""

    def options(self) -> dict[str, Any]:
        """The options of the request without any customer id."""
        return options_of(self.asked.request)


def define(name: str, asked: Asked, workspace: Workspace, catalogue: Catalogue, actor: str) -> Saved:
    """Save a definition, or a new one of a saved audience; the same one again changes nothing. Audited.

    Raises InputError for a name that cannot be one, StorageError on a full disk.
    """
    folder = folder_of(workspace, name)
    with writing(workspace):
        # somebody may have been erased while this waited
        asked = asked.allowed(Erasures(catalogue)).normal()
        number = last_number(folder / "definitions")
        if is_defined(Saved(name, asked, number, ()), workspace):
            return load_saved(workspace, name)
        with storage_errors(folder):
            (folder / "definitions").mkdir(parents=True, exist_ok=True)
        place = folder / "definitions" / f"{number + 1:04d}"
        with create(place, DEFINITION, VERSION, key_of(DEFINITION, name, number + 1)) as writer:
            writer.write_json("request.json", asked.request.model_dump(mode="json", exclude_defaults=True))
            for table in TABLES:
                if (given := getattr(asked, table)) is not None:
                    given.write_parquet(writer.path(f"{table}.parquet"))
    catalogue.audit(actor, "saved.define", name, {"definition": number + 1, "seed_count": len(asked.request.seeds)})
    return load_saved(workspace, name)


def load_saved(workspace: Workspace, name: str) -> Saved:
    """The saved audience `name`. Raises NotFoundError, ArtifactError where it is damaged."""
    folder = folder_of(workspace, name)
    number = last_number(folder / "definitions")
    if not number:
        raise NotFoundError(f"no saved audience {name!r}; `kinfolk saved list` shows them")
    editions = tuple(
        edition_at(folder / "editions" / f"{n:04d}") for n in range(1, last_number(folder / "editions") + 1)
    )
    return Saved(name, definition_of(folder, number), number, editions)


def saved_as(name: str, workspace: Workspace, asked: Asked) -> Saved:
    """What `load_saved` would give once `asked` is the definition. Raises InputError for what cannot be a name."""
    number = last_number(folder_of(workspace, name) / "definitions")
    before = load_saved(workspace, name) if number else Saved(name, asked, 0, ())
    return replace(before, asked=asked.normal())


def edition_of(saved: Saved, number: int | None) -> Edition:
    """An edition by its number, the last one if None. Raises NotFoundError."""
    wanted = number or len(saved.editions)
    if not 1 <= wanted <= len(saved.editions):
        there = f"there are 1 to {len(saved.editions)}" if saved.editions else "there is none yet"
        raise NotFoundError(f"saved audience {saved.name!r} has no edition {wanted}; {there}")
    return saved.editions[wanted - 1]


def saved_names(workspace: Workspace) -> list[str]:
    """Names of the saved audiences, in order."""
    if not workspace.saved.is_dir():
        return []
    return sorted(path.name for path in workspace.saved.iterdir() if NAME.fullmatch(path.name))


def remove(name: str, workspace: Workspace, catalogue: Catalogue, actor: str) -> None:
    """Forget a saved audience: its definitions and changes; audiences that were made of it stay. Audited.

    Raises NotFoundError.
    """
    load_saved(workspace, name)
    with writing(workspace), storage_errors(workspace.saved):
        shutil.rmtree(folder_of(workspace, name))
    catalogue.audit(actor, "saved.remove", name)


def edition_at(folder: Path) -> Edition:
    """The edition in `folder`. Raises ArtifactError."""
    verify(folder, EDITION, VERSION)
    return Edition(number=int(folder.name), folder=folder, **_json(folder / "edition.json"))


def definition_of(folder: Path, number: int) -> Asked:
    """Definition `number` of the saved audience in `folder`. Raises ArtifactError."""
    place = folder / "definitions" / f"{number:04d}"
    verify(place, DEFINITION, VERSION)
    tables = {name: pl.read_parquet(path) for name in TABLES if (path := place / f"{name}.parquet").exists()}
    return Asked(AudienceRequest.model_validate(_json(place / "request.json")), **tables)


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable ({error}); restore it from a backup") from None
    return found


def is_defined(saved: Saved, workspace: Workspace) -> bool:
    """Whether what it asks for is the definition on disk already."""
    if not saved.definition:
        return False
    there = definition_of(folder_of(workspace, saved.name), saved.definition)
    return there.request == saved.asked.request and there.hashes() == saved.asked.hashes()


def last_number(folder: Path) -> int:
    """The highest number of the folders in `folder`; 0 where there is none."""
    if not folder.is_dir():
        return 0
    return max((int(path.name) for path in folder.iterdir() if path.name.isdecimal()), default=0)


def folder_of(workspace: Workspace, name: str) -> Path:
    """Where the saved audience `name` is or would be. Raises InputError for what cannot be a name."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!r} cannot name a saved audience: accepted are small letters, digits and hyphens, 64 at "
            "most, a letter or digit first"
        )
    return workspace.saved / name
