"""Labels that the user has against the served vectors and the hand-made features beside them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.progress import SILENT, Progress
from eventlog.sequences import EventLog
from serve.snapshot import Snapshot
from store.threads import set_threads
from store.workspace import Workspace
from train.evaluate import Result, evaluate
from train.labels import Labels, read_labels

SMALL = 20_000
"""Customers up to which one thread is quickest: LightGBM's threads wait for each other more than they work."""
EMBEDDING, AGGREGATES, BOTH = "embedding", "aggregates", "both"


@dataclass(frozen=True)
class Evaluation:
    """What the inputs know of the labels."""

    snapshot: str
    labels: Labels
    results: list[Result]


def evaluate_snapshot(
    workspace: Workspace, labels: Path, snapshot: str | None = None, seed: int = 0, progress: Progress = SILENT
) -> Evaluation:
    """Cross-validate the vectors, the aggregates and both on the label columns of a file.

    Raises InputError where the labels cannot be used, NotFoundError, ArtifactError.
    """
    opened = Snapshot.load(workspace, snapshot)
    read = read_labels(labels, opened.embeddings.customers)
    log = EventLog.load(workspace.eventlogs / opened.manifest.parents["eventlog"], deep=False)
    vectors, aggregates = np.asarray(opened.embeddings.vectors), np.asarray(opened.behaviour.matrix)
    inputs = {EMBEDDING: vectors, AGGREGATES: aggregates, BOTH: np.hstack([vectors, aggregates])}
    threads = set_threads() if opened.n_customers > SMALL else 1
    results = evaluate(read.labels, inputs, np.diff(log.offsets), seed, threads, progress)
    return Evaluation(opened.name, read, results)
