"""One other library on the vectors of `bench.search`: `python bench/peers.py NAME FOLDER` prints one JSON line.

`bench.search --peers` runs it, each peer in a process of its own, so that peak memory is the peer's. It needs numpy
and the peer alone, no kinfolk. FOLDER holds vectors.npy [n, d], asked.npy (rows that ask, themselves left out) and
truth.npy (their true neighbours). One half of the queries tunes the width of the search to the wanted recall, the
other half is reported, as kinfolk's own index does it. Times are of single queries, one after the other.
"""

import argparse
import importlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Search = Callable[[np.ndarray, int, int], np.ndarray]
"""(query [d], how many, width of the search) -> rows."""


@dataclass(frozen=True)
class Built:
    """An index that is ready to be asked."""

    searches: dict[str, Search]
    """Ways to ask it: each is tuned, and the quickest one kept. One of them, without a name, where there is one."""
    size_mb: float
    """On disk, with the vectors where it keeps them."""
    widest: int
    """Largest width of a search; 0 where there is nothing to tune."""
    narrowest: int = 0
    """Least width, as a multiple of the neighbours asked for: lists of candidates in graphs are no shorter."""


@dataclass(frozen=True)
class Peer:
    """A library and a kind of index."""

    package: str
    width: str
    """What the width of its search is called there."""
    build: Callable[[np.ndarray, Path, int], Built]
    """(vectors, a scratch folder, threads) -> index."""


def faiss_index(factory: str) -> Callable[[np.ndarray, Path, int], Built]:
    """FAISS by its factory string; `{lists}` stands for four times the square root of n, as its guide has it."""

    def build(vectors: np.ndarray, folder: Path, threads: int) -> Built:
        import faiss

        faiss.omp_set_num_threads(threads)
        n, d = vectors.shape
        lists = round(4 * n**0.5)
        index = faiss.index_factory(d, factory.format(lists=lists), faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            sample = np.random.default_rng(0).choice(n, min(n, 64 * lists), replace=False)
            index.train(np.ascontiguousarray(vectors[np.sort(sample)]))
        for start in range(0, n, 1 << 16):
            index.add(np.ascontiguousarray(vectors[start : start + (1 << 16)]))
        faiss.write_index(index, str(folder / "faiss"))

        def parameters(width: int) -> Any:
            if "HNSW" in factory:
                return faiss.SearchParametersHNSW(efSearch=width)
            return faiss.SearchParametersIVF(nprobe=width) if "IVF" in factory else None

        def search(query: np.ndarray, k: int, width: int) -> np.ndarray:
            return index.search(query[None], k, params=parameters(width))[1][0]

        if "HNSW" in factory:
            return Built({"": search}, size_of(folder), 4096, narrowest=1)
        return Built({"": search}, size_of(folder), lists if "IVF" in factory else 0)

    return build


def usearch_index(vectors: np.ndarray, folder: Path, threads: int) -> Built:
    """usearch's HNSW with its own settings."""
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f32")
    for start in range(0, len(vectors), 1 << 16):
        piece = np.ascontiguousarray(vectors[start : start + (1 << 16)])
        index.add(np.arange(start, start + len(piece)), piece, threads=threads)
    index.save(str(folder / "usearch"))

    def search(query: np.ndarray, k: int, width: int) -> np.ndarray:
        index.expansion_search = width
        return index.search(query, k, threads=1).keys.astype(np.int64)

    return Built({"": search}, size_of(folder), 4096, narrowest=1)


def lancedb_index(kind: str) -> Callable[[np.ndarray, Path, int], Built]:
    """LanceDB's IVF_PQ or IVF_HNSW_SQ; the best candidates are compared by their full vectors again (refine)."""

    def build(vectors: np.ndarray, folder: Path, threads: int) -> Built:
        import lancedb
        import pyarrow as pa
        from lancedb.index import HnswSq, IvfPq

        schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), vectors.shape[1]))])

        def batches() -> Any:
            for start in range(0, len(vectors), 1 << 16):
                piece = np.ascontiguousarray(vectors[start : start + (1 << 16)])
                rows = pa.FixedSizeListArray.from_arrays(pa.array(piece.ravel()), vectors.shape[1])
                yield pa.record_batch([pa.array(np.arange(start, start + len(piece))), rows], schema=schema)

        table = lancedb.connect(folder).create_table("customers", batches(), schema=schema)
        lists = round(len(vectors) ** 0.5)
        config: Any = HnswSq(distance_type="dot") if kind == "IVF_HNSW_SQ" else IvfPq("dot", lists)
        table.create_index("vector", config=config)

        def search(refined: int, query: np.ndarray, k: int, width: int) -> np.ndarray:
            asked = table.search(query).distance_type("dot").limit(k).select(["id", "_distance"])
            asked = asked.ef(max(width, refined * k)) if kind == "IVF_HNSW_SQ" else asked.nprobes(width)
            return asked.refine_factor(refined).to_arrow()["id"].to_numpy()

        factors = (1, 2) if kind == "IVF_HNSW_SQ" else (5, 20, 50)
        searches = {f"refine_factor {factor}": partial(search, factor) for factor in factors}
        if kind == "IVF_HNSW_SQ":
            return Built(searches, size_of(folder), 4096, narrowest=1)
        return Built(searches, size_of(folder), lists)

    return build


PEERS = {
    "faiss-flat": Peer("faiss", "", faiss_index("Flat")),
    "faiss-ivf-flat": Peer("faiss", "nprobe", faiss_index("IVF{lists},Flat")),
    "faiss-ivf-sq8": Peer("faiss", "nprobe", faiss_index("IVF{lists},SQ8")),
    "faiss-hnsw": Peer("faiss", "efSearch", faiss_index("HNSW32")),
    "usearch-hnsw": Peer("usearch", "expansion_search", usearch_index),
    "lancedb-ivf-pq": Peer("lancedb", "nprobes", lancedb_index("IVF_PQ")),
    "lancedb-ivf-hnsw-sq": Peer("lancedb", "ef", lancedb_index("IVF_HNSW_SQ")),
}


def size_of(folder: Path) -> float:
    """MB of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def peak_rss_mb() -> float:
    """Most memory held by this process, MB; getrusage would tell of the one that started it, where that held more."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


class Judge:
    """Asks the queries and compares with the truth."""

    def __init__(self, folder: Path) -> None:
        self.truth, self.asked = np.load(folder / "truth.npy"), np.load(folder / "asked.npy")
        self.queries = np.ascontiguousarray(np.load(folder / "vectors.npy", mmap_mode="r")[self.asked])
        self.k = self.truth.shape[1]
        self.tuning, self.reported = np.array_split(np.arange(len(self.asked)), 2)

    def ask(self, search: Search, which: np.ndarray, width: int) -> tuple[float, np.ndarray]:
        """Recall of some of the queries, and the seconds that each took."""
        hits, seconds = 0, []
        for at in which:
            started = time.perf_counter()
            found = search(self.queries[at], self.k + 1, width)
            seconds.append(time.perf_counter() - started)
            hits += len(np.intersect1d(found[found != self.asked[at]][: self.k], self.truth[at]))
        return hits / (len(which) * self.k), np.array(seconds)

    def best(self, built: Built, wanted: float) -> tuple[str, int]:
        """The way to ask, and its width, that is quickest among those with the wanted recall on the tuning half.

        Where none has it, the one with the highest recall.
        """
        ways = []
        for name, search in built.searches.items():
            width = self.tuned(search, built, wanted) if built.widest else 0
            recall, seconds = self.ask(search, self.tuning, width)
            ways.append((-min(recall, wanted), float(np.median(seconds)), name, width))
        return min(ways)[2:]

    def tuned(self, search: Search, built: Built, wanted: float) -> int:
        """The least width with the wanted recall on the tuning half; the widest where none has it."""
        least, widest = max(8, built.narrowest * (self.k + 1)), built.widest
        low, high = least - 1, min(least, widest)
        while high < widest and self.ask(search, self.tuning, high)[0] < wanted:
            low, high = high, min(2 * high, widest)
        while high - low > max(1, high // 16):
            middle = (low + high) // 2
            enough = self.ask(search, self.tuning, middle)[0] >= wanted
            low, high = (low, middle) if enough else (middle, high)
        return high


def main() -> None:
    """Build, tune, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(PEERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recall", type=float, default=0.98)
    parser.add_argument("--threads", type=int, default=1, help="threads to build with, where the library lets one say")
    options = parser.parse_args()
    peer = PEERS[options.name]
    try:
        version = getattr(importlib.import_module(peer.package), "__version__", "")
    except ImportError:
        print(json.dumps({"peer": options.name, "missing": peer.package}))
        return
    vectors = np.load(options.folder / "vectors.npy", mmap_mode="r")
    scratch = options.folder / options.name
    scratch.mkdir()
    wall, cpu = time.perf_counter(), time.process_time()
    built = peer.build(vectors, scratch, options.threads)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    judge = Judge(options.folder)
    way, width = judge.best(built, options.recall)
    recall, seconds = judge.ask(built.searches[way], judge.reported, width)
    print(json.dumps({
        "peer": options.name, "version": version, "tuned": peer.width, "width": width, "way": way,
        "recall": round(recall, 4),
        "build_s": round(wall, 1), "build_cpu_s": round(cpu, 1),
        "p50_ms": round(1000 * float(np.quantile(seconds, 0.5)), 3),
        "p99_ms": round(1000 * float(np.quantile(seconds, 0.99)), 3),
        "size_mb": round(built.size_mb, 1),
        "peak_rss_mb": round(peak_rss_mb(), 1),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
