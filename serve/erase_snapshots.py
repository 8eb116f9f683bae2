"""Customers taken out of snapshots, served, kept and held ones alike; and the check of everything that is staged."""

import json
import os
from pathlib import Path

import numpy as np

from cluster.artifact import Segments
from cluster.erase import ErasedSegments, Place, erase_segments, erased_landmarks
from configs.errors import ArtifactError, InputError
from configs.progress import Progress
from embed.artifact import Embeddings
from embed.erase import erase_embeddings
from eventlog.artifact import FEATURES
from eventlog.behaviour import load_behaviour
from eventlog.erase import Values, erase_behaviour
from eventlog.layers import LAYERS, RUN_ARRAYS
from eventlog.sequences import EventLog, load_array
from index.artifact import load_index
from index.erase import erase_index
from serve.erase import Taken
from store.artifact import MANIFEST, Manifest, read_manifest, verify
from store.erasures import Named
from store.reseal import reseal
from store.rewrite import Rewrite
from store.workspace import Workspace

ANY_VERSION = 1 << 31


def erase_snapshots(
    rewrite: Rewrite, workspace: Workspace, who: Named, blanked: Values, progress: Progress
) -> list[Taken]:
    """Stage every snapshot that erased customers are in.

    Raises InputError where nobody would be left in one, ArtifactError where one is damaged.
    """
    keeps, manifests = {}, {}
    with progress.task("Checking snapshots", total=None):
        for name in workspace.published():
            folder = workspace.snapshots / name
            manifests[folder] = workspace.verify_snapshot(name)
            keeps[folder] = ~who.among(Embeddings.load(folder / "embeddings", deep=False).customers)
            if not keeps[folder].any():
                raise InputError(
                    f"{folder}: nobody would be left in this snapshot; name fewer customers, or delete the workspace "
                    "if everybody is to be forgotten"
                )
    landmarks = erased_landmarks((folder / "segments", keep) for folder, keep in keeps.items())
    taken = []
    with progress.task("Erasing from snapshots", total=len(keeps)) as advance:
        for folder, keep in keeps.items():
            if not keep.all() or _has_landmarks(folder, landmarks) or _has_values(folder, blanked):
                erased = _snapshot(rewrite, folder, keep, landmarks, who, blanked)
                _seal(rewrite, workspace, folder, manifests[folder], keep)
                taken.append(_told(folder, keep, erased))
            advance(1)
    return taken


def _snapshot(
    rewrite: Rewrite,
    folder: Path,
    keep: np.ndarray,
    landmarks: dict[Place, np.ndarray],
    who: Named,
    blanked: Values,
) -> ErasedSegments:
    room = rewrite.room(folder)
    erase_embeddings(folder / "embeddings", room / "embeddings", keep)
    before = Embeddings.load(folder / "embeddings", deep=False)
    after = Embeddings.load(room / "embeddings", deep=False)
    erase_index(folder / "index", room / "index", before, after, keep)
    erase_behaviour(folder / "behaviour", room / "behaviour", keep, blanked)
    return erase_segments(folder / "segments", room / "segments", keep, after, landmarks, who)


def _seal(rewrite: Rewrite, workspace: Workspace, folder: Path, before: Manifest, keep: np.ndarray) -> None:
    """Seal a staged snapshot over its parts; its manifest keeps the time that says when it was published."""
    counts = {**before.counts, "customers": int(keep.sum())}
    log = rewrite.staged(workspace.eventlogs / before.parents.get("eventlog", "none"))
    if "events" in counts and (log / MANIFEST).is_file():
        counts["events"] = read_manifest(log).counts["events"]
    room = rewrite.staged(folder)
    reseal(room, before, int((~keep).sum()), counts)
    then = (folder / MANIFEST).stat()
    os.utime(room / MANIFEST, ns=(then.st_atime_ns, then.st_mtime_ns))


def _told(folder: Path, keep: np.ndarray, erased: ErasedSegments) -> Taken:
    gone = int((~keep).sum())
    removed = {"vectors": gone, "behaviours": gone, "memberships": erased.customers, "landmarks": erased.landmarks}
    removed |= {"typical customers": erased.typical, "segments left empty": erased.emptied}
    return Taken(f"snapshots/{folder.name}", removed)


def _has_landmarks(folder: Path, landmarks: dict[Place, np.ndarray]) -> bool:
    """Whether a landmark of an erased customer is in a snapshot that they are not in any more."""
    found = Segments.load(folder / "segments", deep=False)
    registry = found.registry()
    if registry is None or registry.ground is None:
        return False
    gone = landmarks.get((found.lineage, registry.ground.since, len(registry.ground.landmarks.rows)))
    return gone is not None and bool(gone.any())


def _has_values(folder: Path, blanked: Values) -> bool:
    features = json.loads((folder / "behaviour" / FEATURES).read_text(encoding="utf-8"))
    return any((feature["field"], feature["value"]) in blanked for feature in features)


def check(rewrite: Rewrite, workspace: Workspace) -> None:
    """Read everything that is staged as whoever uses it would. Raises ArtifactError; then nothing has changed."""
    for inside in rewrite.replaced:
        room = rewrite.staged(workspace.root / inside)
        if not room.is_dir():
            continue
        verify(room, read_manifest(room).kind, ANY_VERSION)
        if inside.startswith("eventlog/"):
            _check_log(rewrite, room, workspace)
        if inside.startswith("snapshots/"):
            embeddings = Embeddings.load(room / "embeddings", deep=False)
            load_index(room / "index", embeddings, deep=False)
            segments = Segments.load(room / "segments", deep=False)
            segments.registry()
            counts = {len(load_behaviour(room / "behaviour", deep=False).matrix), len(segments.labels)}
            if counts != {embeddings.n_customers}:
                raise ArtifactError(f"{room}: its parts hold different numbers of customers; nothing was erased")


def _check_log(rewrite: Rewrite, room: Path, workspace: Workspace) -> None:
    if not (room / LAYERS).is_file():
        log = EventLog.load(room, deep=False)
        fits = int(log.offsets[-1]) == len(log.time) and len(log.offsets) == log.n_customers + 1
    else:
        keys = json.loads((room / LAYERS).read_text(encoding="utf-8"))["layers"]
        offsets, layer, start, count = (load_array(room / f"{name}.npy") for name in RUN_ARRAYS)
        sizes = [len(load_array(rewrite.staged(workspace.eventlogs / key) / "time.npy")) for key in keys]
        inside = bool((np.asarray(start) >= 0).all()) and bool((start + count <= np.array(sizes)[layer]).all())
        events = load_array(room / "offsets.npy")
        fits = inside and len(offsets) == len(events) and int(np.asarray(count).sum()) == int(events[-1])
    if not fits:
        raise ArtifactError(f"{room}: events and customers do not fit each other; nothing was erased")
