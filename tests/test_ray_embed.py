"""Embedding over a real Ray cluster of several node processes on this machine, one of which is killed in the middle."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import ray
from histories import events, prepared, tiny
from ray.cluster_utils import Cluster

import embed.run
import train.run
from configs.errors import InputError
from embed.config import EmbedConfig
from embed.ray_engine import Repeats, over_ray
from embed.shards import Shards, make
from eventlog.sequences import EventLog
from store.ray_cluster import OBJECTS, ray_cluster
from store.shared import ATTEMPTS
from store.threads import set_threads
from train.artifact import Model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.slow,
    # Ray leaves its sockets and log files to the end of the process
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parents[1]
SOON = {"health_check_initial_delay_ms": 2000, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}
"""After how long a silent node is given up for lost; as Ray comes, it is half a minute."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventLog, Model]:
    """A log whose shards take a worker some tenths of a second each, and a model."""
    root = tmp_path_factory.mktemp("ray")
    set_threads(1)
    log, workspace = prepared(events(6000), root)
    return log, train.run.run(tiny(epochs=1, epoch_events=2000), log, workspace)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes of one core each, that import this very code."""
    node = {"num_cpus": 1, "object_store_memory": OBJECTS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.chdir(ROOT)
        head = node | {"include_dashboard": False, "_system_config": SOON}
        running = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                running.add_node(**node)
            patch.setenv("RAY_ADDRESS", running.address)
            yield running
        finally:
            ray.shutdown()
            running.shutdown()


class Killer(threading.Thread):
    """Kills one node, its raylet and all workers at once, while one of them makes a shard."""

    def __init__(self, raylet: int, shards: Path) -> None:
        super().__init__(daemon=True)
        self.raylet, self.shards = raylet, shards
        self.lost: list[str] = []

    def run(self) -> None:
        """Wait until two shards are finished and a worker of the node is at one."""
        until = time.monotonic() + 120
        while time.monotonic() < until and not self.lost:
            family = [*psutil.Process(self.raylet).children(recursive=True), psutil.Process(self.raylet)]
            pids = {process.pid for process in family}
            if self._at_work(pids) and len(list(self.shards.glob("0*"))) >= 2:
                self._signal(family, signal.SIGSTOP)  # so that none is finished between the look and the kill
                self.lost = self._at_work(pids)
                self._signal(family, signal.SIGKILL if self.lost else signal.SIGCONT)
            time.sleep(0.002)

    def _signal(self, family: list[psutil.Process], number: int) -> None:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _at_work(self, family: set[int]) -> list[str]:
        folder = self.shards / ATTEMPTS
        found = [] if not folder.is_dir() else list(folder.iterdir())
        ours = [path.name.partition("-")[0] for path in found if int(path.read_text() or 0) in family]
        return [name for name in ours if not (self.shards / name).exists()]


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
    raylet = next(iter(cluster.worker_nodes)).all_processes["raylet"][0].process.pid
    killer, told = Killer(raylet, tmp_path / ".ray.shards"), list[Repeats]()
    killer.start()
    found = embed.run.run(EmbedConfig(), model, log, tmp_path / "ray", fill=over_ray(tmp_path / "ray", told.append))
    killer.join()
    assert len(killer.lost) == 1
    assert told == [Repeats(found=0, made=20, repeated=1)]
    for name in (*local.manifest.files, "manifest.json"):
        assert (found.folder / name).read_bytes() == (local.folder / name).read_bytes(), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["local", "ray"]


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
