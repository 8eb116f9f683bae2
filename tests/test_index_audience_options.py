"""How many customers an audience has, who may be in it, and why each member is."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from audience_world import LABELS, QUICK, N, behaviour_of, drawn, embedded, request, world
from scipy.special import ndtri

from index.audience import build_audience
from index.eligibility import Context
from index.reasons import account


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


def test_a_share_of_who_may_be_in_it(folder: Path) -> None:
    seeds = drawn(0, [2], 40)
    by_share = build_audience(request(seeds, None, share=0.1), embedded(folder, 0), None, QUICK)
    by_size = build_audience(request(seeds, 396), embedded(folder, 0), None, QUICK)
    np.testing.assert_array_equal(by_share.members, by_size.members)


def test_as_many_as_keep_to_a_precision(folder: Path) -> None:
    _, group = world(0)
    seeds, rate = drawn(0, [2], 80), float((group == 2).sum() - 80) / (N - 80)
    strict, loose = (
        build_audience(request(seeds, None, precision=p, base_rate=rate), embedded(folder, 0), None, QUICK)
        for p in (0.5, 0.25)
    )
    assert strict.report.size < loose.report.size
    for audience, asked in ((strict, 0.5), (loose, 0.25)):
        expected = audience.report.precision
        assert expected is not None
        assert expected.value >= asked
        assert expected.value == pytest.approx(rate * audience.report.lift.value)
        true = float((group[audience.members] == 2).mean())
        assert true == pytest.approx(asked, abs=0.12)
        fixed = build_audience(request(seeds, audience.report.size), embedded(folder, 0), None, QUICK)
        np.testing.assert_array_equal(fixed.members, audience.members)
    assert build_audience(request(seeds, 200), embedded(folder, 0), None, QUICK).report.precision is None


def test_nested_audiences_are_the_best_of_the_largest(folder: Path) -> None:
    seeds = drawn(0, [2], 40)
    audience = build_audience(request(seeds, 500, nested=(200, 100)), embedded(folder, 0), None, QUICK)
    table = audience.member_table()
    assert audience.report.nested == (100, 200)
    assert table["within"].to_list() == [100] * 100 + [200] * 100 + [500] * 300
    assert {100, 200, 500} <= {point.size for point in audience.report.curve}
    alone = build_audience(request(seeds, 500), embedded(folder, 0), None, QUICK).member_table()
    assert table.drop("within").equals(alone)


def test_only_members_of_some_segments(folder: Path) -> None:
    seeds = drawn(0, [2], 40)
    given = embedded(folder, 0)
    some = build_audience(request(seeds, 200, segments=(0,), not_segments=(1,)), given, None, QUICK, Context(LABELS))
    assert set(LABELS[some.members]) == {0}
    assert some.report.eligible == N - 40 - (some.report.outside_segments - int((LABELS[seeds] != 0).sum()))
    assert some.report.outside_segments == int((LABELS != 0).sum())
    none = build_audience(request(seeds, 200, segments=(-1,)), given, None, QUICK, Context(LABELS))
    assert set(LABELS[none.members]) == {-1}
    rest = build_audience(request(seeds, 200, not_segments=(-1, 3)), given, None, QUICK, Context(LABELS))
    assert set(LABELS[rest.members]) <= {0, 1, 2}


def test_a_random_share_is_held_out(folder: Path) -> None:
    seeds, given = drawn(0, [2], 40), embedded(folder, 0)
    whole = build_audience(request(seeds, 400), given, None, QUICK)
    audience = build_audience(request(seeds, 400, hold_out=0.25), given, None, QUICK)
    np.testing.assert_array_equal(audience.members, whole.members)
    assert (audience.report.size, audience.report.held_out) == (400, 100)
    listed, kept = audience.member_table()["customer_id"], audience.held_out_table()["customer_id"]
    assert (len(listed), len(kept)) == (300, 100)
    assert sorted([*listed, *kept]) == sorted((whole.members + 1).tolist())
    ranks = np.flatnonzero(np.isin(whole.members, kept.to_numpy() - 1))
    assert abs(ranks.mean() - 199.5) < 4 * 115 / 10  # drawn from all ranks alike
    other = build_audience(request(seeds, 400, hold_out=0.25, seed=1), given, None, QUICK)
    assert set(other.held_out_table()["customer_id"]) != set(kept)


def test_members_have_reasons_and_the_report_tells_how_faithful_they_are(folder: Path) -> None:
    for group, words in ((0, "high share of events at fishmongers"), (1, "high total amount")):
        audience = build_audience(request(drawn(0, [group], 80), 250), embedded(folder, 0), behaviour_of(0), QUICK)
        fidelity, reasons = audience.report.reasons_fidelity, audience.member_table()["reasons"]
        assert fidelity is not None
        # the vectors tell the group, one behaviour tells it too, and nothing else does
        assert 0.1 < fidelity < 1
        true = reasons.filter(pl.Series(world(0)[1][audience.members] == group))
        assert true.str.starts_with(words).mean() > 0.8
        assert true.str.starts_with(words).mean() > 1.2 * reasons.str.starts_with(words).mean()
        assert not reasons.str.contains("opticians").any()
        assert audience.account is not None
        parts = audience.account.contributions(np.arange(N)).sum(axis=1)
        assert np.corrcoef(parts, ndtri(audience.scores))[0, 1] ** 2 == pytest.approx(fidelity, abs=0.05)
    without = build_audience(request(drawn(0, [0], 80), 250), embedded(folder, 0), None, QUICK)
    assert without.report.reasons_fidelity is None
    assert "reasons" not in without.member_table().columns


def test_an_account_tells_all_of_a_score_that_behaviours_make_and_nothing_of_noise() -> None:
    behaviour = behaviour_of(0)
    made = behaviour.matrix[:, 0] - 0.3 * np.log1p(behaviour.matrix[:, 3])
    share = (np.argsort(np.argsort(made)) + 0.5) / N
    told = account(behaviour, share.astype(np.float32), np.arange(N), np.random.default_rng(0))
    assert told is not None
    assert told.fidelity > 0.9
    assert {0, 3} <= set(told.chosen.tolist())
    best, worst = told.reasons(np.array([made.argmax(), made.argmin()]), 3)
    assert {"high share of events at fishmongers", "low number of events"} & {reason.words for reason in best}
    assert all(reason.contribution >= 0.1 for reason in (*best, *worst))
    mixed = np.random.default_rng(1).permutation(share).astype(np.float32)
    noise = account(behaviour, mixed, np.arange(N), np.random.default_rng(0))
    assert noise is None or noise.fidelity < 0.02


def test_prototypes_are_seeds_of_every_kind(folder: Path) -> None:
    seeds = np.concatenate([drawn(0, [3], 60), drawn(0, [7], 40)])
    report = build_audience(request(seeds, 250), embedded(folder, 0, 1.0), None, QUICK).report
    shown = [int(customer) - 1 for customer in report.prototypes]
    assert set(shown) <= set(seeds.tolist())
    assert {3, 7} <= {int(world(0, 1.0)[1][row]) for row in shown}
