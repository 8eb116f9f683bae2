"""What a segment is, in words: at most four conditions on behaviours, judged on customers that they were not sought on.

Every customer belongs by a draw from the seed to one of two halves. Conditions are sought on a sample of one half and
measured on a sample of the other. Samples hold a part of each segment, so each customer stands for a weight of
customers. Thresholds are readable numbers before anything is measured: what is shown is what was judged.

n customers, f features, m customers of a sample.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from cluster.clusters import Labels
from cluster.neighbours import Floats
from cluster.rules import TOLERANCE, Coded, Cut, Doubles, Mask, code, f1_of, grow
from cluster.thresholds import awkwardness, thresholds_of
from cluster.words import condition, is_code, sentence, subject_of

if TYPE_CHECKING:
    from eventlog.behaviour import Behaviour, Feature

SEARCHED, MEASURED = 20_000, 50_000
"""Customers in the sample that conditions are sought on, and in the one that they are measured on."""
SEARCHED_MEMBERS, MEASURED_MEMBERS = 500, 2_000
"""Members of each segment that a sample has at least, where there are so many."""
FEWEST = 10
"""Members that each half has to have for a segment to be defined."""
AWKWARD = 0.001
"""What a threshold of two digits costs in F1 if the second is a 5; any other costs twice as much."""
PLAINNESS = {"max": 0.005, "median": 0.005, "distinct": 0.005}
"""What a statistic costs in F1 because it says less to a reader than a total or a share."""
CODE = 0.01
"""What a value that is a code, such as a merchant's number, costs in F1 beside one that is a word."""
UNREADABLE = (":std", ":min", "gap_std_days")
"""Spreads are nothing that a reader could check in the mind, and 0 is the smallest amount of whoever has none too."""
BLOCK = 32
"""Features that are coded at a time."""
SPLIT, SAMPLE = 71, 72
"""Purposes of random draws."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Condition:
    """One condition of a rule."""

    feature: str
    """Name of the behavioural feature."""
    words: str
    """The feature in words."""
    at_least: bool
    """Whether the value has to be at least the threshold, rather than at most."""
    threshold: float
    text: str
    """The condition in words."""

    def holds(self, values: Floats) -> Mask:
        """Which of the feature's values [m] meet it; compared as float32, as behaviours are kept."""
        threshold = np.float32(self.threshold)
        return np.asarray(values >= threshold if self.at_least else values <= threshold)


@dataclass(frozen=True)
class Definition:
    """A rule that says who is in a segment, and how well it says it."""

    conditions: tuple[Condition, ...]
    """One to four, all of which hold."""
    precision: float
    """Share of members among the customers whom it fits, of those that it was not sought on."""
    recall: float
    """Share of the members whom it fits, of those that it was not sought on."""
    text: str
    """The conditions in one sentence."""

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both > 0 else 0.0

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """The definition whose `dataclasses.asdict`, or its JSON, is `fields`."""
        return cls(**{**fields, "conditions": tuple(Condition(**item) for item in fields["conditions"])})


@dataclass(frozen=True, eq=False)
class _Sample:
    rows: Ints
    """[m] ascending."""
    labels: Labels
    weight: Doubles


def definitions(
    behaviour: "Behaviour",
    labels: Labels,
    segments: Sequence[int],
    seed: int,
    aside: Collection[str] = (),
    before: Mapping[int, Definition] | None = None,
    *,
    seek: bool = True,
) -> list[Definition | None]:
    """A definition for each of the `segments` (ids in `labels` [n]), without features of the fields `aside`.

    A definition of `before`, of a segment of the same id, is kept, and measured anew, while no other is better by more
    than the tolerance; where not `seek`, others are looked for only if it has become worse by as much. None where a
    segment has too few members, or where no rule says much more than "everybody".
    """
    half = np.random.default_rng([seed, SPLIT]).random(len(labels)) < 0.5
    searched = _sample(labels, half, SEARCHED, SEARCHED_MEMBERS, seed)
    measured = _sample(labels, ~half, MEASURED, MEASURED_MEMBERS, seed)
    known = [s for s in segments if min((x.labels == s).sum() for x in (searched, measured)) >= FEWEST]
    usable = {feature.name for feature in behaviour.features if _usable(feature, aside)}
    formers = {segment: before[segment] for segment in known if before and segment in before}
    out = {} if seek else _standing(behaviour, measured, formers, usable)
    sought = [segment for segment in known if segment not in out]
    coded, features = _coded(behaviour, searched, known if sought else (), aside)
    for segment in sought:
        rule = grow(coded, searched.labels == segment) if features else None
        conditions = (
            tuple(_condition(behaviour.features[features[c.feature]], coded, c) for c in rule.cuts) if rule else ()
        )
        former = formers.get(segment)
        if former is not None:
            conditions = _steady(behaviour, searched, segment, former.conditions, conditions, usable)
        if conditions:
            out[segment] = _measured(behaviour, measured, segment, conditions)
    return [out.get(segment) for segment in segments]


def fits(behaviour: "Behaviour", conditions: Sequence[Condition], rows: Ints) -> Mask:
    """Which customers among `rows` [m] meet all the conditions."""
    columns = {feature.name: i for i, feature in enumerate(behaviour.features)}
    out = np.ones(len(rows), bool)
    for one in conditions:
        out &= one.holds(behaviour.matrix[rows, columns[one.feature]])
    return out


def _sample(labels: Labels, half: Mask, most: int, least: int, seed: int) -> _Sample:
    """About `most` customers of a half: an equal part of each segment, but at least `least` of it where it has them."""
    rng = np.random.default_rng([seed, SAMPLE])
    there = np.flatnonzero(half)
    part = min(1.0, most / max(len(there), 1))
    rows, weights = [], []
    for label in np.unique(labels[there]):
        of_one = there[labels[there] == label]
        taken = min(len(of_one), max(round(part * len(of_one)), least if label >= 0 else 1))
        rows.append(rng.permutation(of_one)[:taken])
        weights.append(np.full(taken, len(of_one) / taken))
    if not rows:
        return _Sample(there, labels[there], np.zeros(0))
    chosen = np.concatenate(rows)
    order = np.argsort(chosen, kind="stable")
    return _Sample(chosen[order], labels[chosen[order]], np.concatenate(weights)[order])


def _coded(
    behaviour: "Behaviour", sample: _Sample, segments: Sequence[int], aside: Collection[str]
) -> tuple[Coded, list[int]]:
    """The sample's features as places among thresholds, and which features of `behaviour` these are."""
    usable = [i for i, feature in enumerate(behaviour.features) if _usable(feature, aside)]
    if not len(sample.rows) or not segments:
        usable = []
    kept: list[int] = []
    codes, thresholds, prices = [], [], []
    # by rows, as the matrix lies, and a hundred megabytes at most
    everything = np.asarray(behaviour.matrix[sample.rows]) if usable else np.empty((0, 0), np.float32)
    for start in range(0, len(usable), BLOCK):
        block = usable[start : start + BLOCK]
        values = everything[:, block]
        kinds = [behaviour.features[i].kind for i in block]
        for j, own in enumerate(thresholds_of(values, sample.labels, segments, kinds)):
            if len(own):
                kept.append(block[j])
                codes.append(code(values[:, j], own))
                thresholds.append(own)
                prices.append(_price(behaviour.features[block[j]]) + AWKWARD * awkwardness(own, kinds[j]))
    price = np.full((len(kept), max((len(t) for t in thresholds), default=0)), np.inf)
    for i, of_one in enumerate(prices):
        price[i, : len(of_one)] = of_one
    shape = (0, len(sample.rows))
    return Coded(np.stack(codes) if codes else np.zeros(shape, np.uint8), tuple(thresholds), price, sample.weight), kept


def _usable(feature: "Feature", aside: Collection[str]) -> bool:
    """Whether conditions may be about it."""
    return feature.field not in aside and not feature.name.endswith(UNREADABLE)


def _price(feature: "Feature") -> float:
    """What a feature costs in F1 because it says less to a reader than another."""
    if feature.field is not None and feature.value is not None:
        return CODE if is_code(feature.value) else 0.0
    return PLAINNESS.get(feature.name.rsplit(":", 1)[-1], 0.0)


def _condition(feature: "Feature", coded: Coded, cut: Cut) -> Condition:
    """A cut as a condition; its threshold as the decimal number that is shown."""
    threshold = float(str(coded.thresholds[cut.feature][cut.place]))
    text = condition(subject_of(feature), cut.at_least, threshold)
    return Condition(feature.name, feature.words, cut.at_least, threshold, text)


def _steady(
    behaviour: "Behaviour",
    sample: _Sample,
    segment: int,
    former: tuple[Condition, ...],
    found: tuple[Condition, ...],
    usable: Collection[str],
) -> tuple[Condition, ...]:
    """The former conditions, unless those found now are clearly better or not all of the former are usable."""
    if any(one.feature not in usable for one in former):
        return found
    mine = sample.labels == segment
    was, now = (f1_of(mine, fits(behaviour, rule, sample.rows), sample.weight) for rule in (former, found))
    return former if was >= now - TOLERANCE else found


def _standing(
    behaviour: "Behaviour", sample: _Sample, formers: Mapping[int, Definition], usable: Collection[str]
) -> dict[int, Definition]:
    """The former definitions, measured anew, whose conditions are all usable and that fit about as well as they did."""
    out = {}
    for segment, former in formers.items():
        if all(one.feature in usable for one in former.conditions):
            now = _measured(behaviour, sample, segment, former.conditions)
            if now.f1 >= former.f1 - TOLERANCE:
                out[segment] = now
    return out


def _measured(behaviour: "Behaviour", sample: _Sample, segment: int, conditions: tuple[Condition, ...]) -> Definition:
    """The definition with its precision and recall on a sample that its conditions were not sought on."""
    mine, fitting = sample.labels == segment, fits(behaviour, conditions, sample.rows)
    right = float(sample.weight[mine & fitting].sum())
    covered, members = float(sample.weight[fitting].sum()), float(sample.weight[mine].sum())
    text = sentence([one.text for one in conditions])
    return Definition(conditions, right / covered if covered > 0 else 0.0, right / members, text)
