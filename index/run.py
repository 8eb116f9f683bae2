"""Builds the search index of a snapshot."""

from pathlib import Path

from configs.progress import SILENT, Progress
from embed.artifact import Embeddings
from index.artifact import KIND, VERSION, load_index, write_index
from index.build import build_inverted, tune
from index.config import IndexConfig
from index.search import SearchIndex
from store.artifact import key_of, stands


def run(config: IndexConfig, embeddings: Embeddings, folder: Path, progress: Progress = SILENT) -> SearchIndex:
    """Build the index over `embeddings` at `folder`, or load it where a finished one of the same inputs stands.

    Memory stays within the 8-bit codes (n x d bytes) beside the mapped vectors. Raises StorageError on a full disk.
    """
    key = key_of(KIND, VERSION, config.model_dump(mode="json"), embeddings.key)
    if stands(folder, KIND, VERSION, key):
        return load_index(folder, embeddings, deep=False)
    if embeddings.n_customers <= config.exact_up_to:
        return write_index(folder, key, config, embeddings, None, {"method": "exact", "recall": 1.0})
    with progress.task("Indexing", total=embeddings.n_customers) as advance:
        inverted = build_inverted(embeddings.vectors, config, advance)
    with progress.task("Tuning the index", total=None):
        figures = tune(inverted, embeddings.vectors, config)
    return write_index(folder, key, config, embeddings, inverted, figures)
