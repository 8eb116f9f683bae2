"""Which snapshots are kept, and what goes with those that are not: logs and models that nothing kept stands on."""

import shutil
from collections.abc import Collection
from contextlib import suppress

from configs.errors import ArtifactError, storage_errors
from eventlog.layers import folders_of
from serve.saved import load_saved, saved_names
from store.artifact import read_manifest
from store.catalogue import Catalogue
from store.workspace import Workspace

PARENTS = ("eventlog", "model")


def prune(workspace: Workspace, catalogue: Catalogue, keep: int, actor: str) -> list[str]:
    """Remove snapshots but the `keep` last served ones, and return their names. For the holder of the lock. Audited.

    The served one stays, and those that a saved audience was last refreshed with. Logs and models of removed snapshots
    go with them where nothing that is kept stands on them.
    """
    before = {name: _parents(workspace, name) for name in workspace.published()}
    gone = workspace.prune(keep, protected(workspace))
    if not gone:
        return []
    _drop(workspace, set().union(*(before[name] for name in gone)), _needed(workspace))
    catalogue.audit(actor, "prune", gone[-1], {"snapshots": gone, "keep": keep})
    return gone


def protected(workspace: Workspace) -> list[str]:
    """Snapshots that a saved audience was last refreshed with: the next edition is told apart from that one."""
    found = []
    for name in saved_names(workspace):
        editions = load_saved(workspace, name).editions
        if editions:
            found.append(editions[-1].snapshot)
    return found


def _parents(workspace: Workspace, name: str) -> set[tuple[str, str]]:
    """The log and the model of a snapshot, each with its role; nothing of a damaged one."""
    try:
        parents = read_manifest(workspace.snapshots / name).parents
    except ArtifactError:
        return set()
    return {(role, parents[role]) for role in PARENTS if role in parents}


def _needed(workspace: Workspace) -> set[tuple[str, str]]:
    """Logs with all their layers, and models, that snapshots still standing were made from."""
    found = set().union(*(_parents(workspace, name) for name in workspace.published()), set())
    logs = {key for role, key in found if role == "eventlog"}
    return found | _layers(workspace, logs)


def _layers(workspace: Workspace, logs: Collection[str]) -> set[tuple[str, str]]:
    """The layers of some logs; nothing of what is gone or damaged."""
    found: set[tuple[str, str]] = set()
    for key in logs:
        with suppress(OSError, ValueError, KeyError):
            found |= {("eventlog", folder.name) for folder in folders_of(workspace.eventlogs / key)}
    return found


def _drop(workspace: Workspace, candidates: Collection[tuple[str, str]], needed: Collection[tuple[str, str]]) -> None:
    """Remove what only removed snapshots stood on, layers of their logs included."""
    logs = {key for role, key in candidates if role == "eventlog"}
    layers = _layers(workspace, logs)
    folders = {"eventlog": workspace.eventlogs, "model": workspace.models}
    with storage_errors(workspace.root):
        for role, key in sorted({*candidates, *layers} - set(needed)):
            shutil.rmtree(folders[role] / key, ignore_errors=True)
