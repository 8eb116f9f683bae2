"""A lookalike audience from files to files, kept in the workspace too."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from configs.errors import InputError
from index.audience import Audience
from index.files import PARQUET, write_table
from serve.audiences import Asked, StoredAudience, build, config_of, id_of, load_audience, store_audience
from serve.catalogues import open_catalogue
from serve.editions import edition_audience, held_by, refresh
from serve.objections import objected_in, still_entering, still_exported
from serve.outputs import check_output, output
from serve.saved import define, edition_of, load_saved, saved_as
from serve.snapshot import Snapshot
from store.erasures import Erasures
from store.objections import Objections
from store.workspace import Workspace

ACTOR = "cli"
SUFFIXES = (".csv", *PARQUET)


@dataclass(frozen=True)
class AudienceFiles:
    """Where to write an audience: CSV, or Parquet where a name ends in .parquet."""

    members: Path
    """customer_id, score, rank of the members who are not held out, best first."""
    scores: Path | None = None
    """customer_id, score of everybody."""
    inputs: tuple[Path, ...] = ()
    """Files that the request was read from; they are not overwritten."""

    def check(self) -> None:
        """Raise InputError where they cannot be written, before any work is done."""
        check_output(self.members, SUFFIXES, inputs=self.inputs)
        if self.scores is not None:
            check_output(self.scores, SUFFIXES, inputs=self.inputs)
            if self.scores.resolve() == self.members.resolve():
                raise InputError(f"{self.members}: is named both for the audience and for all scores; name two files")


@dataclass(frozen=True)
class MadeAudience:
    """An audience, and what the workspace keeps of it."""

    audience: Audience
    stored: StoredAudience


def make_audience(
    workspace: Workspace, asked: Asked, files: AudienceFiles, snapshot: str | None = None, save: str | None = None
) -> MadeAudience:
    """Build the audience that is asked for from a snapshot (the served one if None), write it and note it.

    Where `save` names it, it is saved, and this is its edition over the snapshot; a saved one of that name gets a new
    definition. All files appear, or none. Raises InputError (seeds, size, files), NotFoundError, ArtifactError,
    StorageError.
    """
    files.check()
    opened = Snapshot.load(workspace, snapshot)
    with ExitStack() as stack:
        catalogue = stack.enter_context(open_catalogue(workspace))
        asked = asked.allowed(Erasures(catalogue)).normal()
        objected = objected_in(opened, Objections(catalogue))
        if save is None:
            audience, id = build(asked, opened, objected), id_of(asked, opened, config_of(opened), objected)
        else:
            before = saved_as(save, workspace, asked)
            audience, id = edition_audience(before, opened, objected, held_by(before, workspace))
        if files.scores is not None:
            write_table(audience.score_table(), stack.enter_context(output(files.scores)), files.scores.suffix)
        write_table(audience.member_table(), stack.enter_context(output(files.members)), files.members.suffix)
        # kept as the service keeps its own, so that it is found there too
        stored = store_audience(audience, id, asked, opened, workspace, catalogue, ACTOR)
        told = {"size": int(stored.report["size"]), "everybody": files.scores is not None}
        catalogue.audit(ACTOR, "audience.export", stored.id, told)
        if save is not None:
            define(save, asked, workspace, catalogue, ACTOR)
            refresh(save, opened, workspace, catalogue, ACTOR, (audience, id))
    return MadeAudience(audience, stored)


def export_edition(
    workspace: Workspace, name: str, number: int | None, members: Path | None, changes: Path | None
) -> list[str]:
    """Write the members of an edition of a saved audience (the last one if None), and who entered and left with it.

    Returns what was written, in words. Audited. Raises InputError, NotFoundError, ArtifactError, StorageError.
    """
    if members is None and changes is None:
        raise InputError("nothing is to be written; name a file with --out, with --changes, or with both")
    for file in (members, changes):
        if file is not None:
            check_output(file, SUFFIXES)
    if members is not None and changes is not None and members.resolve() == changes.resolve():
        raise InputError(f"{members}: is named both for the members and for the changes; name two files")
    edition = edition_of(load_saved(workspace, name), number)
    told = []
    with ExitStack() as stack:
        catalogue = stack.enter_context(open_catalogue(workspace))
        objections = Objections(catalogue)
        if members is not None:
            table = still_exported(load_audience(workspace, edition.audience).members(), objections)
            write_table(table, stack.enter_context(output(members)), members.suffix)
            told.append(f"{len(table):,} members of edition {edition.number} are in {members}.")
        if changes is not None:
            table = still_entering(edition.changes(), objections)
            write_table(table, stack.enter_context(output(changes)), changes.suffix)
            told.append(f"{len(table):,} customers who entered or left with edition {edition.number} are in {changes}.")
        catalogue.audit(ACTOR, "saved.export", name, {"edition": edition.number, "files": len(told)})
    return told
