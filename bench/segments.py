"""Time finding segments: `python -m bench.segments --customers 20000 --width 256` prints one JSON line.

Synthetic unit vectors: 20 unequal groups that share a few large directions of nuisance, and a tenth in none of them.
Agreement with the planted groups is the adjusted Rand index over true members; `background_found` is the share of the
others left unassigned. numba's compilation is done before the clock starts and told apart. With --night, then a night
in which 5 % of the customers change, without a shadow, and one with it.

With --workspace DIR --truth BANK/truth/customers.parquet it tells how the published segments agree with the simulated
bank's personas instead.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from bench.measure import measured
from cluster.artifact import Segments
from cluster.config import SegmentsConfig
from cluster.registry import Registry, advance, begin
from cluster.run import sample_of
from cluster.warm import warm_up
from embed.artifact import Embeddings
from store.workspace import Workspace

GROUPS, SIGNAL, SHARED, PIECE = 20, 32, 5, 1 << 16
BACKGROUND = 0.1


def planted(n: int, width: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Unit vectors [n, width] and the group of each, -1 for the background."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((GROUPS, SIGNAL))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    own = [np.linalg.qr(rng.standard_normal((SIGNAL, int(rng.integers(4, 10)))))[0].T for _ in range(GROUPS)]
    spread = rng.uniform(0.1, 0.3, GROUPS)
    nuisance = np.linalg.qr(rng.standard_normal((SIGNAL, SHARED)))[0].T * 0.3
    basis = np.linalg.qr(rng.standard_normal((width, min(SIGNAL, width))))[0][:, :SIGNAL]
    sizes = np.geomspace(20, 1, GROUPS)
    truth = rng.choice(GROUPS, size=n, p=sizes / sizes.sum())
    truth[rng.random(n) < BACKGROUND] = -1
    vectors = np.empty((n, width), np.float32)
    for start in range(0, n, PIECE):
        here = truth[start : start + PIECE]
        points = np.empty((len(here), SIGNAL))
        for group in range(GROUPS):
            rows = here == group
            points[rows] = (
                centres[group] + rng.standard_normal((rows.sum(), len(own[group]))) * spread[group] @ own[group]
            )
        rows = here < 0
        points[rows] = rng.standard_normal((rows.sum(), SIGNAL)) * 0.22
        points += rng.standard_normal((len(here), SHARED)) @ nuisance
        made = points[:, : basis.shape[1]] @ basis.T + rng.standard_normal((len(here), width)) * 0.035
        vectors[start : start + PIECE] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return vectors, truth


def synthetic(options: argparse.Namespace) -> dict[str, object]:
    """Time a fit on planted groups and compare."""
    vectors, truth = planted(options.customers, options.width, options.seed)
    with measured() as warming:
        warm_up()
    config = SegmentsConfig(seed=options.seed, threads=options.threads, stability_runs=options.stability_runs)
    with measured() as cost:
        found = begin(vectors, config, sample=_sample(config, vectors))
    members, labels = truth >= 0, found.members.labels
    nights = _nights(vectors, found, config, options.seed) if options.night else {}
    return {
        "stage": "segments", "customers": options.customers, "width": options.width, "threads": options.threads,
        "stability_runs": options.stability_runs, "wall_s": round(cost.wall_s, 2), "cpu_s": round(cost.cpu_s, 2),
        "warm_up_s": round(warming.wall_s, 2), "customers_per_s": round(options.customers / cost.wall_s),
        "peak_rss_mb": round(cost.peak_rss_mb, 1), "segments": len(found.segments), "planted": GROUPS,
        **agreement(truth[members], labels[members]),
        "background_found": round(float((labels[~members] < 0).mean()), 4),
        "unassigned_share": round(float((labels < 0).mean()), 4), **nights,
    }  # fmt: skip


def _sample(config: SegmentsConfig, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    return sample_of(pl.Series(np.arange(len(vectors))), config)


def _nights(
    vectors: npt.NDArray[np.float32], registry: Registry, config: SegmentsConfig, seed: int
) -> dict[str, float]:
    """Seconds of a night without a shadow and of one with it; 5 % of the customers become like somebody else."""
    rng, n, out = np.random.default_rng(seed + 1), len(vectors), dict[str, float]()
    for which, every in (("night", 1000), ("night_with_shadow", 1)):
        fresh = np.sort(rng.choice(n, n // 20, replace=False))
        vectors[fresh] = vectors[rng.choice(n, len(fresh))]
        with measured() as cost:
            registry = advance(
                registry, np.arange(n), fresh, vectors, config.model_copy(update={"shadow_every": every}),
                sample=_sample(config, vectors),
            )  # fmt: skip
        out |= {f"{which}_wall_s": round(cost.wall_s, 2), f"{which}_cpu_s": round(cost.cpu_s, 2)}
    return out


def published(options: argparse.Namespace) -> dict[str, object]:
    """Compare the segments of a workspace's served snapshot with a column of a file of customers."""
    folder = Workspace.open(options.workspace).snapshot_folder()
    found = Segments.load(folder / "segments")
    customers = Embeddings.load(folder / "embeddings", deep=False).customers
    told = pl.read_parquet(options.truth, columns=["customer_id", options.column])
    rows = told.with_columns(customer_id=told["customer_id"].cast(customers.dtype)).unique("customer_id", keep="last")
    true = customers.to_frame("customer_id").join(rows, on="customer_id", how="left", maintain_order="left")
    known = true[options.column].is_not_null().to_numpy()
    truth = true[options.column].rank("dense").fill_null(0).to_numpy()
    assigned = known & (found.labels >= 0)
    return {
        "stage": "segments", "customers": len(found.labels), "segments": len(found.profiles),
        "true_groups": int(true[options.column].n_unique() - (not known.all())),
        "unassigned_share": round(found.unassigned_share, 4), **agreement(truth[known], found.labels[known]),
        "assigned_only": agreement(truth[assigned], found.labels[assigned]),
    }  # fmt: skip


def agreement(truth: npt.NDArray[np.integer], labels: npt.NDArray[np.integer]) -> dict[str, float]:
    """Adjusted Rand index and normalised mutual information, the unassigned counting as one group."""
    return {
        "ari": round(float(adjusted_rand_score(truth, labels)), 4),
        "nmi": round(float(normalized_mutual_info_score(truth, labels)), 4),
    }


def main() -> None:
    """Read the options, print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--night", action="store_true", help="time two nights after the first fit as well")
    parser.add_argument("--stability-runs", type=int, default=SegmentsConfig().stability_runs)
    parser.add_argument(
        "--workspace", type=Path, help="compare this workspace's published segments with --truth instead"
    )
    parser.add_argument("--truth", type=Path, help="Parquet file with customer_id and --column")
    parser.add_argument("--column", default="persona_end")
    options = parser.parse_args()
    if (options.workspace is None) != (options.truth is None):
        parser.error("--workspace and --truth go together")
    print(json.dumps(published(options) if options.workspace else synthetic(options)))


if __name__ == "__main__":
    main()
