"""A line goes on from the segments of the snapshot that is served: same identities, names, lineage."""

import shutil
from pathlib import Path

import pytest

from cluster.artifact import Segments
from cluster.state import REGISTRY
from configs.errors import ArtifactError
from serve.pipeline import run_line
from serve.recipe import load_recipe
from store.artifact import create, read_manifest
from store.workspace import Workspace


def segments_of(workspace: Workspace) -> Segments:
    return Segments.load(workspace.snapshot_folder() / "segments")


@pytest.fixture
def other(workspace_copy, tmp_path: Path) -> Path:
    """A recipe that makes other segments of the same events."""
    text = workspace_copy.recipe.read_text(encoding="utf-8").replace("path: ", f"path: {workspace_copy.folder}/")
    recipe = tmp_path / "other.yaml"
    recipe.write_text(text.replace("epochs: 60", "epochs: 70"), encoding="utf-8")
    return recipe


def test_the_next_snapshot_keeps_identities_and_names(workspace_copy, other: Path) -> None:
    workspace = workspace_copy.workspace
    first, key = segments_of(workspace), workspace.manifest(workspace.current()).key
    line = run_line(load_recipe(other), workspace)
    second = segments_of(workspace)
    assert line.manifest.parents["snapshot"] == key
    assert second.manifest.parents["segments"] == first.key
    assert (second.lineage, second.generation) == (first.lineage, 2)
    assert first.profiles
    # nobody's vector changed, so nobody moved
    assert (second.labels == first.labels).all()
    assert {p.id: p.name for p in second.profiles} == {p.id: p.name for p in first.profiles}
    # the same command again finds that snapshot, and does not go on from it
    again = run_line(load_recipe(other), workspace)
    assert again.snapshot == line.snapshot
    assert set(again.seconds) == {"prepare", "train", "publish"}
    # a third one goes on from the second
    run_line(load_recipe(workspace_copy.recipe), workspace)
    assert segments_of(workspace).generation == 3


def test_a_registry_of_a_newer_kinfolk_stops_the_line_and_stays_served(workspace_copy, other: Path) -> None:
    workspace = workspace_copy.workspace
    name = workspace.current()
    folder = workspace.snapshot_folder() / "segments"
    rewrite(folder, '"format": 1', '"format": 99')
    with pytest.raises(ArtifactError, match=r"registry of segments in format 99.*reads up to 1.*upgrade kinfolk"):
        run_line(load_recipe(other), workspace)
    assert workspace.current() == name


def rewrite(folder: Path, old: str, new: str) -> None:
    """Change the registry of segments and seal them again."""
    manifest, kept = read_manifest(folder), folder.parent / "kept"
    folder.rename(kept)
    with create(folder, manifest.kind, manifest.version, manifest.key) as writer:
        for path in kept.iterdir():
            if path.name not in (REGISTRY, "manifest.json"):
                shutil.copy(path, writer.path(path.name))
        text = (kept / REGISTRY).read_text(encoding="utf-8")
        assert old in text
        writer.write_text(REGISTRY, text.replace(old, new))
        writer.parents.update(manifest.parents)
        writer.counts.update(manifest.counts)
        writer.figures.update(manifest.figures)
    shutil.rmtree(kept)
