"""What is removed with old snapshots, and what a kill in the middle of it leaves."""

import json
import os
import shutil
from pathlib import Path

import pytest
from erasure_world import World

import serve.retention
from eventlog.layers import LAYERS
from serve.forget import forget
from serve.retention import prune
from serve.snapshot import Snapshot
from store.artifact import create
from store.catalogue import Catalogue
from store.workspace import Workspace

LOGS = {"k1": ["k1"], "k2": ["k1", "k2"], "k3": ["k3"], "k4": ["k3", "k4"], "k5": ["k3", "k5"], "by-hand": ["by-hand"]}
SNAPSHOTS = {"a": ("k1", "m1"), "b": ("k2", "m1"), "c": ("k4", "m2"), "d": ("k5", "m2")}


class Killed(BaseException):
    """Stands for SIGKILL."""


def filled(root: Path) -> Workspace:
    """Four snapshots, the last one served, over logs with shared layers; a log and a model that none was made of."""
    workspace = Workspace.create(root)
    for name, layers in LOGS.items():
        (workspace.eventlogs / name).mkdir()
        (workspace.eventlogs / name / "codes.npy").write_bytes(b"x")
        if len(layers) > 1:
            (workspace.eventlogs / name / LAYERS).write_text(json.dumps({"layers": layers}), encoding="utf-8")
    for name in ("m1", "m2", "tried"):
        (workspace.models / name).mkdir()
        (workspace.models / name / "weights").write_bytes(b"x")
    for key, (log, model) in SNAPSHOTS.items():
        with create(workspace.staging / key / "part", "part", 1, key) as writer:
            writer.path("rows").write_bytes(b"x")
        workspace.publish(key, {"eventlog": log, "model": model}, {}, {})
    return workspace


def standing(workspace: Workspace) -> tuple[set[str], set[str]]:
    """Everything among logs and models, hidden ones too."""
    return set(os.listdir(workspace.eventlogs)), set(os.listdir(workspace.models))


AFTER = {"k3", "k4", "k5", "by-hand"}, {"m2", "tried"}


def killed_prune(workspace: Workspace, catalogue: Catalogue, step: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A prune that dies at its file operation number `step`, a deletion half done; False where it has fewer."""
    left = [step]

    def dying(whole, half=None):  # type: ignore[no-untyped-def]
        def operation(path, *rest):  # type: ignore[no-untyped-def]
            if left[0] == 0:
                if half is not None:
                    half(path)
                raise Killed
            left[0] -= 1
            return whole(path, *rest)

        return operation

    def first_file(folder: Path) -> None:
        next(path for path in folder.rglob("*") if path.is_file()).unlink()

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", dying(os.replace))
        patched.setattr(shutil, "rmtree", dying(shutil.rmtree, first_file))
        try:
            prune(workspace, catalogue, 2, "test")
        except Killed:
            return True
    return False


def test_logs_and_models_go_with_their_snapshots_whatever_kills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, died = 0, True
    while died:
        workspace = filled(tmp_path / f"{step}")
        with Catalogue(workspace.catalogue) as catalogue:
            died = killed_prune(workspace, catalogue, step, monkeypatch)
            # what is not hidden is whole
            for folder in (*workspace.eventlogs.glob("[!.]*"), *workspace.models.glob("[!.]*")):
                assert (folder / ("codes.npy" if folder.parent == workspace.eventlogs else "weights")).exists()
            prune(workspace, catalogue, 2, "test")
            assert standing(workspace) == AFTER
            assert set(os.listdir(workspace.snapshots)) == {"s-c", "s-d"}
            told = [entry for entry in catalogue.audit_log() if entry.action == "prune"]
            assert {name for entry in told for name in entry.details["snapshots"]} == {"s-a", "s-b"}
        step += 1
    assert step > 8


@pytest.mark.slow
def test_a_killed_prune_does_not_stand_in_the_way_of_an_erasure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = len(list(world.workspace.eventlogs.glob("[!.]*")))
    for path in list(world.workspace.saved.iterdir()):
        shutil.rmtree(path)  # its editions keep their snapshots

    def dying(folder: Path) -> None:
        next(path for path in folder.rglob("*.npy")).unlink()
        raise Killed

    with Catalogue(world.workspace.catalogue) as catalogue, monkeypatch.context() as patched:
        patched.setattr(serve.retention.shutil, "rmtree", dying)
        with pytest.raises(Killed):
            prune(world.workspace, catalogue, 1, "test")
    receipt = forget(world.workspace, [world.ids[4]])
    assert receipt["search"]["found"] == []
    assert len(list(world.workspace.eventlogs.glob("[!.]*"))) < logs
    assert not list(world.workspace.eventlogs.glob(".*.old"))
    assert Snapshot.load(world.workspace).n_customers == len(world.ids) - 1
