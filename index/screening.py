"""Fewer inputs for scorers that suffer from many: those in which seeds differ most from everybody else."""

from dataclasses import dataclass

import numpy as np

from index.scorers import Floats, Others, Rows, Scorer, Scoring


@dataclass(frozen=True)
class Screened:
    """A scorer that sees the `inputs` in which seeds differ most, and fewer of the others.

    The inputs are found anew on the seeds of every fit, so that held-out seeds have no say (Hastie, Tibshirani,
    Friedman, "The Elements of Statistical Learning", 2009, section 7.10.2). Fan, Lv, "Sure independence screening",
    JRSS B 70, 2008.
    """

    scorer: Scorer
    inputs: int
    against: int
    """Others fitted against, where seeds are fewer; as many as seeds, where those are more."""

    def fit(self, seeds: Floats, others: Others, rng: np.random.Generator) -> Scoring:
        """Screen, then fit."""
        columns = apart(seeds, others, self.inputs)
        some = np.sort(rng.permutation(len(others.rows))[: max(self.against, len(seeds))])
        fewer = Others(np.take(others.rows[some], columns, axis=1))
        score = self.scorer.fit(np.take(seeds, columns, axis=1), fewer, rng)
        return Narrow(columns, score)


@dataclass(frozen=True)
class Narrow:
    """A scoring that looks at some columns of its rows."""

    columns: Rows
    """int64: their positions, ascending."""
    score: Scoring

    def __call__(self, rows: Floats) -> Floats:
        return self.score(np.take(rows, self.columns, axis=1))

    def within(self, kept: Rows) -> "Narrow":
        """The same scoring of rows that hold the columns `kept`, ascending, alone."""
        return Narrow(np.searchsorted(kept, self.columns), self.score)


def apart(seeds: Floats, others: Others, most: int) -> Rows:
    """Inputs, ascending, in which the seeds' mean is furthest from the others', in the others' standard deviations."""
    deviation = others.deviation
    varying = deviation > 1e-5 * np.abs(others.mean)
    difference = np.abs(seeds.mean(axis=0) - others.mean) / np.where(varying, deviation, np.inf)
    return np.sort(np.argsort(-difference, kind="stable")[:most])
