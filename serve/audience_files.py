"""A lookalike audience from files to files, kept in the workspace too."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from configs.errors import InputError
from index.audience import Audience
from index.files import PARQUET, write_table
from serve.audiences import Asked, StoredAudience, build, config_of, id_of, store_audience
from serve.catalogues import open_catalogue
from serve.objections import objected_in
from serve.outputs import check_output, output
from serve.snapshot import Snapshot
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
    workspace: Workspace, asked: Asked, files: AudienceFiles, snapshot: str | None = None
) -> MadeAudience:
    """Build the audience that is asked for from a snapshot (the served one if None), write it and note it.

    All files appear, or none. Raises InputError (seeds, size, files), NotFoundError, ArtifactError, StorageError.
    """
    files.check()
    opened, asked = Snapshot.load(workspace, snapshot), asked.normal()
    with ExitStack() as stack:
        catalogue = stack.enter_context(open_catalogue(workspace))
        objected = objected_in(opened, Objections(catalogue))
        audience, id = build(asked, opened, objected), id_of(asked, opened, config_of(opened), objected)
        if files.scores is not None:
            write_table(audience.score_table(), stack.enter_context(output(files.scores)), files.scores.suffix)
        write_table(audience.member_table(), stack.enter_context(output(files.members)), files.members.suffix)
        # kept as the service keeps its own, so that it is found there too
        stored = store_audience(audience, id, asked, opened, workspace, catalogue, ACTOR)
    return MadeAudience(audience, stored)
