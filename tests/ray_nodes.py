"""A Ray cluster of several node processes on this machine, and who kills one of them in the middle of its work."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

from store.ray_cluster import OBJECTS
from store.shared import ATTEMPTS

ROOT = Path(__file__).parents[1]
NODE = {"num_cpus": 1, "object_store_memory": OBJECTS}
WORKERS = 2
SOON = {"health_check_initial_delay_ms": 2000, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}
"""After how long a silent node is given up for lost; as Ray comes, it is half a minute."""
AtWork = Callable[[], Mapping[int, str]]
"""Processes that are in the middle of something -> what it is."""


@contextmanager
def nodes() -> Iterator[Cluster]:
    """A head that does no work, and nodes of one core each, that import this very code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.chdir(ROOT)
        head = {**NODE, "num_cpus": 0, "include_dashboard": False, "_system_config": SOON}
        running = Cluster(initialize_head=True, head_node_args=head)
        try:
            fill_up(running)
            patch.setenv("RAY_ADDRESS", running.address)
            yield running
        finally:
            ray.shutdown()
            running.shutdown()


def fill_up(cluster: Cluster) -> None:
    """Add nodes in the place of those that were killed."""
    for node in [node for node in cluster.worker_nodes if not _lives(raylet_of(node))]:
        cluster.worker_nodes.discard(node)
    while len(cluster.worker_nodes) < WORKERS:
        cluster.add_node(**NODE)


def _lives(pid: int) -> bool:
    """Whether a process is there and is more than what is left of a killed child."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def raylet_of(node: Any) -> int:
    """The process that a node consists of, beside its workers."""
    return int(node.all_processes["raylet"][0].process.pid)


def shards_at_work(folder: Path, fewest: int = 2) -> AtWork:
    """Processes that make a shard in `folder`, once so many are finished."""

    def at_work() -> dict[int, str]:
        begun = list((folder / ATTEMPTS).iterdir()) if (folder / ATTEMPTS).is_dir() else []
        if len(list(folder.glob("0*"))) < fewest:
            return {}
        told = {path.name.partition("-")[0]: path.read_text() for path in begun}
        return {int(pid): name for name, pid in told.items() if pid.strip() and not (folder / name).exists()}

    return at_work


def training_at_work(models: Path) -> AtWork:
    """The process that trains a model, once an epoch has been written."""

    def at_work() -> dict[int, str]:
        if not list(models.glob(".*.training/last.ckpt")) or list(models.glob("[!.l]*")):
            return {}
        found = psutil.process_iter(["pid", "cmdline"])
        return {p.info["pid"]: "training" for p in found if "ray::Trainer" in " ".join(p.info["cmdline"] or [])}

    return at_work


class Killer(threading.Thread):
    """Kills one node, its raylet and all workers at once, while one of them is at work."""

    def __init__(self, cluster: Cluster, at_work: AtWork) -> None:
        super().__init__(daemon=True)
        self.raylets = {raylet_of(node) for node in cluster.worker_nodes}
        self.at_work = at_work
        self.lost: list[str] = []

    def run(self) -> None:
        """Wait until a worker of a node is at work."""
        until = time.monotonic() + 120
        while time.monotonic() < until and not self.lost:
            with contextlib.suppress(psutil.NoSuchProcess):
                for pid in self.at_work():
                    for parent in psutil.Process(pid).parents():
                        if parent.pid in self.raylets and not self.lost:
                            self._kill(parent)
            time.sleep(0.002)

    def _kill(self, raylet: psutil.Process) -> None:
        family = [*raylet.children(recursive=True), raylet]
        self._signal(family, signal.SIGSTOP)  # so that none is finished between the look and the kill
        pids = {process.pid for process in family}
        self.lost = [what for pid, what in self.at_work().items() if pid in pids]
        self._signal(family, signal.SIGKILL if self.lost else signal.SIGCONT)

    def _signal(self, family: list[psutil.Process], number: int) -> None:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


@contextmanager
def losing_a_node(cluster: Cluster, at_work: AtWork) -> Iterator[Killer]:
    """Lose a node while something runs."""
    killer = Killer(cluster, at_work)
    killer.start()
    yield killer
    killer.join()
