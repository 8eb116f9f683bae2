"""Checking what a workspace holds against its checksums."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.errors import ArtifactError
from configs.progress import SILENT, Progress
from eventlog.layers import folders_of
from store.artifact import MANIFEST, Manifest, read_manifest, verify
from store.workspace import Workspace

ANY_VERSION = 1 << 31


def check(
    workspace: Workspace, snapshot: str | None = None, *, every: bool = False, progress: Progress = SILENT
) -> list[dict[str, Any]]:
    """Check a snapshot, the log and the model that it was made from, or with `every` all that the workspace holds.

    One row an artifact: its place in the workspace, kind, number of files, bytes, and "sound" or what is wrong.
    Raises NotFoundError where there is no such snapshot.
    """
    folders = _all(workspace) if every else _parts(workspace, workspace.snapshot_folder(snapshot))
    results = []
    with progress.task("Checking", total=len(folders)) as advance:
        for folder in folders:
            results.append(_checked(folder, workspace.root))
            advance(1)
    return results


def damage(results: Sequence[dict[str, Any]]) -> None:
    """Raise ArtifactError where one of the `results` of `check` is not sound."""
    damaged = [result["state"] for result in results if result["state"] != "sound"]
    if damaged:
        raise ArtifactError("; ".join(damaged))


def _all(workspace: Workspace) -> list[Path]:
    places = (workspace.eventlogs, workspace.models, workspace.snapshots, workspace.audiences)
    return [path.parent for place in places for path in sorted(place.glob(f"[!.]*/{MANIFEST}"))]


def _parts(workspace: Workspace, folder: Path) -> list[Path]:
    try:
        parents = read_manifest(folder).parents
    except ArtifactError:
        return [folder]
    log = workspace.eventlogs / parents["eventlog"]
    try:
        logs = folders_of(log)
    except (OSError, ValueError, KeyError):
        logs = (log,)  # whose damage the check tells
    return [folder, workspace.models / parents["model"], *logs]


def _checked(folder: Path, root: Path) -> dict[str, Any]:
    place = folder.relative_to(root).as_posix()
    try:
        manifest = _verified(folder)
    except ArtifactError as error:
        return {"artifact": place, "kind": None, "files": None, "bytes": None, "state": str(error)}
    size = sum(int(file["size"]) for file in manifest.files.values())
    return {"artifact": place, "kind": manifest.kind, "files": len(manifest.files), "bytes": size, "state": "sound"}


def _verified(folder: Path) -> Manifest:
    """The manifest of an artifact whose files all fit it; whether its format can be read is its reader's business."""
    return verify(folder, read_manifest(folder).kind, ANY_VERSION)
