"""Moving the pointer and noting it in the catalogue, as one: publish, roll back, look back.

The pointer is what counts. A job killed between moving it and noting that leaves one line out of the catalogue, which
the next of these calls adds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from configs.errors import ArtifactError, NotFoundError
from store.artifact import Manifest
from store.catalogue import Catalogue
from store.records import Publication
from store.workspace import Workspace


@dataclass(frozen=True)
class HistoryEntry:
    """One publication or rollback, with what its snapshot says of itself."""

    publication: Publication
    manifest: Manifest | None
    """None where the snapshot was pruned since, or its manifest is damaged."""
    served: bool
    """Whether this is the entry that put the present snapshot in place."""


def publish(
    workspace: Workspace,
    catalogue: Catalogue,
    key: str,
    *,
    parents: Mapping[str, str],
    counts: Mapping[str, int],
    figures: Mapping[str, Any],
    actor: str = "cli",
    run_id: int | None = None,
) -> Publication:
    """`Workspace.publish`, noted and audited in the catalogue. For the holder of the workspace's lock."""
    reconcile(workspace, catalogue)
    previous = _served(workspace)
    name = workspace.publish(key, parents, counts, figures)
    return catalogue.record_publication(name, actor=actor, action="publish", previous=previous, run_id=run_id)


def serve(
    workspace: Workspace, catalogue: Catalogue, name: str, *, actor: str, run_id: int | None = None, deep: bool = True
) -> Publication:
    """Serve a snapshot that is finished (`Workspace.finish`), noted and audited. For the holder of the lock.

    `deep` as for `Workspace.point_to`.
    """
    reconcile(workspace, catalogue)
    previous = _served(workspace)
    workspace.point_to(name, deep=deep)
    return catalogue.record_publication(name, actor=actor, action="publish", previous=previous, run_id=run_id)


def rollback(workspace: Workspace, catalogue: Catalogue, to: str | None = None, *, actor: str = "cli") -> Publication:
    """`Workspace.rollback`, noted and audited in the catalogue."""
    reconcile(workspace, catalogue)
    previous = _served(workspace)
    name = workspace.rollback(to)
    return catalogue.record_publication(name, actor=actor, action="rollback", previous=previous)


def history(workspace: Workspace, catalogue: Catalogue, limit: int = 100) -> list[HistoryEntry]:
    """The last publications and rollbacks, newest first, with their snapshots' manifests. Only reads."""
    served = _served(workspace)
    entries = []
    for publication in catalogue.history(limit):
        try:
            manifest = workspace.manifest(publication.snapshot)
        except (ArtifactError, NotFoundError):
            manifest = None
        entries.append(HistoryEntry(publication, manifest, publication.snapshot == served))
        if publication.snapshot == served:
            served = None
    return entries


def reconcile(workspace: Workspace, catalogue: Catalogue) -> Publication | None:
    """Note a move of the pointer that a killed job did not come to note; None where nothing is missing."""
    now, last = _served(workspace), next(iter(catalogue.history(1)), None)
    if now is None or (last is not None and last.snapshot == now):
        return None
    previous = last.snapshot if last else None
    return catalogue.record_publication(now, actor="recovery", action="publish", previous=previous)


def _served(workspace: Workspace) -> str | None:
    """The served snapshot; None too where the pointer is damaged, which a publication or rollback by name mends."""
    try:
        return workspace.current()
    except ArtifactError:
        return None
