"""Which behaviour moved a customer from one segment to another.

Legend: f features that both snapshots have, m customers who moved, s segments; values of a feature are in robust
standard deviations of everybody (shares in plain ones), apart from the raw ones that are told.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cluster.clusters import Labels
from cluster.gate import MAD_TO_SD
from cluster.moves import Moved
from cluster.names import HOURS, terse_fields
from cluster.words import column, plural, readable

if TYPE_CHECKING:
    from eventlog.behaviour import Behaviour, Feature
    from eventlog.sequences import Column

EVERYBODY, OF_A_SEGMENT = 20_000, 2_000
"""Customers that figures are read from, evenly spread over the rows: a matrix of millions is never read whole."""
CELLS = 1 << 21
LEAST_CHANGE, LEAST_APART, LEAST_SHARE = 0.25, 0.25, 0.02
"""A change, and a difference between two segments, worth telling: in standard deviations, and of a share in itself."""
MOST = 5.0
"""Longer tails than this count no more, so that one outlier never speaks for the rest."""
SECOND = 0.5
"""What a second behaviour must weigh beside the first to be told."""
CANDIDATES = 6
NOTHING = "no single behaviour"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Scaled:
    """One snapshot's features in the terms of everybody."""

    matrix: "Column"
    columns: npt.NDArray[np.int64]
    """int64 [f]: where the features stand in the matrix."""
    centre: Floats
    """float32 [f]: everybody's value."""

    def rows(self, rows: npt.NDArray[np.int64]) -> Floats:
        """float32 [rows, f]"""
        found = np.asarray(self.matrix[rows], dtype=np.float32)
        return found if len(self.columns) == found.shape[1] and _in_order(self.columns) else found[:, self.columns]


def reasons(
    earlier: "Behaviour",
    later: "Behaviour",
    who: Moved,
    labels: tuple[Labels, Labels],
    aside: Collection[str] = (),
    most: int = 2,
) -> list[str]:
    """For each of m customers who moved, the one or two behaviours that moved them, in words.

    A behaviour counts by how far the customer's own value went, beside everybody's, times how far the new segment lies
    from the old one in it. `labels` are those of both snapshots; fields `aside` are those that segments do not go by.
    """
    features = {feature.name: i for i, feature in enumerate(earlier.features)}
    both = [(features[f.name], i) for i, f in enumerate(later.features) if f.name in features and f.field not in aside]
    if not both or not len(who.before):
        return [NOTHING] * len(who.before)
    told = [later.features[i] for _, i in both]
    is_share = np.array([feature.kind == "share" for feature in told])
    was, _ = _scaled(earlier, np.array([i for i, _ in both]), is_share)
    now, scale = _scaled(later, np.array([i for _, i in both]), is_share)
    sources, source_of = np.unique(who.source, return_inverse=True)
    targets, target_of = np.unique(who.target, return_inverse=True)
    from_centres = _centres(was, labels[0], sources, is_share)
    to_centres = _centres(now, labels[1], targets, is_share)
    out: list[str] = []
    terse = terse_fields(later.features)
    for part in _parts(len(who.before), len(told)):
        old, new = was.rows(who.before[part]), now.rows(who.after[part])
        apart = (to_centres[target_of[part]] - from_centres[source_of[part]]) / scale
        scores = _scores(new - old, (now.centre - was.centre)[None, :], apart, scale, is_share)
        out += [
            "; ".join(worded(told[i], float(old[row, i]), float(new[row, i]), terse) for i in chosen[:most]) or NOTHING
            for row, chosen in enumerate(_strongest(scores, told))
        ]
    return out


def _parts(m: int, f: int) -> Iterator[slice]:
    """Runs of customers, so many at once that memory stays bounded."""
    step = max(CELLS // f, 1)
    for start in range(0, m, step):
        yield slice(start, min(start + step, m))


def _in_order(columns: npt.NDArray[np.int64]) -> bool:
    return bool((columns == np.arange(len(columns))).all())


def _spread(n: int, most: int) -> npt.NDArray[np.int64]:
    """At most `most` of n rows, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)) if n else np.zeros(0, np.int64)


def _middle(values: Floats, is_share: npt.NDArray[np.bool_]) -> Floats:
    """Means of shares, medians of all else, of values [rows, f]."""
    middle = values.mean(axis=0, dtype=np.float64)
    middle[~is_share] = np.median(values[:, ~is_share], axis=0)
    return np.asarray(middle, dtype=np.float32)


def _scaled(
    behaviour: "Behaviour", columns: npt.NDArray[np.int64], is_share: npt.NDArray[np.bool_]
) -> tuple[_Scaled, Floats]:
    """A snapshot's features, and one standard deviation of each: plain of shares and where most are alike."""
    empty = _Scaled(behaviour.matrix, columns, np.zeros(len(columns), np.float32))
    values = empty.rows(_spread(len(behaviour.matrix), EVERYBODY))
    robust = MAD_TO_SD * np.median(np.abs(values - np.median(values, axis=0)), axis=0)
    plain = values.std(axis=0, dtype=np.float64)
    # shares have no tails to be guarded against, and most are 0 for most customers
    scale = np.where((robust > 0) & ~is_share, robust, plain)
    scaled = _Scaled(behaviour.matrix, columns, _middle(values, is_share))
    return scaled, np.where(scale > 0, scale, np.inf).astype(np.float32)


def _centres(
    scaled: _Scaled, labels: Labels, segments: npt.NDArray[np.int32], is_share: npt.NDArray[np.bool_]
) -> Floats:
    """float32 [s, f]: the middle of each segment, beside everybody's."""
    centres = np.zeros((len(segments), len(scaled.columns)), np.float32)
    for i, segment in enumerate(segments.tolist()):
        rows = np.flatnonzero(labels == segment)
        centres[i] = _middle(scaled.rows(rows[_spread(len(rows), OF_A_SEGMENT)]), is_share) - scaled.centre
    return centres


def _scores(raw: Floats, everybody: Floats, apart: Floats, scale: Floats, is_share: npt.NDArray[np.bool_]) -> Floats:
    """float32 [rows, f]: change times difference; 0 where either is hardly there, or they point apart.

    `raw` [rows, f] are the customers' own changes, `everybody` [1, f] what happened to everybody meanwhile.
    """
    change = np.clip((raw - everybody) / scale, -MOST, MOST)
    scores = change * np.clip(apart, -MOST, MOST)
    scores[(np.abs(change) < LEAST_CHANGE) | (np.abs(apart) < LEAST_APART)] = 0
    # what everybody did as much, or the other way, is no reason of one customer's
    scores[change * raw <= 0] = 0
    scores[:, is_share] = np.where(np.abs(raw[:, is_share]) < LEAST_SHARE, 0, scores[:, is_share])
    return np.asarray(np.maximum(scores, 0))


def _strongest(scores: Floats, features: "Sequence[Feature]") -> Iterator[list[int]]:
    """For each row of scores [rows, f] the features that count, strongest first, no subject twice."""
    few = min(CANDIDATES, scores.shape[1])
    best = np.argpartition(-scores, few - 1, axis=1)[:, :few]
    # by falling score, and by place where two are equal, so that the order never hangs on the partition
    order = np.lexsort((best, -np.take_along_axis(scores, best, axis=1)), axis=1)
    best = np.take_along_axis(best, order, axis=1)
    values = np.take_along_axis(scores, best, axis=1)
    for places, found in zip(best.tolist(), values.tolist(), strict=True):
        chosen: list[int] = []
        seen = set()
        for place, score in zip(places, found, strict=True):
            feature = features[place]
            about = (feature.field, feature.value) if feature.value is not None else (feature.name,)
            if score > 0 and score >= SECOND * found[0] and about not in seen:
                seen.add(about)
                chosen.append(place)
        yield chosen


def worded(feature: "Feature", before: float, after: float, terse: frozenset[str] = frozenset()) -> str:
    """A change in words, such as "more fuel: 2% to 31%"; values of the fields `terse` are named together with these."""
    more = after > before
    if feature.kind == "share" and feature.value is not None:
        return f"{_share(feature, feature.value, more, terse)}: {_percent(before)} to {_percent(after)}"
    words = readable(feature.words)
    told = f"{_number(before)} to {_number(after)}"
    if feature.kind == "count":
        thing = f"different {plural(column(feature.field))}" if feature.field else words.removeprefix("number of ")
        return f"{'more' if more else 'fewer'} {thing}: {told}"
    if words.startswith("days "):
        return f"{'more' if more else 'fewer'} {words}: {told}"
    return f"{'higher' if more else 'lower'} {words}: {told}"


def _share(feature: "Feature", value: str, more: bool, terse: frozenset[str]) -> str:
    if feature.field is None:
        return f"{'more' if more else 'less'} often {HOURS.get(value, f'on {value}s')}"
    subject = readable(value)
    if feature.field in terse or not any(letter.isalpha() for letter in value):
        subject = f"{column(feature.field)} {subject}"
    amount = feature.name.split("[", 1)[0] if feature.name.endswith("]") and "[" in feature.name else ""
    of = f" (share of {readable(amount)})" if amount else ""
    return f"{'more' if more else 'less'} {subject}{of}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share == 0 or abs(share) >= 0.1 else f"{share:.1%}"


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"
