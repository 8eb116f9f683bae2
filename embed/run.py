"""Everyone to vectors and states, in memory that does not grow with the population."""

import shutil
from pathlib import Path

import numpy as np
import torch

from configs.errors import ConflictError, storage_errors
from configs.progress import SILENT, Progress
from embed.artifact import KIND, VERSION, Embeddings, write_embeddings
from embed.config import EmbedConfig
from embed.state import state_width, to_rows
from eventlog.sequences import EventLog
from store.artifact import key_of, stands
from store.threads import set_threads
from train.artifact import Model
from train.encode import length_buckets, states, torch_threads


def embeddings_key(model: Model, log: EventLog) -> str:
    """Key of what `run` makes; settings are not part of it, since they change only speed and memory."""
    return key_of(KIND, VERSION, model.key, log.key)


def run(config: EmbedConfig, model: Model, log: EventLog, folder: Path, progress: Progress = SILENT) -> Embeddings:
    """Embed every customer of `log` and write the artifact at `folder`, or return a finished one of the same inputs.

    Raises ConflictError where the log's fields are not those that the model was trained on, StorageError on a
    full disk.
    """
    key = embeddings_key(model, log)
    if stands(folder, KIND, VERSION, key):
        return Embeddings.load(folder, deep=False)
    if model.schema != log.schema:
        raise ConflictError(
            f"model {model.key} was trained on other fields or dictionaries than log {log.key} has; "
            "train a model on this log"
        )
    set_threads()
    work = folder.with_name(f".{folder.name}.work")
    with storage_errors(folder):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            vectors = _room(work / "vectors", log.n_customers, model.width)
            carried = _room(work / "states", log.n_customers, state_width(model.encoder))
            with torch_threads(config.threads):
                _embed(config, model, log, vectors, carried, progress)
            parents = {"eventlog": log.key, "model": model.key}
            return write_embeddings(folder, key, log.customers, vectors, carried, parents)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _room(path: Path, rows: int, width: int) -> np.ndarray:
    """A float32 array [rows, width] on disk."""
    return np.memmap(path, np.float32, mode="w+", shape=(rows, width))


def _embed(
    config: EmbedConfig, model: Model, log: EventLog, vectors: np.ndarray, carried: np.ndarray, progress: Progress
) -> None:
    """Fill vectors [n, d] and states [n, s], similar lengths together, on the best device at hand."""
    encoder = model.encoder.to("cuda" if torch.cuda.is_available() else "cpu")
    with progress.task("Embedding", log.n_events) as advance:
        for customers in length_buckets(np.diff(log.offsets), config.batch_events):
            state = states(encoder, log, customers, log.offsets[customers], log.offsets[customers + 1])
            vectors[customers] = encoder.vectors(state)
            carried[customers] = to_rows(state)
            advance(int((log.offsets[customers + 1] - log.offsets[customers]).sum()))
    encoder.to("cpu")
