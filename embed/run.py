"""Everyone to vectors and states, in memory that does not grow with the population."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from configs.errors import storage_errors
from configs.progress import SILENT, Advance, Progress
from embed.artifact import KIND, VERSION, Embeddings, write_embeddings
from embed.config import EmbedConfig
from embed.state import state_width, to_rows
from eventlog.recode import recoded
from eventlog.sequences import EventLog
from store.artifact import key_of, stands
from store.threads import set_threads
from train.artifact import Model
from train.encode import length_buckets, states, torch_threads
from train.encoder import Encoder

BLOCK = 1 << 15
"""Customers that are embedded before the next ones are looked at."""


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
    log = recoded(log, model.schema)
    set_threads()
    with room(folder, log.n_customers, model) as (vectors, carried), torch_threads(config.threads):
        with progress.task("Embedding", log.n_events) as advance:
            embed_whole(config, model, log, np.arange(log.n_customers), vectors, carried, advance)
        parents = {"eventlog": log.key, "model": model.key}
        return write_embeddings(folder, key, log.customers, vectors, carried, parents)


@contextmanager
def room(folder: Path, customers: int, model: Model) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Float32 arrays on disk beside `folder` for vectors [n, d] and states [n, s], gone afterwards."""
    work = folder.with_name(f".{folder.name}.work")
    with storage_errors(folder):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            widths = {"vectors": model.width, "states": state_width(model.encoder)}
            vectors, carried = (
                np.memmap(work / name, np.float32, mode="w+", shape=(customers, width))
                for name, width in widths.items()
            )
            yield vectors, carried
        finally:
            shutil.rmtree(work, ignore_errors=True)


def embed_whole(
    config: EmbedConfig,
    model: Model,
    log: EventLog,
    customers: np.ndarray,
    vectors: np.ndarray,
    carried: np.ndarray,
    advance: Advance,
) -> None:
    """Fill the rows of some customers (positions in the log) from their whole histories.

    Block by block, similar lengths together within one: rows that are written lie close to each other on disk.
    """
    with best_device(model) as encoder:
        for start in range(0, len(customers), BLOCK):
            block = customers[start : start + BLOCK]
            lengths = log.offsets[block + 1] - log.offsets[block]
            for part in length_buckets(lengths, config.batch_events):
                who = block[part]
                state = states(encoder, log, who, log.offsets[who], log.offsets[who + 1])
                vectors[who] = encoder.vectors(state)
                carried[who] = to_rows(state)
                advance(int(lengths[part].sum()))


@contextmanager
def best_device(model: Model) -> Iterator[Encoder]:
    """The encoder on a GPU where there is one, and back on the CPU afterwards."""
    encoder = model.encoder.to("cuda" if torch.cuda.is_available() else "cpu")
    try:
        yield encoder
    finally:
        encoder.to("cpu")
