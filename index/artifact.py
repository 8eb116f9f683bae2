"""What building the index writes, and how it is read back.

    <snapshot>/index/
      index.faiss      the inverted file; missing where every search is exact, since that reads the vectors themselves
      manifest.json    figures: method, cells, nprobe, recall and how it was measured; of one that was updated instead
                       of built, the updates since the last build, what changed, and the build's customers and nprobe

FAISS reads a flipped bit without a word, so every load is checked against the manifest's checksums.
"""

from pathlib import Path
from typing import Any

import faiss

from configs.errors import ArtifactError
from embed.artifact import Embeddings
from index.config import IndexConfig
from index.search import SearchIndex, fitting
from store.artifact import create, verify

KIND, VERSION, FILE = "index", 2, "index.faiss"
SPARE_OF_8_BITS = 1.5
"""Candidates per neighbour with the 8-bit codes of format 1."""


def write_index(
    folder: Path,
    key: str,
    config: IndexConfig,
    embeddings: Embeddings,
    inverted: Any | None,
    figures: dict[str, Any],
    previous: str | None = None,
) -> SearchIndex:
    """Write an index as one finished artifact and return it; `previous` is the key of the one it was made from.

    Raises StorageError on a full disk.
    """
    with create(folder, KIND, VERSION, key) as writer:
        if inverted is not None:
            faiss.write_index(inverted, str(writer.path(FILE)))
        writer.parents["embeddings"] = embeddings.key
        if previous is not None:
            writer.parents["previous"] = previous
        writer.counts.update(customers=embeddings.n_customers, width=embeddings.width)
        writer.figures.update(figures, neighbours=config.neighbours, exact_up_to=config.exact_up_to)
    return load_index(folder, embeddings, deep=False)


def load_index(folder: Path, embeddings: Embeddings, *, deep: bool = True) -> SearchIndex:
    """Read the index at `folder` over `embeddings`; `deep` checks every byte.

    Raises ArtifactError where a file is damaged, or the index was built over other embeddings.
    """
    manifest = verify(folder, KIND, VERSION, deep=deep)
    fitting(manifest, embeddings, folder)
    figures = manifest.figures
    common = {"neighbours": figures["neighbours"], "exact_up_to": figures["exact_up_to"]}
    if figures["method"] == "exact":
        return SearchIndex(embeddings, manifest, **common)
    try:
        inverted = faiss.read_index(str(folder / FILE))
    except RuntimeError as error:
        raise ArtifactError(f"{folder / FILE}: FAISS cannot read it ({error}); rebuild the index") from None
    if (inverted.ntotal, inverted.d) != (embeddings.n_customers, embeddings.width):
        raise ArtifactError(
            f"{folder / FILE}: holds {inverted.ntotal} vectors {inverted.d} wide, the embeddings "
            f"{embeddings.n_customers} and {embeddings.width}; rebuild the index"
        )
    # format 1 had 8-bit codes and did not tell
    spare = figures.get("spare", SPARE_OF_8_BITS)
    return SearchIndex(embeddings, manifest, inverted, figures["nprobe"], spare, **common)
