"""The training run: scales, body, head, artifact; resumed from its last epoch after a kill, with the same weights."""

import logging
import os
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configs.errors import ArtifactError, DataError, storage_errors
from configs.progress import SILENT, Progress
from eventlog.sequences import EventLog
from store.artifact import is_complete, key_of, read_manifest, stands
from store.threads import set_threads
from store.workspace import Workspace
from train.artifact import KIND, VERSION, Model, new_encoder, write_model
from train.begun import begun, claim
from train.config import TrainConfig
from train.encode import length_buckets, states, torch_threads
from train.encoder import Encoder, Parts
from train.forecast import fit_forecasts, weighed
from train.head import BODY, FEWEST_HALVES, RELIABLE_EVENTS, Fields, fit_head, standardisation
from train.pools import gather, pooled, population
from train.rotation import comparable, turn_onto
from train.scales import fit_scales
from train.trust import reliability

FEWEST_CUSTOMERS = 20
REPEATS = 4
"""Most times that an epoch reads a small log over."""
ALGORITHM = 6
"""Raised when the same settings and data would give other weights, so that a finished model is not reused."""


def model_key(config: TrainConfig, log: EventLog) -> str:
    """Key of the model that `run` makes of these settings and this log."""
    return key_of(KIND, VERSION, ALGORITHM, config.model_dump(mode="json", exclude={"accelerator", "threads"}), log.key)


@dataclass(frozen=True)
class Order:
    """A model that is to be trained."""

    config: TrainConfig
    log: EventLog
    models: Path
    """Folder of all models."""
    settings: str
    """`model_key` of settings and log."""
    onto: Model | None
    """On to whose space the new one is turned."""

    @property
    def key(self) -> str:
        """Key of everything that the model depends on."""
        return key_of(self.settings, "onto", self.onto.key) if self.onto else self.settings

    @property
    def scratch(self) -> Path:
        """Folder of the checkpoints."""
        return self.models / f".{self.key}.training"

    @property
    def place(self) -> Path:
        """Folder of the finished model."""
        return self.models / self.key


Engine = Callable[[Order, Progress], None]
"""Makes an order's model stand at its place."""


def run(
    config: TrainConfig,
    log: EventLog,
    workspace: Workspace,
    progress: Progress = SILENT,
    previous: Model | None = None,
    engine: Engine | None = None,
) -> Model:
    """Train an encoder on a log, or return a finished one of the same settings and log.

    The new space is turned on to that of a `previous` model, where there is one of the same fields and width. `engine`
    trains it elsewhere, to the same bytes. Raises DataError where the log has too few customers or fields to learn
    from.
    """
    settings = model_key(config, log)
    found = finished(workspace, settings)
    if found is not None:
        return Model.load(found, deep=False)
    if log.n_customers < FEWEST_CUSTOMERS:
        raise DataError(f"the log has {log.n_customers} customers; training needs at least {FEWEST_CUSTOMERS}")
    onto = previous if previous is not None and comparable(previous, log, Parts.of(config.width)) else None
    order = Order(config, log, workspace.models, settings, onto)
    (engine or _here)(order, progress)
    for left in begun(order.scratch):
        shutil.rmtree(left, ignore_errors=True)
    return Model.load(order.place)


def _here(order: Order, progress: Progress) -> None:
    """Train in this process."""
    claim(order.scratch, order.scratch)
    make(order, order.scratch, order.place, progress)


def make(order: Order, scratch: Path, place: Path, progress: Progress) -> None:
    """Train a model, from the checkpoints in `scratch` on where there are any, and write it at `place`."""
    config, log, onto = order.config, order.log, order.onto
    set_threads()
    rng = np.random.default_rng([config.seed, 11])
    sample = np.sort(rng.permutation(log.n_customers)[: config.head_customers])
    encoder = initial_encoder(config, log, sample, progress)
    history = train_body(config, log, encoder, scratch, progress)
    with torch_threads(config.threads):
        explained = fit_whole_head(config, log, encoder, sample, progress)
        figures: dict[str, Any] = {"head_variance_kept": round(explained, 4), "epochs": len(history)}
        if onto is not None:
            with progress.task("Turning on to the previous space", total=None):
                figures |= turn_onto(encoder, onto, log, sample)
    write_model(place, order.key, order.settings, encoder, config, log, history, figures)


def finished(workspace: Workspace, settings: str) -> Path | None:
    """Folder of a finished model of some settings and log (their `model_key`), turned on to another one or not."""
    if stands(workspace.models / settings, KIND, VERSION, settings):
        return workspace.models / settings
    for folder in sorted(workspace.models.glob("[!.]*")):
        if not is_complete(folder, KIND, VERSION):
            continue
        with suppress(ArtifactError):
            manifest = read_manifest(folder)
            if manifest.parents.get("settings") == settings and stands(folder, KIND, VERSION, manifest.key):
                return folder
    return None


def initial_encoder(config: TrainConfig, log: EventLog, sample: np.ndarray, progress: Progress) -> Encoder:
    """An untrained encoder with fitted scales, population prior and standardised pools."""
    with progress.task("Learning scales", len(sample)) as advance, torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = new_encoder(fit_scales(log, config), config)
        pools = pooled_histories(encoder, log, sample, log.offsets[sample], log.offsets[sample + 1])
        encoder.prior.copy_(torch.from_numpy(population(encoder.layout, pools[0])))
        whole = encoder.features_of_pools(*pools)
        mean, scale = standardisation(whole)
        encoder.head.mean[: whole.shape[1]] = torch.from_numpy(mean)
        encoder.head.scale[: whole.shape[1]] = torch.from_numpy(scale)
        begin, middle, end, long = halves(log, sample)
        if len(long) >= FEWEST_HALVES:
            parts = [
                encoder.features_of_pools(*pooled_histories(encoder, log, long, a, b))
                for a, b in ((begin, middle), (middle, end))
            ]
            level = encoder.layout.feature_groups == encoder.layout.level
            weight = np.where(level, 1, reliability(*parts)).astype(np.float32)
            encoder.head.weight[: whole.shape[1]] = torch.from_numpy(weight)
        advance(len(sample))
    return encoder


def pooled_histories(
    encoder: Encoder, log: EventLog, customers: np.ndarray, begin: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pools [S, P], clocks [S, 4] and recent sums [S, R] of the given events, read in bounded memory."""
    layout, count = encoder.layout, len(customers)
    cells, clocks, recents = np.empty((count, layout.cells)), np.empty((count, 4)), np.empty((count, layout.recent))
    for part in length_buckets(end - begin):
        events = gather(log, customers[part], begin[part], end[part])
        cells[part], clocks[part], recents[part] = pooled(layout, events, len(part))
    return cells, clocks, recents


def halves(log: EventLog, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Begin, middle and end rows of the sampled customers whose halves are long enough, and those customers."""
    begin, end = log.offsets[sample], log.offsets[sample + 1]
    long = end - begin >= RELIABLE_EVENTS
    return begin[long], (begin[long] + end[long]) // 2, end[long], sample[long]


def fit_whole_head(
    config: TrainConfig, log: EventLog, encoder: Encoder, sample: np.ndarray, progress: Progress
) -> float:
    """Fit the head on pools and hidden states of the sampled customers; returns the share of variance it keeps."""
    encoder.eval()
    begin, middle, end, long = halves(log, sample)
    runs = [(sample, log.offsets[sample], log.offsets[sample + 1]), (long, begin, middle), (long, middle, end)]
    with progress.task("Fitting the head", sum(len(customers) for customers, _, _ in runs)) as advance:
        read = []
        for customers, first, stop in runs:
            rows = np.zeros((len(customers), encoder.head.mean.numel()), np.float32)
            for part in length_buckets(stop - first):
                rows[part] = encoder.features_of(states(encoder, log, customers[part], first[part], stop[part]))
                advance(len(part))
            read.append(rows)
    whole, early, late = read
    layout, body = encoder.layout, np.full(encoder.hidden, BODY)
    fields = Fields(np.append(layout.feature_groups, body), np.append(layout.feature_own, body == BODY), layout.level)
    emphasis = {layout.level: config.level_weight, BODY: config.body_weight}
    fit = fit_head(whole, (early, late), fields, emphasis, config.width, config.seed)
    for name in ("mean", "scale", "weight", "projection"):
        getattr(encoder.head, name).copy_(torch.from_numpy(getattr(fit, name)))
    add_forecasts(log, encoder, sample, whole, progress)
    return fit.explained


def add_forecasts(log: EventLog, encoder: Encoder, sample: np.ndarray, whole: np.ndarray, progress: Progress) -> None:
    """Fit the dimensions that tell what comes next; `whole` [S, F] are features of the sampled customers' histories."""
    parts, pools = encoder.parts, encoder.pool_features
    if not parts.forecasts:
        return
    directions = encoder.head.projection[:pools, : parts.behaviour + parts.level].numpy().astype(np.float64)
    with progress.task("Reading what came next", 1) as advance:
        now = weighed(encoder, whole[:, :pools]) @ directions
        mixture = fit_forecasts(encoder, log, sample, directions, now, parts.forecasts)
        encoder.head.projection[:pools, -parts.forecasts :] = torch.from_numpy(directions @ mixture).float()
        advance(1)


def train_body(
    config: TrainConfig, log: EventLog, encoder: Encoder, scratch: Path, progress: Progress
) -> list[dict[str, float]]:
    """Train the recurrent body with Lightning and leave its best weights in `encoder`; returns the losses per epoch."""
    import pytorch_lightning as lightning
    from pytorch_lightning.callbacks import EarlyStopping

    from train.checkpoint import BestWeights, LastEpoch, resumable
    from train.module import Report, Slices, Training

    shuffled = np.random.default_rng([config.seed, 12]).permutation(log.n_customers)
    held_out = np.sort(shuffled[: max(int(config.validation_share * log.n_customers), 2)])
    training = np.sort(shuffled[len(held_out) :])
    lengths = np.minimum(np.diff(log.offsets)[training], sum(config.slice_events) / 2)
    per_step = float(lengths.mean()) * config.slices * min(config.batch_customers, len(training))
    steps = max(int(min(config.epoch_events, REPEATS * log.n_events) / per_step), 1)
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(config.seed)
        module = Training(encoder, config, steps)
        data = Slices(log, encoder, config, training, held_out, steps)
        with storage_errors(scratch), progress.task("Training", config.epochs * steps) as advance:
            scratch.mkdir(parents=True, exist_ok=True)
            last = resumable(scratch)
            if last:
                advance(steps * len(last.history))
            best = BestWeights(scratch)
            trainer = lightning.Trainer(
                **_trainer_settings(config, scratch),
                callbacks=[
                    EarlyStopping("validation_loss", patience=config.patience),
                    best,
                    LastEpoch(scratch),
                    Report(advance),
                ],
            )
            if not (last and last.stopped):
                with torch_threads(config.threads):
                    trainer.fit(module, data, ckpt_path=str(last.path) if last else None)
            best.restore(module)
    encoder.to("cpu")
    return last.history if last and last.stopped else module.history


def _trainer_settings(config: TrainConfig, scratch: Path) -> dict[str, Any]:
    from pytorch_lightning.loggers import TensorBoardLogger

    logs, name = scratch.parent / "logs", scratch.name.strip(".").partition(".")[0]
    gpu = torch.cuda.is_available() and config.accelerator in ("auto", "gpu", "cuda")
    return {
        "accelerator": config.accelerator,
        "devices": 1,
        "precision": "bf16-mixed" if gpu and torch.cuda.is_bf16_supported() else "32-true",
        "max_epochs": config.epochs,
        "gradient_clip_val": 1.0,
        "reload_dataloaders_every_n_epochs": 1,
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "deterministic": True,
        "logger": TensorBoardLogger(logs, name="", version=name),
        "log_every_n_steps": 10,
        "default_root_dir": scratch,
    }


class _quiet(warnings.catch_warnings):
    """Lightning's advice on workers and loggers is not for our users: batches are cut from a memory map."""

    def __enter__(self) -> None:
        super().__enter__()
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        for pattern in (
            ".*does not have many workers.*",
            ".*IterableDataset.*",
            ".*Checkpoint directory.*",
            ".*weights_only.*",
            ".*LeafSpec.*",
            ".*transfer_batch_to_device.*",
            ".*smaller than the logging interval.*",
        ):
            warnings.filterwarnings("ignore", pattern)
