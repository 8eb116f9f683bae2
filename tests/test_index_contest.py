"""The contest: what is made of ranks, and who is chosen."""

from pathlib import Path

import numpy as np
import pytest
from audience_world import behaviour_of, drawn, embedded, request
from scipy.special import ndtri
from threadpoolctl import threadpool_info, threadpool_limits

from index.blas import one_thread
from index.config import AudienceConfig
from index.contest import BLENDED, Contest, NormalScale, choose, compete, share_above
from index.expect import expect
from index.inputs import Inputs
from index.pool import resolve

NAMES = ("centroid", "mixture", "logistic", "network", "logistic+behaviour")


def test_those_clearly_worse_are_left_out_and_no_more_than_some_blended() -> None:
    rng = np.random.default_rng(0)
    seeds = rng.random(400) * 0.3  # what all see alike
    good = np.stack([np.clip(seeds + 0.02 * rng.normal(size=400), 0, 1) for _ in range(BLENDED + 2)])
    bad = np.clip(seeds + 0.1 + 0.02 * rng.normal(size=400), 0, 1)
    picks = choose(np.vstack([bad, good]), 0.1, np.ones((1, 400)))
    assert len(picks) == 1
    assert len(picks[0]) == BLENDED
    assert 0 not in picks[0]
    assert choose(np.stack([bad, good[0]]), 0.1, np.ones((1, 400))) == [(1,)]
    # a little worse, where so few seeds cannot tell
    little = np.clip(good[0] + 0.001 + 0.02 * rng.normal(size=400), 0, 1)
    assert choose(np.stack([little, good[0]])[:, :30], 0.1, np.ones((1, 30))) == [(0, 1)]


def test_the_choice_follows_the_seeds_drawn() -> None:
    ranks = np.array([[0.0, 0.0, 0.9, 0.9], [0.9, 0.9, 0.0, 0.0]])
    picks = choose(ranks + np.array([[0.0], [1e-3]]), 0.1, np.array([[2.0, 2, 0, 0], [0, 0, 2, 2]]))
    assert 0 in picks[0]
    assert 1 in picks[1]


def test_leaving_a_scorer_out_changes_no_other(tmp_path: Path) -> None:
    given, seeds = embedded(tmp_path, 0), drawn(0, [2, 5], 60)
    inputs = Inputs.of(given, behaviour_of(0), np.arange(given.n_customers))
    results = {}
    for names in (NAMES, NAMES[1:4]):
        config = AudienceConfig(scorers=names, fit_rows=1500)
        contest = compete(inputs, resolve(request(seeds, 300), given, config), config, 7)
        assert contest.names == names
        results[len(names)] = dict(zip(contest.names, contest.outranked, strict=True))
    for name in NAMES[1:4]:
        np.testing.assert_array_equal(results[5][name], results[3][name])
    assert not np.array_equal(results[5]["network"], results[5]["logistic"])


def test_shares_above_count_ties_half() -> None:
    others = np.array([1.0, 2, 2, 3])
    assert share_above(others, np.array([0.0, 2, 2.5, 3, 4])).tolist() == [1.0, 0.5, 0.25, 0.125, 0.0]


def test_normal_scores_keep_the_order_and_the_ends() -> None:
    scores = np.random.default_rng(0).lognormal(size=20_000).astype(np.float32)
    normal = NormalScale.of(scores)(scores)
    order = np.argsort(scores)
    assert (np.diff(normal[order]) >= 0).all()
    np.testing.assert_allclose(
        normal[order[[0, 9999, -1]]], ndtri((np.array([0, 9999, 19_999]) + 0.5) / 20_000), atol=2e-3
    )
    assert normal.std() == pytest.approx(1.0, abs=0.02)


def test_blas_has_one_thread_while_scorers_are_fitted_and_its_own_number_after() -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        first, second = one_thread(), one_thread()
        first.__enter__()
        second.__enter__()
        assert set(threads()) == {1}
        first.__exit__(None, None, None)
        assert set(threads()) == {1}
        second.__exit__(None, None, None)
        assert threads() == before
        assert max(before) == 2


def test_what_thousands_of_seeds_hardly_share_is_nothing() -> None:
    """An AUROC of .53 is significant from 4,000 seeds, and yet no more than a random audience would bring."""
    for auroc, seeds, common in ((0.53, 4000, False), (0.6, 4000, True), (0.6, 30, False), (0.8, 30, True)):
        ranks = (np.arange(seeds) + 0.5)[None] / seeds  # of random seeds
        ranks = ranks ** (auroc / (1 - auroc))  # mean 1 - auroc
        contest = Contest(("centroid",), ranks, np.zeros(seeds, np.int64), ranks, [])
        expectation = expect(contest, 0.1, AudienceConfig(bootstrap=60), 0)
        assert expectation.auroc.value == pytest.approx(auroc, abs=0.02)
        assert expectation.common == common
