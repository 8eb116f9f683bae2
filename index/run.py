"""Builds the search index of a snapshot, or brings that of an earlier one up to date."""

from pathlib import Path
from typing import Any

from configs.progress import SILENT, Progress
from embed.artifact import Embeddings
from embed.customers import changes
from index.artifact import KIND, VERSION, load_index, write_index
from index.build import build_inverted, searched_exactly, tune
from index.config import IndexConfig
from index.search import SearchIndex
from index.update import LEAST_KEPT, built, limit, update_inverted, usable
from store.artifact import key_of, stands
from store.threads import use_faiss


def run(
    config: IndexConfig,
    embeddings: Embeddings,
    folder: Path,
    progress: Progress = SILENT,
    previous: SearchIndex | None = None,
) -> SearchIndex:
    """Build the index over `embeddings` at `folder`, or load it where a finished one of the same inputs stands.

    With a `previous` index over earlier embeddings, its inverted file is updated instead of built, as long as it
    reaches the wanted recall at no more than `update_until` times the cost of the last build. Memory stays within the
    codes (n x d / 4 bytes; n x d / 2 below 128 wide), twice where they are updated, beside the mapped vectors. Raises
    StorageError on a full disk.
    """
    previous = usable(previous, embeddings, config)
    lineage = None if previous is None else previous.manifest.key
    key = key_of(KIND, VERSION, config.model_dump(mode="json"), embeddings.key, *filter(None, [lineage]))
    if stands(folder, KIND, VERSION, key):
        return load_index(folder, embeddings, deep=False)
    if searched_exactly(embeddings.n_customers, config):
        return write_index(folder, key, config, embeddings, None, {"method": "exact", "recall": 1.0})
    use_faiss()  # before anything else that has threads
    inverted, figures = None, dict[str, Any]()
    if previous is not None:
        inverted, figures = _updated(config, embeddings, previous, progress)
    if inverted is None:
        inverted, tuned = _built(config, embeddings, progress)
        figures |= tuned
    return write_index(folder, key, config, embeddings, inverted, figures, lineage)


def _built(config: IndexConfig, embeddings: Embeddings, progress: Progress) -> tuple[Any, dict[str, Any]]:
    with progress.task("Indexing", total=embeddings.n_customers) as advance:
        inverted = build_inverted(embeddings.vectors, config, advance)
    with progress.task("Tuning the index", total=None):
        return inverted, tune(inverted, embeddings.vectors, config)


def _updated(
    config: IndexConfig, embeddings: Embeddings, previous: SearchIndex, progress: Progress
) -> tuple[Any | None, dict[str, Any]]:
    """The updated inverted file with its figures; None, and the figures that tell why, where it is to be built anew."""
    with progress.task("Comparing with the earlier index", total=None):
        found = changes(previous.embeddings, embeddings)
    n = embeddings.n_customers
    if found.kept < LEAST_KEPT * n:
        return None, {"rebuilt": {"kept": found.kept, "least_kept": round(LEAST_KEPT * n)}}
    with progress.task("Updating the index", total=len(found.fresh)) as advance:
        inverted = update_inverted(previous.inverted, found, embeddings, advance)
    updates = int(previous.manifest.figures.get("updates", 0)) + 1
    with progress.task("Tuning the index", total=None):
        figures = tune(inverted, embeddings.vectors, config, updates)
    most = limit(previous, config)
    if figures["visited"] > most:
        return None, {"rebuilt": {"visited": figures["visited"], "most_visited": most}}
    return inverted, {**figures, "updates": updates, "updated": found.counts(), "built": built(previous)}
