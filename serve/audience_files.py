"""A lookalike audience from files to files, noted in the catalogue."""

import hashlib
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from configs.errors import InputError
from index.audience import Audience, build_audience
from index.config import AudienceConfig
from index.request import AudienceRequest
from serve.catalogues import open_catalogue
from serve.outputs import check_output, output
from serve.snapshot import Snapshot
from store.workspace import Workspace

PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class AudienceFiles:
    """Where to write an audience: CSV, or Parquet where a name ends in .parquet."""

    members: Path
    """customer_id, score, rank of the members, best first."""
    scores: Path | None = None
    """customer_id, score of everybody."""

    def check(self) -> None:
        """Raise InputError where they cannot be written, before any work is done."""
        check_output(self.members)
        if self.scores is not None:
            check_output(self.scores)
            if self.scores.absolute() == self.members.absolute():
                raise InputError(f"{self.members}: is named both for the audience and for all scores; name two files")


def make_audience(
    workspace: Workspace, request: AudienceRequest, files: AudienceFiles, snapshot: str | None = None
) -> Audience:
    """Build the audience of `request` from a snapshot (the served one if None), write it and note it.

    All files appear, or none. Raises InputError (seeds, size, files), NotFoundError, ArtifactError, StorageError.
    """
    files.check()
    opened = Snapshot.load(workspace, snapshot)
    audience = build_audience(request, opened.embeddings, opened.behaviour, audience_config(opened))
    with ExitStack() as stack:
        if files.scores is not None:
            write_table(audience.score_table(), stack.enter_context(output(files.scores)), files.scores.suffix)
        write_table(audience.member_table(), stack.enter_context(output(files.members)), files.members.suffix)
        _note(workspace, request, audience, opened.name)
    return audience


def audience_config(snapshot: Snapshot) -> AudienceConfig:
    """The recipe's section `audience`, as the snapshot's manifest keeps it."""
    return AudienceConfig.model_validate(snapshot.manifest.figures.get("audience", {}))


def write_table(table: pl.DataFrame, path: Path, suffix: str) -> None:
    """Write a table as Parquet or CSV, whichever the suffix says."""
    if suffix.lower() in PARQUET:
        table.write_parquet(path)
    else:
        table.write_csv(path)


def _note(workspace: Workspace, request: AudienceRequest, audience: Audience, snapshot: str) -> None:
    report = audience.report
    seeds = "\n".join(sorted(str(seed) for seed in request.seeds))
    options = {"size": request.size, "include_seeds": request.include_seeds, "seed": request.seed}
    counts = {"given": report.seeds.given, "matched": report.seeds.matched, "unmatched": len(report.seeds.unmatched)}
    figures = {name: asdict(getattr(report, name)) for name in ("auroc", "recall", "lift")}
    with open_catalogue(workspace) as catalogue:
        catalogue.save_audience(
            actor="cli",
            snapshot=snapshot,
            request={**options, "suppressed_count": report.suppressed},
            seeds_sha256=hashlib.sha256(seeds.encode()).hexdigest(),
            size=report.size,
            report={"seed_counts": counts, **figures},
        )
