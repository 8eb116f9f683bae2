"""What sets a segment apart: its behaviours against everybody's.

n customers, f features, s segments. Shares (of a customer's events in a category) are compared by lift and ranked by
share × |log lift|, which favours neither rare values nor big ones that everybody has; counts, amounts and times by the
robust z of the segment's median (distance from everybody's median in robust standard deviations).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cluster.clusters import Labels
from cluster.gate import MAD_TO_SD
from cluster.neighbours import Floats

if TYPE_CHECKING:
    from eventlog.behaviour import Behaviour, Feature
    from eventlog.sequences import Column

LEAST_T = 4.0
LEAST_LIFT = 1.15
LEAST_Z = 0.25
LEAST_MEMBERS_WITH = 5
TINY_SHARE = 1e-4

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Driver:
    """One behaviour that sets a segment apart."""

    feature: str
    """Name of the behavioural feature."""
    words: str
    """The feature in words."""
    kind: str
    """count, time, amount or share."""
    field: str | None
    """The field of the events that it is made from; None where it is made from times alone."""
    value: str | None
    """The field's value that it is about, for shares."""
    segment: float
    """The segment's value: mean of a share, median of anything else."""
    everybody: float
    """The same figure of all customers."""
    lift: float | None
    """segment / everybody; None where that has no meaning (a figure that is not positive)."""
    z: float
    """Robust z of the segment's value; for a share, the difference of means in standard deviations of all customers."""
    score: float
    """What drivers are ranked by; 1 is as strong as the best driver of this sort of the middle segment."""

    @property
    def higher(self) -> bool:
        """Whether the segment does this more than everybody."""
        return self.segment > self.everybody


@dataclass(frozen=True, eq=False)
class Table:
    """Every feature's figures in every segment and among all customers; arrays [f] and [s, f], float64."""

    sizes: npt.NDArray[np.int64]
    mean: Doubles
    median: Doubles
    sd: Doubles
    robust_sd: Doubles
    with_any: npt.NDArray[np.int64]
    segment_mean: Doubles
    segment_median: Doubles


def table(matrix: "Column", labels: Labels, segments: int, middle: npt.NDArray[np.bool_] | None = None) -> Table:
    """Figures of the features `matrix` [n, f] over all customers and per segment, a few columns at a time.

    Medians, which take longer than all else, are looked for in the features `middle` bool [f] alone, where it is given;
    they are 0 elsewhere.
    """
    n, f = matrix.shape
    rows = [np.flatnonzero(labels == segment) for segment in range(segments)]
    out = Table(
        sizes=np.array([len(r) for r in rows], np.int64),
        mean=np.zeros(f),
        median=np.zeros(f),
        sd=np.zeros(f),
        robust_sd=np.zeros(f),
        with_any=np.zeros((segments, f), np.int64),
        segment_mean=np.zeros((segments, f)),
        segment_median=np.zeros((segments, f)),
    )
    width = max(1, (1 << 23) // max(n, 1))
    for start in range(0, f, width):
        part = slice(start, start + width)
        values = np.asarray(matrix[:, part], dtype=np.float64)
        out.mean[part], out.sd[part] = values.mean(axis=0), values.std(axis=0)
        asked = np.arange(values.shape[1]) if middle is None else np.flatnonzero(middle[part])
        # a column at a time lies together, which is what looking for its middle takes
        columns = np.ascontiguousarray(values[:, asked].T)
        medians = np.median(columns, axis=1)
        out.median[start + asked] = medians
        out.robust_sd[start + asked] = MAD_TO_SD * np.median(np.abs(columns - medians[:, None]), axis=1)
        for segment, members in enumerate(rows):
            mine = values[members]
            out.segment_mean[segment, part] = mine.mean(axis=0)
            out.segment_median[segment, start + asked] = np.median(columns[:, members], axis=1)
            out.with_any[segment, part] = (mine != 0).sum(axis=0)
    return out


def drivers(behaviour: "Behaviour", labels: Labels, segments: int, most: int) -> list[tuple[Driver, ...]]:
    """At most `most` drivers per segment, strongest first.

    A difference has to be larger than chance allows at the segment's size (t of the means at least 4, which leaves
    room for hundreds of features), larger than trivial, and carried by at least five members.
    """
    if segments == 0:
        return []
    is_share = np.array([feature.kind == "share" for feature in behaviour.features], bool)
    figures = table(behaviour.matrix, labels, segments, ~is_share)  # of a share its mean is told
    scores = _scores(figures, is_share)
    for which in (is_share, ~is_share):
        # so that shares and other figures compare: 1 is the best driver of the middle segment
        best = scores[:, which].max(axis=1, initial=0.0)
        scores[:, which] /= float(np.median(best[best > 0])) if (best > 0).any() else 1.0
    return [_strongest(behaviour.features, figures, scores, segment, most) for segment in range(segments)]


def _strongest(
    features: "Sequence[Feature]", figures: Table, scores: Doubles, segment: int, most: int
) -> tuple[Driver, ...]:
    """The segment's drivers by falling score; of several shares of one value (of events, of money) the strongest."""
    found: list[Driver] = []
    seen = set()
    for i in np.argsort(-scores[segment], kind="stable").tolist():
        if scores[segment, i] <= 0 or len(found) == most:
            break
        feature = features[i]
        about = (feature.field, feature.value) if feature.value is not None else (feature.name,)
        if about not in seen:
            seen.add(about)
            found.append(_driver(feature, figures, segment, i, float(scores[segment, i])))
    return tuple(found)


def lifts(figures: Table) -> Doubles:
    """Mean of the segment over mean of everybody, [s, f]; NaN where the latter is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(figures.mean > 0, figures.segment_mean / figures.mean, np.nan)


def _scores(figures: Table, is_share: npt.NDArray[np.bool_]) -> Doubles:
    """Raw scores [s, f]: shares by share × |log lift|, others by |robust z|; 0 where it may be chance or is trivial."""
    mine, all_ = np.where(is_share, figures.segment_mean, 0.0), np.where(is_share, figures.mean, 0.0)
    smooth = np.log((mine + TINY_SHARE) / (all_ + TINY_SHARE))
    of_shares = np.maximum(mine, all_) * np.abs(smooth)
    of_shares[np.abs(smooth) < np.log(LEAST_LIFT)] = 0
    z = np.abs(_z(figures))
    of_others = np.where(z < LEAST_Z, 0, z)
    scores = np.where(is_share, of_shares, of_others)
    error = np.maximum(figures.sd, 1e-12) / np.sqrt(np.maximum(figures.sizes, 1))[:, None]
    by_chance = np.abs(figures.segment_mean - figures.mean) / error < LEAST_T
    higher = figures.segment_mean > figures.mean
    few = higher & (figures.with_any < LEAST_MEMBERS_WITH)
    return np.where(by_chance | few, 0.0, scores)


def _z(figures: Table) -> Doubles:
    """Robust z of the medians [s, f]; where most customers share one value, of the means in standard deviations."""
    robust = figures.robust_sd > 0
    scale = np.where(robust, figures.robust_sd, figures.sd)
    apart = np.where(robust, figures.segment_median - figures.median, figures.segment_mean - figures.mean)
    return apart / np.where(scale > 0, scale, 1.0)


def _driver(feature: "Feature", figures: Table, segment: int, i: int, score: float) -> Driver:
    if feature.kind == "share":
        mine, all_ = float(figures.segment_mean[segment, i]), float(figures.mean[i])
        z = (mine - all_) / max(float(figures.sd[i]), 1e-12)
    else:
        robust = figures.robust_sd[i] > 0
        mine = float((figures.segment_median if robust else figures.segment_mean)[segment, i])
        all_ = float((figures.median if robust else figures.mean)[i])
        z = float(_z(figures)[segment, i])
    lift = mine / all_ if all_ > 0 and mine >= 0 else None
    subject = (feature.name, feature.words, feature.kind, feature.field, feature.value)
    return Driver(*subject, mine, all_, lift, z, score)


def typical(space: Floats, rows: npt.NDArray[np.int64], most: int) -> tuple[int, ...]:
    """The `most` members among `rows` that are nearest to the mean of these rows of `space` [n, d]."""
    vectors = np.asarray(space[rows], dtype=np.float64)
    apart = ((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1)
    return tuple(int(rows[i]) for i in np.argsort(apart, kind="stable")[:most])
