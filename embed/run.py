"""Everyone to vectors and states, in memory that does not grow with the population."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import torch

from configs.progress import SILENT, Advance, Progress
from embed.artifact import KIND, VERSION, Draft, Embeddings, Histories, Room, create_embeddings
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
"""Customers that are embedded before the next ones are looked at. Batches never reach over a block, so that a block is
what another engine may embed elsewhere with the same bytes (`embed/shards.py`)."""


def embeddings_key(model: Model, log: EventLog) -> str:
    """Key of what `run` makes; settings are not part of it, since they change only speed and memory."""
    return key_of(KIND, VERSION, model.key, log.key)


def run(
    config: EmbedConfig,
    model: Model,
    log: EventLog,
    folder: Path,
    progress: Progress = SILENT,
    fill: "Fill | None" = None,
) -> Embeddings:
    """Embed every customer of `log` and write the artifact at `folder`, or return a finished one of the same inputs.

    `fill` does the work elsewhere, such as `embed.ray_engine.over_ray`; the bytes are the same. Raises ConflictError
    where the log's fields are not those that the model was trained on, StorageError on a full disk.
    """
    key = embeddings_key(model, log)
    if stands(folder, KIND, VERSION, key):
        return Embeddings.load(folder, deep=False)
    log = recoded(log, model.schema)
    set_threads()
    with draft(folder, key, log, model) as made, torch_threads(config.threads):
        with progress.task("Embedding", log.n_events) as advance:
            (fill or fill_here)(config, model, log, made, advance)
        made.parents.update(eventlog=log.key, model=model.key)
    return Embeddings.load(folder, deep=False)


Fill = Callable[[EmbedConfig, Model, EventLog, Draft, Advance], None]
"""Fills the rows of every customer of a log, which is in the terms of the model, and tells events as they are done."""


def fill_here(config: EmbedConfig, model: Model, log: EventLog, made: Draft, advance: Advance) -> None:
    """Embed everybody in this process."""
    embed_whole(config, model, log, np.arange(log.n_customers), made, advance)


def draft(
    folder: Path, key: str, log: EventLog, model: Model, unknown: np.ndarray | None = None
) -> AbstractContextManager[Draft]:
    """Embeddings of a log's customers by a model, to be filled in; of `unknown` bool [n] no hidden state is carried."""
    begin, end = log.offsets[:-1], log.offsets[1:]
    histories = Histories(end - begin, np.asarray(log.time[begin]), np.asarray(log.time[end - 1]))
    carried = rooms(model.encoder, histories.events, unknown)
    return create_embeddings(folder, key, log.customers, histories, model.width, *carried)


def rooms(encoder: Encoder, events: np.ndarray, unknown: np.ndarray | None = None) -> tuple[Room, Room]:
    """Of whom of customers with so many `events` int64 [n] a state is carried (KEPT_FROM or more), and of whom the
    hidden state alone: the others but the `unknown` bool [n]."""
    long = events >= KEPT_FROM
    short = ~long if unknown is None else ~(long | unknown)
    return Room(np.flatnonzero(long), state_width(encoder)), Room(np.flatnonzero(short), encoder.hidden)


def put(made: Draft, rows: np.ndarray, encoder: Encoder, state: State) -> None:
    """Fill in what the states of some customers come to; `rows` are their rows of `made`."""
    made.vectors[rows] = encoder.vectors(state)
    places = made.states.places(rows)
    if (kept := places >= 0).any():
        made.states.matrix[places[kept]] = to_rows(state)[kept]
    places = made.hidden.places(rows)
    if (short := places >= 0).any():
        made.hidden.matrix[places[short]] = state.hidden[short]


def embed_whole(
    config: EmbedConfig, model: Model, log: EventLog, customers: np.ndarray, made: Draft, advance: Advance
) -> None:
    """Fill the rows of some customers (positions in the log) from their whole histories."""
    with best_device(model) as encoder:
        for who, state in whole(config, encoder, log, customers, advance):
            put(made, who, encoder, state)


def whole(
    config: EmbedConfig, encoder: Encoder, log: EventLog, customers: np.ndarray, advance: Advance
) -> Iterator[tuple[np.ndarray, State]]:
    """Some customers (positions in the log) and the states of their whole histories, batch by batch.

    Block by block, similar lengths together within one: rows that are written lie close to each other on disk.
    """
    for start in range(0, len(customers), BLOCK):
        block = customers[start : start + BLOCK]
        lengths = log.offsets[block + 1] - log.offsets[block]
        for part in length_buckets(lengths, config.batch_events, longest=ROUND):
            who = block[part]
            yield who, states(encoder, log, who, log.offsets[who], log.offsets[who + 1])
            advance(int(lengths[part].sum()))


@contextmanager
def best_device(model: Model) -> Iterator[Encoder]:
    """The encoder on a GPU where there is one, and back on the CPU afterwards."""
    encoder = model.encoder.to("cuda" if torch.cuda.is_available() else "cpu")
    try:
        yield encoder
    finally:
        encoder.to("cpu")
