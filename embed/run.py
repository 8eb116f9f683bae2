"""Everyone to vectors and states, in memory that does not grow with the population."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from configs.errors import storage_errors
from configs.progress import SILENT, Advance, Progress
from embed.artifact import KIND, VERSION, Embeddings, Histories, States, write_embeddings
from embed.config import EmbedConfig
from embed.state import KEPT_FROM, state_width, to_rows
from eventlog.recode import recoded
from eventlog.sequences import EventLog
from store.artifact import key_of, stands
from store.threads import set_threads
from train.artifact import Model
from train.encode import ROUND, length_buckets, states, torch_threads
from train.encoder import Encoder, State

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
    with room(folder, log, model) as made, torch_threads(config.threads):
        with progress.task("Embedding", log.n_events) as advance:
            embed_whole(config, model, log, np.arange(log.n_customers), made, advance)
        parents = {"eventlog": log.key, "model": model.key}
        return write_embeddings(folder, key, log.customers, made.vectors, histories(log), made.states, parents)


def histories(log: EventLog) -> Histories:
    """How many events each customer of a log has, and when."""
    begin, end = log.offsets[:-1], log.offsets[1:]
    return Histories(end - begin, np.asarray(log.time[begin]), np.asarray(log.time[end - 1]))


@dataclass(frozen=True)
class Room:
    """Where vectors and states of a log's customers are put while they are made."""

    vectors: np.ndarray
    """float32 [n, d]."""
    states: States
    """Of the customers with KEPT_FROM events or more."""

    def put(self, customers: np.ndarray, encoder: Encoder, state: State) -> None:
        """Fill in what the states of some customers (positions in the log) come to."""
        self.vectors[customers] = encoder.vectors(state)
        self.put_rows(customers, to_rows(state))

    def put_rows(self, customers: np.ndarray, rows: np.ndarray) -> None:
        """Fill in those of some states as rows [S, s] that are kept."""
        places = self.states.places(customers)
        self.states.matrix[places[places >= 0]] = rows[places >= 0]


@contextmanager
def room(folder: Path, log: EventLog, model: Model) -> Iterator[Room]:
    """Room on disk beside `folder`, gone afterwards."""
    kept = np.flatnonzero(np.diff(log.offsets) >= KEPT_FROM)
    work = folder.with_name(f".{folder.name}.work")
    with storage_errors(folder):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            vectors = _floats(work / "vectors", log.n_customers, model.width)
            yield Room(vectors, States(kept, _floats(work / "states", len(kept), state_width(model.encoder))))
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _floats(path: Path, count: int, width: int) -> np.ndarray:
    """Float32 [count, width] in a file; a file cannot be mapped empty."""
    return np.memmap(path, np.float32, mode="w+", shape=(count, width)) if count else np.empty((0, width), np.float32)


def embed_whole(
    config: EmbedConfig, model: Model, log: EventLog, customers: np.ndarray, made: Room, advance: Advance
) -> None:
    """Fill the rows of some customers (positions in the log) from their whole histories.

    Block by block, similar lengths together within one: rows that are written lie close to each other on disk.
    """
    with best_device(model) as encoder:
        for start in range(0, len(customers), BLOCK):
            block = customers[start : start + BLOCK]
            lengths = log.offsets[block + 1] - log.offsets[block]
            for part in length_buckets(lengths, config.batch_events, longest=ROUND):
                who = block[part]
                made.put(who, encoder, states(encoder, log, who, log.offsets[who], log.offsets[who + 1]))
                advance(int(lengths[part].sum()))


@contextmanager
def best_device(model: Model) -> Iterator[Encoder]:
    """The encoder on a GPU where there is one, and back on the CPU afterwards."""
    encoder = model.encoder.to("cuda" if torch.cuda.is_available() else "cpu")
    try:
        yield encoder
    finally:
        encoder.to("cpu")
