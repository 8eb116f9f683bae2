"""The density gate: who lives in a region so thin, next to its neighbours' own, that no group can claim them.

A projection pulls such customers into the nearest group, and nothing after it can find them again, so they are set
aside before it. The figure is a local-outlier ratio in the manner of LOF (Breunig et al., 2000), its threshold robust.
"""

import numpy as np
import numpy.typing as npt

from cluster.neighbours import Floats, Neighbours

MAD_TO_SD = 1.4826


def reach(graph: Neighbours) -> Floats:
    """Distance of every customer to the last of its neighbours, float32 [n]."""
    return graph.distances[:, -1]


def isolation(own: Floats, neighbours_rows: npt.NDArray[np.int32], reaches: Floats) -> Floats:
    """Own reach [q] over the mean reach of one's neighbours, float32 [q]; about 1 inside a group, large far from any.

    `neighbours_rows` [q, k] are rows of `reaches` [n]. Among exact duplicates, whose reach is 0, the ratio is 1.
    """
    around = reaches[neighbours_rows].mean(axis=1)
    ratio = np.ones_like(own)
    np.divide(own, around, out=ratio, where=around > 0)
    ratio[(around == 0) & (own > 0)] = np.inf
    return ratio


def threshold(ratios: Floats, spread: float) -> float:
    """Median + `spread` robust standard deviations of the isolation ratios; more than this is background."""
    finite = ratios[np.isfinite(ratios)]
    if len(finite) == 0:
        return 1.0
    middle = float(np.median(finite))
    mad = float(np.median(np.abs(finite - middle)))
    # rounding alone must not set anybody aside where all are alike
    return middle + spread * MAD_TO_SD * mad + 1e-3
