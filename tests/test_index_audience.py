"""Lookalike audiences on simulated customers whose groups are known."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from audience_world import GROUPS, LABELS, QUICK, N, behaviour_of, drawn, embedded, recall_of, request, world
from embedded import write_embeddings

from configs.errors import InputError
from index.audience import NOTHING_IN_COMMON, build_audience
from index.config import AudienceConfig
from index.contest import BLENDED
from index.eligibility import Context
from index.request import AudienceRequest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


@pytest.mark.parametrize("groups", [[3], [1, 5, 9]])
def test_planted_groups_are_found_better_than_chance_and_than_the_centroid(folder: Path, groups: list[int]) -> None:
    _, group = world(0)
    seeds = drawn(0, groups, 120)
    alike = np.flatnonzero(np.isin(group, groups))
    audience = build_audience(request(seeds, len(alike)), embedded(folder, 0), None)
    report = audience.report
    truth, chance = recall_of(audience, alike, seeds), len(alike) / N
    assert truth > 1.8 * chance
    assert report.lift.low > 1.0
    assert report.auroc.low > 0.5
    assert report.warnings == ()
    assert report.recall.low <= truth <= report.recall.high
    only = AudienceConfig(scorers=("centroid",))
    centroid = build_audience(request(seeds, len(alike)), embedded(folder, 0), None, only)
    assert truth > recall_of(centroid, alike, seeds) - 0.02


def test_the_answer_is_whole_and_consistent(folder: Path) -> None:
    given = embedded(folder, 0)
    seeds = drawn(0, [2], 80)
    suppressed = (5, 6, 999_999)
    audience = build_audience(request(seeds, 400, suppress=suppressed), given, behaviour_of(0), QUICK)
    report = audience.report
    assert len(audience.members) == len(set(audience.members.tolist())) == 400
    assert not set(audience.members.tolist()) & ({*seeds.tolist()} | {4, 5})
    assert audience.scores.shape == (N,)
    assert ((audience.scores > 0) & (audience.scores < 1)).all()
    in_order = audience.scores[audience.members]
    assert (np.diff(in_order) <= 0).all()
    left_out = np.setdiff1d(np.arange(N), np.r_[audience.members, seeds, 4, 5])
    assert audience.scores[left_out].max() <= in_order[-1]
    assert (report.population, report.eligible, report.size) == (N, N - 80 - 2, 400)
    assert (report.suppressed, report.suppress_unmatched, report.seeds_in_audience) == (2, 1, 0)
    assert report.lift.value == pytest.approx(report.recall.value * (N - 82) / 400)
    sizes = [point.size for point in report.curve]
    assert sizes == sorted(set(sizes))
    assert (sizes[0], sizes[-1]) == (100, N - 82)
    assert 400 in sizes
    assert (np.diff([point.recall.value for point in report.curve]) >= -0.05).all()
    assert report.curve[-1].recall.value == 1.0
    assert report.curve[-1].lift.value == pytest.approx(1.0)
    assert report.curve[0].similarity > report.curve[-1].similarity
    assert report.similarity_of_seeds > report.similarity_of_everybody
    assert {s.name for s in report.scorers} == {"centroid", "mixture", "logistic", "ratio"}
    assert 1 <= sum(s.used for s in report.scorers) <= BLENDED
    table = audience.member_table()
    assert table.columns == ["customer_id", "score", "rank", "reasons"]
    assert table["rank"].to_list() == list(range(1, 401))
    assert table["customer_id"].to_list() == [int(row) + 1 for row in audience.members]
    assert audience.score_table().columns == ["customer_id", "score"]
    assert audience.score_table()["customer_id"].to_list() == given.customers.to_list()


def test_seeds_may_be_members(folder: Path) -> None:
    seeds = drawn(0, [2], 80)
    report = build_audience(request(seeds, 300, include_seeds=True), embedded(folder, 0), None, QUICK).report
    assert report.eligible == N
    assert report.seeds_in_audience > 40
    without = build_audience(request(seeds, 300 - report.seeds_in_audience), embedded(folder, 0), None, QUICK).report
    assert report.recall.value == pytest.approx(without.recall.value, abs=0.03)


def test_the_same_request_gives_the_same_audience_whatever_the_order_of_seeds(folder: Path) -> None:
    given, behaviour = embedded(folder, 0), behaviour_of(0)
    seeds = drawn(0, [2, 3], 60)
    first = build_audience(request(seeds, 300), given, behaviour)
    again = build_audience(request(np.sort(seeds)[::-1], 300), given, behaviour)
    np.testing.assert_array_equal(first.scores, again.scores)
    np.testing.assert_array_equal(first.members, again.members)
    assert first.report == again.report
    other = build_audience(request(seeds, 300, seed=1), given, behaviour)
    assert not np.array_equal(first.scores, other.scores)


def test_unknown_and_repeated_seeds_are_counted_and_listed(folder: Path) -> None:
    seeds = [*(drawn(0, [2], 40) + 1).tolist()]
    asked = ("nobody", *map(str, seeds), str(seeds[0]), f"0{seeds[1]}", "-77", "nobody")
    report = build_audience(AudienceRequest(seeds=asked, size=200), embedded(folder, 0), None, QUICK).report
    assert (report.seeds.given, report.seeds.matched, report.seeds.duplicates) == (45, 40, 3)
    assert report.seeds.unmatched == ("nobody", "-77")


def test_text_ids(folder: Path) -> None:
    ids = pl.Series([f"c{i:05d}" for i in range(N)])
    seeds = tuple(f"c{row:05d}" for row in drawn(0, [2], 40))
    audience = build_audience(AudienceRequest(seeds=seeds, size=150), embedded(folder, 0, ids=ids), None, QUICK)
    assert audience.member_table()["customer_id"][0] == ids[int(audience.members[0])]


@pytest.mark.parametrize(
    ("seeds", "size", "options", "words"),
    [
        ([], 200, {}, "seed list is empty"),
        (range(1, 25), 200, {}, "24 of 24 seeds are known customers (0 unknown, 0 duplicates): at least 25"),
        ([*range(1, 20), *range(9000, 9010), 1], 200, {}, "19 of 30 seeds are known customers (10 unknown, 1"),
        ([10**30] * 30, 200, {}, "0 of 30 seeds are known"),
        (range(1, 41), 99, {}, "audience of 99 is asked for: the least is 100"),
        (range(1, 41), -5, {}, "audience of -5"),
        (range(1, 41), 3961, {}, "3960 customers are eligible (4000 in the snapshot, 40 seeds left out)"),
        (range(1, 41), 3951, {"suppress": tuple(range(41, 51))}, "3950 customers are eligible"),
        (
            range(1, 4001),
            100,
            {},
            "0 customers are eligible (4000 in the snapshot, 4000 seeds left out); the",
        ),
        (
            range(1, 41),
            4001,
            {"include_seeds": True},
            "4000 customers are eligible (4000 in the snapshot)",
        ),
        (range(1, 4001), 200, {"include_seeds": True}, "nobody to compare them with"),
        (range(1, 41), None, {}, "Exactly one of size, share and precision says so; none is given"),
        (range(1, 41), 200, {"share": 0.1}, "size and share are given"),
        (range(1, 41), None, {"share": 0.001}, "an audience of 4 is asked for: the least is 100"),
        (range(1, 41), None, {"precision": 0.5}, "without base_rate"),
        (range(1, 41), None, {"precision": 0.5, "base_rate": 0.1, "include_seeds": True}, "leave out include_seeds"),
        (range(1, 41), None, {"precision": 0.9, "base_rate": 0.001}, "to have a precision of 0.9: the best is 0.0"),
        (range(1, 41), 200, {"nested": (150, 50)}, "an audience of 50 is asked for: the least is 100"),
        (range(1, 41), 200, {"nested": (300,)}, "an audience of 300 cannot be nested in one of 200"),
        (range(1, 41), 200, {"segments": (1, 4)}, "segment 4 is not in this snapshot: there are 0, 1, 2, 3 (-1: in no"),
        (range(1, 41), 200, {"segments": (1,), "not_segments": (1, 2)}, "segment 1 is both in"),
        (
            range(1, 41),
            1900,
            {"segments": (1,)},
            "eligible (4000 in the snapshot, 40 seeds left out, 3199 in other segments)",
        ),
    ],
)
def test_what_cannot_be_made(folder: Path, seeds: list[int], size: int, options: dict[str, object], words: str) -> None:
    asked = AudienceRequest(seeds=tuple(seeds), size=size, **options)
    with pytest.raises(InputError) as caught:
        build_audience(asked, embedded(folder, 0), None, QUICK, Context(LABELS))
    assert words in str(caught.value)


def test_the_largest_audience_is_everybody_eligible(folder: Path) -> None:
    report = build_audience(request(drawn(0, [2], 40), N - 40), embedded(folder, 0), None, QUICK).report
    assert (report.recall.value, report.recall.low, report.lift.value) == (1.0, 1.0, 1.0)


def test_the_behaviours_that_set_seeds_and_audience_apart_are_named(folder: Path) -> None:
    for group, feature, words in ((0, "f0", "share of events at fishmongers"), (1, "f1", "total amount")):
        report = build_audience(request(drawn(0, [group], 80), 250), embedded(folder, 0), behaviour_of(0), QUICK).report
        for named in (report.seed_drivers, report.audience_drivers):
            assert (named[0].feature, named[0].words) == (feature, words)
            assert named[0].difference > 0.5
            assert named[0].lift is not None
            assert named[0].lift > 1.5
            assert "f5" not in {driver.feature for driver in named}, "a constant sets nobody apart"
    random = build_audience(request(np.arange(0, N, 40), 250), embedded(folder, 0), behaviour_of(0), QUICK).report
    assert len(random.seed_drivers) <= 1


def test_behaviours_help_where_the_vectors_do_not_tell(folder: Path) -> None:
    """Seeds share a habit that the vectors hardly hold."""
    behaviour = behaviour_of(0)
    habit = np.flatnonzero(behaviour.matrix[:, 2] > 0.9)
    seeds = np.random.default_rng(0).choice(habit, 100, replace=False)
    config = AudienceConfig(bootstrap=100)
    blind = build_audience(request(seeds, len(habit)), embedded(folder, 0), None, config)
    seeing = build_audience(request(seeds, len(habit)), embedded(folder, 0), behaviour, config)
    assert blind.report.warnings == (NOTHING_IN_COMMON,)
    assert seeing.report.warnings == ()
    assert recall_of(seeing, habit, seeds) > 0.7


@pytest.mark.parametrize("seeds", [25, 200])
def test_random_seeds_are_recognised_and_true_ones_are_not_doubted(folder: Path, seeds: int) -> None:
    given, (_, group) = embedded(folder, 0), world(0)
    doubted = {"random": 0, "true": 0}
    for number in range(8):
        rng = np.random.default_rng([number, seeds])
        random = request(rng.choice(N, seeds, replace=False), 300, seed=number)
        alike = np.flatnonzero(group == number % GROUPS)
        true = request(rng.choice(alike, seeds, replace=False), 300, seed=number)
        doubted["random"] += bool(build_audience(random, given, None, QUICK).report.warnings)
        doubted["true"] += bool(build_audience(true, given, None, QUICK).report.warnings)
    assert doubted["random"] >= 7
    assert doubted["true"] <= 1


def test_promises_are_kept(folder: Path) -> None:
    """The 90 % intervals of recall and lift hold the truth in most of 30 requests of all kinds, without a bias."""
    held, errors = 0, []
    for number in range(30):
        rng = np.random.default_rng([number, 1])
        spread = (1.6, 2.2, 3.0)[number % 3]
        given, (_, group) = embedded(folder, number % 3, spread), world(number % 3, spread)
        alike = np.flatnonzero(np.isin(group, rng.choice(GROUPS, int(rng.integers(1, 4)), replace=False)))
        seeds = rng.choice(alike, int(rng.choice([25, 60, 150])), replace=False)
        size = int(rng.choice([0.5, 1.0, 2.0]) * len(alike))
        audience = build_audience(request(seeds, size, seed=number), given, None, QUICK)
        truth, report = recall_of(audience, alike, seeds), audience.report
        held += report.recall.low <= truth <= report.recall.high
        errors.append(report.recall.value - truth)
        assert report.lift.low <= report.lift.value <= report.lift.high
    # fewer than 23 of 30 would happen once in 150 times if each interval held with 85 %
    assert held >= 23
    assert abs(float(np.mean(errors))) < 0.05


def test_equal_customers_get_equal_scores(folder: Path, tmp_path: Path) -> None:
    vectors, _ = world(0)
    twins = vectors.copy()
    twins[1::2] = twins[::2]
    given = write_embeddings(tmp_path / "e", "t", pl.Series(np.arange(N) + 1), twins)
    audience = build_audience(request(np.arange(100), 301), given, None)
    np.testing.assert_array_equal(audience.scores[::2], audience.scores[1::2])
    # of twins the first comes first
    pairs = audience.members[:300].reshape(-1, 2)
    assert (pairs[:, 0] % 2 == 0).all()
    assert (pairs[:, 1] == pairs[:, 0] + 1).all()


def test_seeds_that_are_all_alike_break_nothing(tmp_path: Path) -> None:
    vectors = world(0)[0].copy()
    vectors[:40] = vectors[0]
    given = write_embeddings(tmp_path / "e", "t", pl.Series(np.arange(N) + 1), vectors)
    report = build_audience(request(np.arange(40), 200), given, behaviour_of(0)).report
    assert report.recall.value > 0.9


def test_very_few_others(folder: Path, tmp_path: Path) -> None:
    vectors, _ = world(0)
    few = write_embeddings(tmp_path / "e", "t", pl.Series(np.arange(140) + 1), vectors[:140])
    report = build_audience(request(np.arange(30), 110), few, None).report
    assert report.eligible == 110
    report = build_audience(request(np.arange(138), 120, include_seeds=True), few, None).report
    assert report.seeds_in_audience >= 118
