"""The line: killed anywhere and started again it ends with the same bytes; one job at a time; what it notes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest
from forked import start

from configs.errors import ConflictError
from configs.progress import SILENT
from serve.pipeline import run_line, snapshot_key
from serve.recipe import load_recipe
from store.catalogue import Catalogue
from store.workspace import Workspace

DEATHS = [
    ("eventlog", "before"),
    ("eventlog", "after"),
    ("train", "before"),
    ("train", "after"),
    ("embed", "before"),
    ("behaviour", "after"),
    ("index", "before"),
    ("cluster", "before"),
    ("cluster", "after"),
    ("publish", "before"),
    ("publish", "after"),
]


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_killed_at_every_stage_it_ends_with_the_same_bytes(small_workspace, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    words = ["run", str(small_workspace.recipe), "--workspace", str(root)]
    for stage, moment in DEATHS:
        dying = start(*words, folder=tmp_path, before=forked.die_in, given=(stage, moment))
        assert dying.ended() == -signal.SIGKILL, (stage, moment, dying.err)
    last = start(*words, folder=tmp_path)
    assert last.ended() == 0, last.err
    workspace, undisturbed = Workspace.open(root), small_workspace.workspace
    assert workspace.current() == undisturbed.current()
    assert content(workspace.snapshot_folder()) == content(undisturbed.snapshot_folder())
    parents = workspace.manifest().parents
    for role, folder in (("model", "models"), ("eventlog", "eventlog")):
        assert content(root / folder / parents[role]) == content(small_workspace.root / folder / parents[role])
    assert list(workspace.staging.iterdir()) == []
    with Catalogue(workspace.catalogue) as catalogue:
        assert [run.status for run in reversed(catalogue.runs())] == ["interrupted"] * len(DEATHS) + ["succeeded"]
        assert [publication.snapshot for publication in catalogue.history()] == [workspace.current()]


@pytest.mark.slow
def test_killed_from_outside_while_training(small_workspace, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    Workspace.create(root)
    shutil.copytree(small_workspace.root / "eventlog", root / "eventlog", dirs_exist_ok=True)
    command = [sys.executable, "-m", "serve.cli", "run", str(small_workspace.recipe), "--workspace", str(root)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((root / "models").glob(".*.training")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert Workspace.open(root).current() is None
    line = run_line(load_recipe(small_workspace.recipe), Workspace.create(root))
    assert content(root / "snapshots" / line.snapshot) == content(small_workspace.workspace.snapshot_folder())


def test_a_finished_line_runs_again_without_work(workspace_copy) -> None:
    workspace = workspace_copy.workspace
    before = content(workspace.snapshot_folder())
    line = run_line(load_recipe(workspace_copy.recipe), workspace)
    assert line.snapshot == workspace.current()
    assert content(workspace.snapshot_folder()) == before
    assert sum(line.seconds.values()) < 20
    assert set(line.seconds) == {"prepare", "train", "publish"}
    with Catalogue(workspace.catalogue) as catalogue:
        assert len(catalogue.history()) == 1
        last = catalogue.runs()[0]
    assert (last.status, last.snapshot, last.model_key) == ("succeeded", line.snapshot, line.model.key)
    assert line.manifest.parents == {"eventlog": line.log.key, "model": line.model.key}


def test_another_recipe_makes_another_snapshot_and_can_be_rolled_back(workspace_copy, tmp_path: Path) -> None:
    workspace = workspace_copy.workspace
    first = workspace.current()
    text = workspace_copy.recipe.read_text(encoding="utf-8").replace("path: ", f"path: {workspace_copy.folder}/")
    recipe = tmp_path / "other.yaml"
    recipe.write_text(text.replace("epochs: 60", "epochs: 70"), encoding="utf-8")
    line = run_line(load_recipe(recipe), workspace)
    assert line.previous == first
    assert line.snapshot != first
    assert sorted(workspace.published()) == sorted([first, line.snapshot])
    done = subprocess.run(
        [sys.executable, "-m", "serve.cli", "rollback", "--workspace", str(workspace.root)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"Serving {first}; before: {line.snapshot}.\n"
    assert workspace.current() == first


def test_a_damaged_snapshot_is_built_anew(workspace_copy) -> None:
    workspace = workspace_copy.workspace
    folder = workspace.snapshot_folder()
    whole = content(folder)
    with (folder / "embeddings" / "vectors.arrow").open("r+b") as handle:
        handle.seek(1000)
        handle.write(b"damage")
    run_line(load_recipe(workspace_copy.recipe), workspace)
    assert content(folder) == whole


def test_one_job_at_a_time(workspace_copy) -> None:
    recipe = load_recipe(workspace_copy.recipe)
    with workspace_copy.workspace.lock(), pytest.raises(ConflictError, match=rf"process {os.getpid()}\)"):
        run_line(recipe, Workspace(workspace_copy.root))


def test_a_failed_run_is_noted_and_leaves_the_old_snapshot_served(
    workspace_copy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    text = workspace_copy.recipe.read_text(encoding="utf-8").replace("path: ", f"path: {workspace_copy.folder}/")
    recipe = tmp_path / "other.yaml"
    recipe.write_text(text.replace("epochs: 60", "epochs: 80"), encoding="utf-8")
    monkeypatch.setattr("cluster.run.run", fail)
    served = workspace_copy.workspace.current()
    with pytest.raises(ZeroDivisionError):
        run_line(load_recipe(recipe), workspace_copy.workspace, SILENT)
    assert workspace_copy.workspace.current() == served
    with Catalogue(workspace_copy.workspace.catalogue) as catalogue:
        assert (catalogue.runs()[0].status, catalogue.runs()[0].figures) == ("failed", {"error": "ZeroDivisionError"})


def test_the_key_holds_what_the_bytes_depend_on(small_workspace) -> None:
    recipe = load_recipe(small_workspace.recipe)

    class Made:
        key = "k"

    def key(**sections: object) -> str:
        document = json.loads(recipe.model_dump_json(exclude_unset=True)) | sections
        return snapshot_key(type(recipe).model_validate(document), Made(), Made())  # type: ignore[arg-type]

    assert key() == key()
    assert len({key(), key(index={"neighbours": 50}), key(segments={"drivers": 3}), key(audience={"folds": 3})}) == 4
