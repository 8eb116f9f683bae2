"""Behaviours of nights lie in layers that snapshots share; checks, erasure and pruning know of it."""

from pathlib import Path

import numpy as np
import pytest
from night_world import FIRST_DAYS, NightWorld, content, day

from configs.errors import ArtifactError
from eventlog.behaviour_layers import LayeredMatrix
from serve.forget import forget
from serve.nightly import run_night
from serve.snapshot import Snapshot
from serve.soundness import check

pytestmark = pytest.mark.slow


@pytest.fixture
def layers(night: NightWorld, monkeypatch: pytest.MonkeyPatch) -> NightWorld:
    """A world after a night. Most of so few customers have new events, so that one plain matrix would be written."""
    monkeypatch.setattr("eventlog.behaviour_refresh.MOST_ABOVE", 100)
    night.night(FIRST_DAYS)
    assert isinstance(Snapshot.load(night.workspace).behaviour.matrix, LayeredMatrix)
    return night


def flip(path: Path) -> None:
    """Turn one bit in the middle of a file; a second time turns it back."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("name", ["layer-00.npy", "layer-01.npy", "rows.npy", "moments.npy"])
def test_a_night_on_top_of_a_damaged_layer_serves_nothing(layers: NightWorld, tmp_path: Path, name: str) -> None:
    layers.arrive(FIRST_DAYS + 1)
    calm = layers.copy(tmp_path / "calm")
    made = run_night(calm.recipe, calm.workspace, day(FIRST_DAYS + 1)).snapshot
    flip(layers.workspace.snapshot_folder() / "behaviour" / name)
    with pytest.raises(ArtifactError, match=name):
        run_night(layers.recipe, layers.workspace, day(FIRST_DAYS + 1))
    assert made not in layers.workspace.published()
    flip(layers.workspace.snapshot_folder() / "behaviour" / name)
    assert run_night(layers.recipe, layers.workspace, day(FIRST_DAYS + 1)).snapshot == made
    assert content(layers.workspace.snapshot_folder(made)) == content(calm.workspace.snapshot_folder(made))


def test_an_erasure_leaves_no_shared_layer_and_nobodys_row(layers: NightWorld) -> None:
    layers.night(FIRST_DAYS + 1)
    before = {name: Snapshot.load(layers.workspace, name) for name in layers.workspace.published()}
    assert len(before) == 3
    assert len({path.stat().st_ino for path in layers.root.glob("snapshots/*/behaviour/layer-00*")}) == 1
    gone = [next(iter(before.values())).embeddings.customers[5]]
    rows = [np.asarray(one.behaviour.matrix[5, 5:]).tobytes() for one in before.values()]
    forget(layers.workspace, [str(gone[0])])
    files = sorted(layers.root.glob("snapshots/*/behaviour/*.npy"))
    assert [path.name for path in files] == ["matrix.npy"] * 3
    assert {path.stat().st_nlink for path in files} == {1}
    assert not any(row in path.read_bytes() for path in files for row in rows)
    for name, one in before.items():
        keep = np.flatnonzero(~one.embeddings.customers.is_in(gone).to_numpy())
        after = Snapshot.load(layers.workspace, name)
        assert np.array_equal(np.asarray(after.behaviour.matrix), one.behaviour.matrix[keep])
    assert layers.night(FIRST_DAYS + 2).status == "published"
    assert {result["state"] for result in check(layers.workspace, every=True)} == {"sound"}


def test_what_is_pruned_takes_no_layer_from_those_who_share_it(layers: NightWorld) -> None:
    layers.night(FIRST_DAYS + 1)
    wanted = np.asarray(Snapshot.load(layers.workspace).behaviour.matrix)
    with layers.workspace.lock():
        assert len(layers.workspace.prune(1)) == 2
    assert np.array_equal(np.asarray(Snapshot.load(layers.workspace).behaviour.matrix), wanted)
