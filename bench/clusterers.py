"""Ways to cluster vectors that kinfolk's segments are set beside: `python bench/clusterers.py NAME FOLDER`.

`bench.segments_peers` runs it, each way in a process of its own, so that peak memory is the way's. It needs numpy and
the package of the way alone, no kinfolk but for `kinfolk` itself. FOLDER holds vectors.npy [n, d] and facts.json
(least size of a cluster, number of true groups, seed, threads); labels.npy (int64 [n], -1 for none) is written beside
them, and one JSON line of what it cost is printed. Everything is run once on a small cloud before the clock starts, so
that imports and numba's compilation are told apart.
"""

import argparse
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WARM = 5000
"""Customers of the cloud that compiles everything: above 4,096, where UMAP starts to look for neighbours roughly."""
MOST_GROUPS = 40
LOOKED_AT = 5000
"""Customers on which a silhouette is taken: it compares all pairs."""


@dataclass(frozen=True)
class Facts:
    """What a way may know beside the vectors."""

    smallest: int
    """Least size of a cluster: kinfolk's own for so many customers."""
    groups: int
    """How many true groups there are; only ways that say so in their name read it."""
    seed: int = 0
    threads: int = 1


Cluster = Callable[[np.ndarray, Facts], np.ndarray]
"""(vectors [n, d], facts) -> labels int64 [n], -1 for none."""


def kmeans(vectors: np.ndarray, facts: Facts) -> np.ndarray:
    """k-means with the true number of groups."""
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(facts.groups, n_init=3, random_state=facts.seed).fit(vectors).labels_)


def kmeans_silhouette(vectors: np.ndarray, facts: Facts) -> np.ndarray:
    """k-means with the number of groups, 2 to 40, whose silhouette is best."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    best, labels = -2.0, np.zeros(len(vectors), np.int64)
    for k in range(2, min(MOST_GROUPS, len(vectors) - 1) + 1):
        found = KMeans(k, n_init=3, random_state=facts.seed).fit(vectors).labels_
        size = min(LOOKED_AT, len(vectors))
        score = silhouette_score(vectors, found, sample_size=size, random_state=facts.seed)
        if score > best:
            best, labels = score, found
    return np.asarray(labels)


def umap_hdbscan(vectors: np.ndarray, facts: Facts) -> np.ndarray:
    """UMAP into 5 dimensions for clustering, as its documentation has it, and HDBSCAN with kinfolk's least size."""
    return _umap_hdbscan(vectors, facts, facts.smallest)


def bertopic_pipeline(vectors: np.ndarray, facts: Facts) -> np.ndarray:
    """What BERTopic does with embeddings by default, without the package: UMAP, HDBSCAN of at least 10."""
    return _umap_hdbscan(vectors, facts, 10)


def _umap_hdbscan(vectors: np.ndarray, facts: Facts, smallest: int) -> np.ndarray:
    import hdbscan
    import umap

    layout = umap.UMAP(
        n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=facts.seed, n_jobs=1
    ).fit_transform(vectors)
    found = hdbscan.HDBSCAN(min_cluster_size=smallest, core_dist_n_jobs=facts.threads).fit(layout)
    return np.asarray(found.labels_)


def bertopic(vectors: np.ndarray, facts: Facts) -> np.ndarray:
    """BERTopic itself with its own settings, given the vectors as embeddings of documents of one word each."""
    from bertopic import BERTopic
    from umap import UMAP

    layout = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=facts.seed, n_jobs=1)
    words = [f"word{row % 1000}" for row in range(len(vectors))]
    return np.asarray(BERTopic(umap_model=layout).fit_transform(words, embeddings=vectors)[0])


def evoc(vectors: np.ndarray, facts: Facts) -> np.ndarray:
    """EVōC with its own settings: the layer that it holds for the best."""
    from evoc import EVoC

    return np.asarray(EVoC(random_state=facts.seed).fit_predict(vectors))


def evoc_sized(vectors: np.ndarray, facts: Facts) -> np.ndarray:
    """EVōC with kinfolk's least size of a cluster."""
    from evoc import EVoC

    return np.asarray(EVoC(base_min_cluster_size=facts.smallest, random_state=facts.seed).fit_predict(vectors))


def kinfolk(vectors: np.ndarray, facts: Facts) -> np.ndarray:
    """kinfolk's own, with its own settings."""
    from cluster.config import SegmentsConfig
    from cluster.fit import fit

    return fit(vectors, SegmentsConfig(seed=facts.seed, threads=facts.threads)).labels.astype(np.int64)


@dataclass(frozen=True)
class Way:
    """A way to cluster."""

    package: str
    """What has to be installed for it."""
    cluster: Cluster


WAYS = {
    "kinfolk": Way("kinfolk", kinfolk),
    "kmeans": Way("scikit-learn", kmeans),
    "kmeans-silhouette": Way("scikit-learn", kmeans_silhouette),
    "umap-hdbscan": Way("umap-learn", umap_hdbscan),
    "bertopic": Way("bertopic", bertopic),
    "bertopic-pipeline": Way("umap-learn", bertopic_pipeline),
    "evoc": Way("evoc", evoc),
    "evoc-sized": Way("evoc", evoc_sized),
}


def cloud(width: int, seed: int) -> np.ndarray:
    """A few round groups to compile on; float32 [WARM, width] of unit length."""
    rng = np.random.default_rng([seed, 7])
    centres = rng.standard_normal((5, width))
    points = centres[rng.integers(0, 5, WARM)] + 0.3 * rng.standard_normal((WARM, width))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), np.float32)


def peak_rss_mb() -> float:
    """Most memory held by this process, MB; getrusage would tell of the one that started it, where that held more."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Warm up, cluster, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(WAYS))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    # a script's own folder comes first, where files of this folder would hide packages of the same name
    sys.path[:] = [place for place in sys.path if Path(place or os.curdir).resolve() != Path(__file__).resolve().parent]
    way = WAYS[options.name]
    try:
        version = importlib.metadata.version(way.package)
    except importlib.metadata.PackageNotFoundError:
        print(json.dumps({"way": options.name, "missing": way.package}))
        return
    facts = Facts(**json.loads((options.folder / "facts.json").read_text(encoding="utf-8")))
    vectors = np.load(options.folder / "vectors.npy")
    started = time.perf_counter()
    way.cluster(cloud(vectors.shape[1], facts.seed), Facts(50, 5, facts.seed, facts.threads))
    warm_up = time.perf_counter() - started
    wall, cpu = time.perf_counter(), time.process_time()
    labels = way.cluster(vectors, facts)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    np.save(options.folder / "labels.npy", labels.astype(np.int64))
    cost = {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1), "warm_up_s": round(warm_up, 1)}
    print(json.dumps({"way": options.name, "version": version, **cost, "peak_rss_mb": round(peak_rss_mb(), 1)}))


if __name__ == "__main__":
    main()
