"""Training on a Ray cluster: one actor somewhere in it runs the very training of the local engine.

Checkpoints lie on the disk that all nodes see, so that an actor in the place of a lost one goes on after the last
epoch.
"""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from configs.progress import SILENT, Progress
from eventlog.sequences import EventLog
from store.artifact import stands
from store.ray_cluster import ray_cluster
from store.ray_work import hand_out, seen_by_workers
from store.shared import put_among_others
from store.threads import set_threads
from train.artifact import KIND, VERSION, Model
from train.begun import claim, of_worker
from train.config import TrainConfig
from train.run import Order, make


@dataclass(frozen=True)
class Work:
    """What the actor needs to begin: an order by its folders."""

    config: TrainConfig
    log: Path
    models: Path
    settings: str
    onto: Path | None
    threads: int
    """Of the numerical libraries in the process that gives out the work; the last bits may depend on it."""


class Trainer:
    """The actor."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def ready(self) -> None:
        """Open the log, and the model on to whose space the new one is turned."""
        work = self.work
        set_threads(work.threads)
        for folder in (work.log, work.models, *filter(None, [work.onto])):
            seen_by_workers(folder)
        onto = Model.load(work.onto, deep=False) if work.onto else None
        self.order = Order(work.config, EventLog.load(work.log, deep=False), work.models, work.settings, onto)

    def do(self, index: int) -> None:
        """Train the model, unless it stands already."""
        order = self.order
        if self._stands(order.place):
            return
        own = of_worker(order.scratch, uuid.uuid4().hex)
        claim(order.scratch, own)
        make(order, own, own / order.key, SILENT)
        put_among_others(own / order.key, order.place, self._stands)
        shutil.rmtree(own, ignore_errors=True)

    def _stands(self, folder: Path) -> bool:
        return stands(folder, KIND, VERSION, self.order.key)


def over_ray(order: Order, progress: Progress) -> None:
    """Have a model trained by one actor of the cluster, as the `engine` of `train.run.run`."""
    config, threads = order.config, set_threads()
    order.models.mkdir(parents=True, exist_ok=True)
    onto = None if order.onto is None else order.onto.folder.resolve()
    work = Work(config, order.log.folder.resolve(), order.models.resolve(), order.settings, onto, threads)
    cores, gpu = config.threads or threads, config.accelerator != "cpu"
    with progress.task("Training on the cluster", total=None), ray_cluster() as ray:
        for _ in hand_out(ray, Trainer, work, [0], cores, gpu=gpu):
            pass
