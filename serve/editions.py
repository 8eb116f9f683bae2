"""Refreshing saved audiences: a new edition for a new snapshot, with who entered, who left, and why."""

import numpy as np
import polars as pl

from configs.errors import ConflictError, InputError, NotFoundError, storage_errors
from index.audience import Audience
from index.changes import Before, Now, changes
from index.request import Rows
from serve.audiences import (
    Asked,
    StoredAudience,
    build,
    config_of,
    id_of,
    load_audience,
    store_audience,
    without,
    writing,
)
from serve.objections import Mask, objected_in
from serve.saved import (
    EDITION,
    VERSION,
    Edition,
    Saved,
    define,
    definition_of,
    edition_at,
    folder_of,
    is_defined,
    last_number,
    load_saved,
    saved_as,
)
from serve.snapshot import Snapshot
from store.artifact import create, key_of
from store.catalogue import Catalogue
from store.erasures import Erasures
from store.objections import Objections
from store.workspace import Workspace


def refresh(
    name: str,
    snapshot: Snapshot,
    workspace: Workspace,
    catalogue: Catalogue,
    actor: str,
    made: tuple[Audience, str] | None = None,
) -> tuple[Edition, bool]:
    """The edition of a saved audience over a snapshot; True where it was made now. Audited.

    `made` is what `edition_audience` gave, where that is at hand already. Where snapshot, definition and objections are
    those of the last edition, that one is the answer. Raises NotFoundError, InputError where the definition cannot be
    met over this snapshot, StorageError.
    """
    saved, objections = load_saved(workspace, name), Objections(catalogue)
    last = saved.editions[-1] if saved.editions else None
    version, objected = objections.version(), objected_in(snapshot, objections)
    same = last is not None and (last.snapshot, last.definition) == (snapshot.name, saved.definition)
    if last and same and (last.objections == version or _same_objections(last, snapshot, objections)):
        return last, False
    held = held_by(saved, workspace)
    audience, id = made or edition_audience(saved, snapshot, objected, held)
    stored = store_audience(audience, id, saved.asked, snapshot, workspace, catalogue, actor)
    table = None
    if last and held:
        before = Before(
            pl.concat([held.members()["customer_id"], held.held_out()]),
            None if (old := _kept(workspace, last.snapshot)) is None else old.embeddings,
            [objection.customer for objection in objections.standing(last.objections)],
        )
        was = None
        if last.definition != saved.definition:
            asked = definition_of(folder_of(workspace, name), last.definition)
            was = _by(asked, snapshot, objected, held)
        members = snapshot.embeddings.customers.gather(audience.members)
        standing = [objection.customer for objection in objections.standing()]
        table = changes(before, Now(members, snapshot.embeddings, standing, was))
    edition = _write(saved, last, stored, snapshot, version, table, workspace, catalogue)
    told = {"edition": edition.number, "size": edition.size, **_counted(edition)}
    catalogue.audit(actor, "saved.refresh", name, told)
    return edition, True


def save(
    name: str, asked: Asked, snapshot: Snapshot, workspace: Workspace, catalogue: Catalogue, actor: str
) -> tuple[Saved, bool]:
    """Save an audience under a name and make its edition over a snapshot; True where one was made now. Audited.

    Raises what `define` and `refresh` raise; what cannot be met is not saved.
    """
    asked = asked.allowed(Erasures(catalogue))
    before, made = saved_as(name, workspace, asked), None
    if not is_defined(before, workspace):
        objected = objected_in(snapshot, Objections(catalogue))
        made = edition_audience(before, snapshot, objected, held_by(before, workspace))
    define(name, asked, workspace, catalogue, actor)
    _, new = refresh(name, snapshot, workspace, catalogue, actor, made)
    return load_saved(workspace, name), new


def edition_audience(
    saved: Saved, snapshot: Snapshot, objected: Mask | None, held: StoredAudience | None
) -> tuple[Audience, str]:
    """The audience of a new edition, and its id; `held` is that of the edition before."""
    audience = build(saved.asked, snapshot, objected, *(() if held is None else _rows(held, snapshot)))
    id = id_of(saved.asked, snapshot, config_of(snapshot), objected)
    # it depends on the edition before, where there is one
    return audience, id if held is None else "a-" + key_of(id, held.id)


def held_by(saved: Saved, workspace: Workspace) -> StoredAudience | None:
    """The audience of the last edition; None where there is none yet."""
    return load_audience(workspace, saved.editions[-1].audience) if saved.editions else None


def _by(asked: Asked, snapshot: Snapshot, objected: Mask | None, held: StoredAudience) -> pl.Series:
    """Ids of who would be members by another definition; nobody where it cannot be met over this snapshot."""
    try:
        rows = build(asked, snapshot, objected, *_rows(held, snapshot)).members
    except InputError:
        rows = np.zeros(0, np.int64)
    return snapshot.embeddings.customers.gather(rows)


def _rows(held: StoredAudience, snapshot: Snapshot) -> tuple[Rows, Rows]:
    """Rows of all members of an audience, and of those held out, who still are customers."""
    listed, out = (snapshot.embeddings.rows_of(ids) for ids in (held.members()["customer_id"], held.held_out()))
    both = [*listed[listed >= 0].tolist(), *out[out >= 0].tolist()]
    return pl.Series(both, dtype=pl.Int64).to_numpy(), out[out >= 0]


def _same_objections(last: Edition, snapshot: Snapshot, objections: Objections) -> bool:
    """Whether nobody of the snapshot objected or withdrew since: most changes of the register are about others."""
    then = {objection.customer for objection in objections.standing(last.objections)}
    now = {objection.customer for objection in objections.standing()}
    changed = pl.Series(sorted(then ^ now), dtype=pl.String)
    return bool((snapshot.embeddings.rows_of(changed) < 0).all())


def _write(
    saved: Saved,
    last: Edition | None,
    stored: StoredAudience,
    snapshot: Snapshot,
    objections: int,
    table: pl.DataFrame | None,
    workspace: Workspace,
    catalogue: Catalogue,
) -> Edition:
    folder = folder_of(workspace, saved.name) / "editions"
    if table is None:
        ids = snapshot.embeddings.customers.dtype
        table = pl.DataFrame(schema={"customer_id": ids, "change": pl.String, "why": pl.String})
    number = 1 if last is None else last.number + 1
    with writing(workspace):
        # somebody may have been erased since the audience was kept
        table = without(table, Erasures(catalogue))
        facts = {
            "audience": stored.id,
            "snapshot": snapshot.name,
            "definition": saved.definition,
            "objections": objections,
            "size": load_audience(workspace, stored.id).report["size"],
            **_changed(table),
        }
        if last_number(folder) != number - 1:
            raise ConflictError(f"saved audience {saved.name!r} was refreshed by another process meanwhile; ask again")
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        place = folder / f"{number:04d}"
        with create(place, EDITION, VERSION, key_of(EDITION, saved.name, number, facts)) as writer:
            writer.write_json("edition.json", facts)
            table.write_parquet(writer.path("changes.parquet"))
            writer.parents.update(audience=stored.id, snapshot=snapshot.manifest.key)
    return edition_at(place)


def _changed(table: pl.DataFrame) -> dict[str, dict[str, int]]:
    """How many entered and left, by why."""
    return {
        change: dict(sorted(table.filter(change=change)["why"].value_counts().iter_rows()))
        for change in ("entered", "left")
    }


def _kept(workspace: Workspace, snapshot: str) -> Snapshot | None:
    """A snapshot that may have been pruned since."""
    try:
        return Snapshot.load(workspace, snapshot)
    except NotFoundError:
        return None


def _counted(edition: Edition) -> dict[str, int]:
    return {"entered": sum(edition.entered.values()), "left": sum(edition.left.values())}
