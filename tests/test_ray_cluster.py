"""The line over a real Ray cluster of node processes on this machine, some of which are killed in the middle."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import Bank
from histories import events, prepared, tiny
from ray.cluster_utils import Cluster
from ray_nodes import fill_up, losing_a_node, nodes, shards_at_work, training_at_work

import embed.run
import eventlog.ray_engine
import eventlog.run
import eventlog.scan
import eventlog.shards
import train.run
from configs.errors import InputError
from embed.config import EmbedConfig
from embed.ray_engine import Repeats, over_ray
from embed.shards import Shards, make
from eventlog.config import EventLogConfig
from eventlog.sequences import EventLog
from serve.pipeline import run_line
from serve.recipe import load_recipe
from store.ray_cluster import ray_cluster
from store.threads import set_threads
from store.workspace import Workspace
from train.artifact import Model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("ray"),  # one cluster for all
    # Ray leaves its sockets and log files to the end of the process
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventLog, Model]:
    """A log whose shards take a worker some tenths of a second each, and a model."""
    root = tmp_path_factory.mktemp("ray")
    set_threads(1)
    log, workspace = prepared(events(6000), root)
    return log, train.run.run(tiny(epochs=1, epoch_events=2000), log, workspace)


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[Cluster]:
    with nodes() as running:
        yield running


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """Nodes that all stand."""
    fill_up(shared_cluster)
    return shared_cluster


def test_a_workspace_that_workers_do_not_see_is_told(
    made: tuple[EventLog, Model], cluster: Cluster, tmp_path: Path
) -> None:
    log, model = made
    elsewhere = replace(model, folder=tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"elsewhere: not there on a worker.*the same path"):
        embed.run.run(EmbedConfig(), elsewhere, log, tmp_path / "ray", fill=over_ray(tmp_path / "ray"))
    assert not (tmp_path / "ray").exists()


def test_a_run_that_was_stopped_goes_on_with_what_is_missing(
    made: tuple[EventLog, Model], cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, model = made
    monkeypatch.setattr(embed.run, "BLOCK", 1000)
    local = embed.run.run(EmbedConfig(), model, log, tmp_path / "local")
    shards, told = Shards.of(tmp_path / ".ray.shards", log.n_customers, 1000), list[Repeats]()
    for shard in shards.every[1:5]:
        make(EmbedConfig(), model, log, shards, shard)
    found = embed.run.run(EmbedConfig(), model, log, tmp_path / "ray", fill=over_ray(tmp_path / "ray", told.append))
    assert told == [Repeats(found=4, made=2, repeated=0)]
    assert (found.folder / "vectors.arrow").read_bytes() == (local.folder / "vectors.arrow").read_bytes()


def test_a_node_killed_in_the_middle_costs_its_shard_alone(
    made: tuple[EventLog, Model], cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, model = made
    monkeypatch.setattr(embed.run, "BLOCK", 300)
    local = embed.run.run(EmbedConfig(), model, log, tmp_path / "local")
    told = list[Repeats]()
    with losing_a_node(cluster, shards_at_work(tmp_path / ".ray.shards")) as killer:
        found = embed.run.run(EmbedConfig(), model, log, tmp_path / "ray", fill=over_ray(tmp_path / "ray", told.append))
    assert len(killer.lost) == 1
    assert told == [Repeats(found=0, made=20, repeated=1)]
    for name in (*local.manifest.files, "manifest.json"):
        assert (found.folder / name).read_bytes() == (local.folder / name).read_bytes(), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["local", "ray"]


def test_a_node_killed_while_preparing_costs_its_shard_alone(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventlog.scan, "BLOCK_ROWS", 256)  # many small blocks take a worker long
    monkeypatch.setattr(eventlog.shards, "BYTES", 1)
    frame = events(2000)
    for number, some in enumerate(frame.iter_slices(len(frame) // 12 + 1)):
        some.write_parquet(tmp_path / f"events-{number:02d}.parquet")
    fields = {"categorical": ["kind", "noise"], "numeric": ["amount"]}
    source = {"name": "shop", "path": str(tmp_path / "events-*.parquet"), **fields}
    config, now = EventLogConfig.model_validate({"sources": [source]}), datetime(2025, 3, 1, tzinfo=UTC)
    local = eventlog.run.run(config, Workspace.create(tmp_path / "local"), now=now)
    workspace, told = Workspace.create(tmp_path / "ray"), list[eventlog.ray_engine.Repeats]()
    with losing_a_node(cluster, shards_at_work(workspace.eventlogs / eventlog.run.SHARDS)) as killer:
        engine = eventlog.ray_engine.over_ray("", told.append)
        found = eventlog.run.run(config, workspace, now=now, engine=engine)
    assert len(killer.lost) == 1
    assert told == [eventlog.ray_engine.Repeats(found=0, made=12, repeated=1)]
    assert local.manifest.counts["quarantined"] > 0
    for name in (*local.manifest.files, "manifest.json"):
        assert (found.folder / name).read_bytes() == (local.folder / name).read_bytes(), name
    assert [path.name for path in workspace.eventlogs.iterdir()] == [found.key]


def test_a_line_that_loses_a_node_while_training_has_the_bytes_of_one_machine(
    small_workspace: Bank, cluster: Cluster, tmp_path: Path
) -> None:
    workspace, local = Workspace.create(tmp_path / "workspace"), small_workspace.workspace
    with losing_a_node(cluster, training_at_work(workspace.models)) as killer:
        line = run_line(load_recipe(small_workspace.recipe), workspace, engine="ray")
    assert killer.lost == ["training"]
    assert line.manifest == local.manifest()
    for folder in (line.log.folder, line.model.folder):
        before = local.root / folder.relative_to(workspace.root)
        assert json.loads((folder / "manifest.json").read_text()) == json.loads((before / "manifest.json").read_text())
    for folder in (workspace.models, workspace.eventlogs, workspace.staging):
        assert [path.name for path in folder.glob(".*")] == []


def test_no_cluster_at_the_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"RAY_ADDRESS 127\.0\.0\.1:1.*no Ray cluster"), ray_cluster():
        pytest.fail("connected to nothing")


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'kinfolk\[ray\]'"), ray_cluster():
        pytest.fail("connected without Ray")


def test_environment_of_workers_is_that_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    from store.ray_cluster import worker_environment

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert worker_environment()["OMP_NUM_THREADS"] == os.environ["OMP_NUM_THREADS"] == "3"
