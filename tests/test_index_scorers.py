"""Scorers on seeds whose likeness is known."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from index.boosting import Boosting
from index.inputs import Inputs
from index.logistic import Logistic
from index.network import Network
from index.scorers import Centroid, Linear, Mixture, Others, Prototypes, Ratio, Scorer
from index.scoring import narrow
from index.screening import Narrow, Screened, apart

WIDTH = 40
ALL: dict[str, Scorer] = {
    "centroid": Centroid(),
    "prototypes": Prototypes(),
    "mixture": Mixture(),
    "logistic": Logistic(),
    "ratio": Ratio(),
    "network": Network(),
    "boosting": Boosting(),
    "screened": Screened(Logistic(), 10, 300),
}


def drawn(kinds: list[list[float]], many: int, seed: int, noise: float = 1.0) -> np.ndarray:
    """Unit vectors [many, WIDTH] around one of the `kinds` each, which tell of the first dimensions alone."""
    rng = np.random.default_rng(seed)
    rows = noise * rng.normal(size=(many, WIDTH))
    if kinds:
        rows[:, : len(kinds[0])] += np.array(kinds)[rng.integers(0, len(kinds), many)]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def auroc(scorer: Scorer, kinds: list[list[float]], seeds: int = 150, seed: int = 0) -> float:
    """How well it ranks further customers of the seeds' kinds above everybody else's."""
    everybody = drawn([], 3000, seed + 1)
    scoring = scorer.fit(drawn(kinds, seeds, seed + 2), Others(everybody), np.random.default_rng(seed))
    hidden, rest = drawn(kinds, 1000, seed + 3), drawn([], 1000, seed + 4)
    return float(roc_auc_score(np.r_[np.ones(1000), np.zeros(1000)], scoring(np.concatenate([hidden, rest]))))


@pytest.mark.parametrize("name", ALL)
def test_seeds_of_one_kind_are_found(name: str) -> None:
    assert auroc(ALL[name], [[3.0, 2.0]]) > 0.9


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_gives_the_same_scores_and_pieces_make_no_difference(name: str) -> None:
    seeds, everybody = drawn([[3.0]], 60, 1), drawn([], 500, 2)
    first = ALL[name].fit(seeds, Others(everybody), np.random.default_rng(3))
    again = ALL[name].fit(seeds, Others(everybody.copy()), np.random.default_rng(3))
    np.testing.assert_array_equal(first(everybody), again(everybody))
    pieces = np.concatenate([first(everybody[:123]), first(everybody[123:])])
    np.testing.assert_allclose(pieces, first(everybody), rtol=1e-4, atol=1e-5)
    assert first(everybody).shape == (500,)
    assert first(everybody).dtype == np.float32


@pytest.mark.parametrize("name", ["prototypes", "mixture", "network", "boosting"])
def test_opposite_kinds_are_found_where_no_line_tells_them_from_everybody(name: str) -> None:
    kinds = [[4.0, 0.0], [-4.0, 0.0]]
    assert auroc(Logistic(), kinds, 400) < 0.6
    assert auroc(ALL[name], kinds, 400) > 0.75


def test_logistic_regression_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    seeds = (rng.normal(size=(80, 12)) * 2 + 0.7).astype(np.float32)
    others = (rng.normal(size=(900, 12)) * 2 - 0.2).astype(np.float32)
    penalty = 0.05
    ours = Logistic(penalty=penalty, steps=100).fit(seeds, Others(others), rng)
    assert isinstance(ours, Linear)
    scale = Others(others).spread
    rows, y = (np.concatenate([seeds, others]) - others.mean(axis=0)) / scale, np.r_[np.ones(80), np.zeros(900)]
    weights = np.where(y > 0, 0.5 / 80, 0.5 / 900)
    theirs = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=1000).fit(rows, y, sample_weight=weights)
    np.testing.assert_allclose(ours.weights * scale, theirs.coef_[0], atol=2e-3 * np.abs(theirs.coef_).max())


def test_more_inputs_than_rows_break_nothing() -> None:
    for scorer in (Logistic(), Network(), Mixture(), Screened(Boosting(), 10, 300)):
        rng = np.random.default_rng(0)
        seeds = (rng.normal(size=(25, 300)) + np.r_[2.0, np.zeros(299)]).astype(np.float32)
        others = rng.normal(size=(120, 300)).astype(np.float32)
        others[:, 200:] = 1.0  # constants
        seeds[:, 200:] = 1.0
        assert np.isfinite(scorer.fit(seeds, Others(others), rng)(others)).all()


def test_leaving_inputs_out_is_what_makes_the_network_learn_from_few_seeds() -> None:
    """Where likeness is spread over all inputs, as it is in learnt vectors."""
    kinds = [[0.35] * WIDTH]
    gains = [auroc(Network(), kinds, 30, s) - auroc(Network(kept=1.0), kinds, 30, s) for s in (0, 10, 20)]
    assert np.mean(gains) > 0.004


def test_what_others_share_is_what_it_says() -> None:
    rows = (np.random.default_rng(0).normal(size=(400, 7)) * np.arange(1, 8) + 3).astype(np.float32)
    others = Others(rows)
    np.testing.assert_allclose(others.covariance, np.cov(rows.T, bias=True), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(others.deviation, rows.std(axis=0), rtol=1e-4)
    assert others.spread == pytest.approx(np.sqrt((rows.std(axis=0) ** 2).mean()), rel=1e-4)
    # without correlations, what the covariance is shrunk towards is the covariance
    np.testing.assert_allclose(others.whitening @ others.whitening, np.linalg.inv(np.cov(rows.T)), atol=0.03)


def test_screening_finds_what_differs_whatever_its_scale_and_never_constants() -> None:
    rng = np.random.default_rng(0)
    others, seeds = rng.normal(size=(1000, 30)), rng.normal(size=(200, 30))
    seeds[:, [4, 17]] += [1.0, -1.0]
    scale = np.r_[np.full(15, 1e3), np.full(15, 1e-3)]
    others, seeds = others * scale, seeds * scale
    others[:, 29], seeds[:, 29] = 5.0, 5.001
    found = apart(seeds.astype(np.float32), Others(others.astype(np.float32)), 2)
    assert found.tolist() == [4, 17]


def test_a_screened_scorer_hears_nothing_of_other_inputs() -> None:
    rng = np.random.default_rng(0)
    others, seeds = rng.normal(size=(600, 30)).astype(np.float32), rng.normal(size=(90, 30)).astype(np.float32)
    seeds[:, :3] += 1.5
    scoring = Screened(Logistic(), 3, 400).fit(seeds, Others(others), rng)
    changed = others.copy()
    changed[:, 3:] += 100.0
    np.testing.assert_array_equal(scoring(changed), scoring(others))
    changed[:, 0] += 1.0
    assert not np.allclose(scoring(changed), scoring(others))


def test_scoring_everybody_by_few_columns_is_scoring_by_all() -> None:
    rng = np.random.default_rng(0)
    vectors, behaviour = (rng.normal(size=(500, width)).astype(np.float32) for width in (20, 30))
    heavy = rng.random(30) < 0.5
    mean, scale = (rng.random(50).astype(np.float32) + 0.5 for _ in range(2))
    inputs = Inputs(vectors, behaviour, heavy, mean, scale)
    whole = inputs.take(slice(0, 500), "both")
    columns = np.sort(rng.choice(50, 17, replace=False))
    np.testing.assert_array_equal(inputs.take(slice(0, 500), "both", columns), whole[:, columns])
    np.testing.assert_array_equal(inputs.take(np.array([3, 77]), "both", columns), whole[[3, 77]][:, columns])
    scorings = {
        "boosting": Narrow(columns[::2], lambda rows: rows.sum(axis=1)),
        "network+behaviour": Narrow(columns[1:9], lambda rows: rows @ np.arange(8, dtype=np.float32)),
    }
    kept, narrowed = narrow(scorings)  # type: ignore[arg-type]
    assert kept is not None
    assert set(kept) < set(columns.tolist())
    for name, scoring in scorings.items():
        np.testing.assert_array_equal(narrowed[name](whole[:, kept]), scoring(whole))  # type: ignore[index]
    mixed = {**scorings, "centroid": lambda rows: rows[:, 0]}
    assert narrow(mixed)[0] is None  # type: ignore[arg-type]
