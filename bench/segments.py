"""Time finding segments: `python -m bench.segments --customers 20000 --width 128` prints one JSON line.

Synthetic unit vectors: 20 unequal groups that share a few large directions of nuisance, and a tenth in none of them.
Agreement with the planted groups is the adjusted Rand index over true members; `background_found` is the share of the
others left unassigned. numba's compilation is done before the clock starts and told apart.
"""

import argparse
import json

import numpy as np
import numpy.typing as npt
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from bench.measure import measured
from cluster.config import SegmentsConfig
from cluster.fit import fit
from cluster.warm import warm_up

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


def main() -> None:
    """Plant, segment, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stability-runs", type=int, default=SegmentsConfig().stability_runs)
    options = parser.parse_args()
    vectors, truth = planted(options.customers, options.width, options.seed)
    with measured() as warming:
        warm_up()
    config = SegmentsConfig(seed=options.seed, threads=options.threads, stability_runs=options.stability_runs)
    with measured() as cost:
        found = fit(vectors, config)
    members = truth >= 0
    print(json.dumps({
        "stage": "segments", "customers": options.customers, "width": options.width, "threads": options.threads,
        "stability_runs": options.stability_runs, "wall_s": round(cost.wall_s, 2), "cpu_s": round(cost.cpu_s, 2),
        "warm_up_s": round(warming.wall_s, 2), "customers_per_s": round(options.customers / cost.wall_s),
        "peak_rss_mb": round(cost.peak_rss_mb, 1), "segments": len(found.stability), "planted": GROUPS,
        "ari": round(float(adjusted_rand_score(truth[members], found.labels[members])), 4),
        "nmi": round(float(normalized_mutual_info_score(truth[members], found.labels[members])), 4),
        "background_found": round(float((found.labels[~members] < 0).mean()), 4),
        "unassigned_share": round(float((found.labels < 0).mean()), 4),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
