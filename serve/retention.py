"""Which snapshots are kept, and what goes with those that are not: logs and models that nothing kept stands on."""

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from configs.errors import ArtifactError, storage_errors
from eventlog.layers import folders_of
from serve.saved import load_saved, saved_names
from store.artifact import read_manifest
from store.catalogue import Catalogue
from store.workspace import RETIRED, Workspace

PARENTS = ("eventlog", "model")


def prune(workspace: Workspace, catalogue: Catalogue, keep: int, actor: str) -> list[str]:
    """Remove snapshots but the `keep` last served ones, and return their names. For the holder of the lock. Audited.

    The served one stays, and those that a saved audience was last refreshed with. Logs and models of removed snapshots
    go with them where nothing that is kept stands on them.
    """
    workspace.retire(keep, protected(workspace))
    return finish_pruning(workspace, catalogue, actor, keep)


def finish_pruning(workspace: Workspace, catalogue: Catalogue, actor: str, keep: int | None = None) -> list[str]:
    """Delete retired snapshots and what stood under them alone, whoever retired them. For the holder of the lock.

    A call that was killed may have left some. All is out of sight before anything is deleted, in an order that a kill
    at any moment leaves to the next call. Returns the names of the snapshots; audited.
    """
    retired = workspace.retired()
    below = _hidden(workspace, set().union(*map(_parents, retired)))
    names = {folder.name[1 : -len(RETIRED)] for folder in retired}
    gone = sorted(names - set(workspace.published()))
    if gone:
        catalogue.audit(actor, "prune", gone[-1], {"snapshots": gone, "keep": keep})
    with storage_errors(workspace.root):
        for folder in (*below, *retired):
            shutil.rmtree(folder)
    return gone


def protected(workspace: Workspace) -> list[str]:
    """Snapshots that a saved audience was last refreshed with: the next edition is told apart from that one."""
    found = []
    for name in saved_names(workspace):
        editions = load_saved(workspace, name).editions
        if editions:
            found.append(editions[-1].snapshot)
    return found


def _parents(folder: Path) -> set[tuple[str, str]]:
    """The log and the model of the snapshot at a folder, each with its role; nothing of a damaged one."""
    try:
        parents = read_manifest(folder).parents
    except ArtifactError:
        return set()
    return {(role, parents[role]) for role in PARENTS if role in parents}


def _needed(workspace: Workspace) -> set[tuple[str, str]]:
    """Logs with all their layers, and models, that snapshots still standing were made from."""
    found = set().union(*(_parents(workspace.snapshots / name) for name in workspace.published()), set())
    logs = {key for role, key in found if role == "eventlog"}
    return found | _layers(workspace, logs)


def _layers(workspace: Workspace, logs: Collection[str]) -> set[tuple[str, str]]:
    """The layers of some logs; nothing of what is gone or damaged."""
    found: set[tuple[str, str]] = set()
    for key in logs:
        with suppress(OSError, ValueError, KeyError):
            found |= {("eventlog", folder.name) for folder in folders_of(workspace.eventlogs / key)}
    return found


def _hidden(workspace: Workspace, candidates: Collection[tuple[str, str]]) -> list[Path]:
    """Take out of sight what only removed snapshots stood on, layers of their logs included; what now waits there.

    Layers go before the logs that name them: a log that still stands leads the next call to what is left.
    """
    logs = {key for role, key in candidates if role == "eventlog"}
    folders = {"eventlog": workspace.eventlogs, "model": workspace.models}
    needed = _needed(workspace)
    with storage_errors(workspace.root):
        for some in (_layers(workspace, logs) - {("eventlog", key) for key in logs}, candidates):
            for role, key in sorted(set(some) - needed):
                if (folders[role] / key).is_dir():
                    os.replace(folders[role] / key, folders[role] / f".{key}{RETIRED}")
        return sorted(path for folder in folders.values() for path in folder.glob(f".*{RETIRED}"))
