"""Who becomes a member: the best, the best of each group, and no more change than is allowed."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from audience_world import QUICK, N, drawn, embedded, recall_of, request, world
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import InputError
from index.audience import build_audience
from index.eligibility import Context
from index.selection import Selection, capped, hold_out, quotas


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("selection")


@given(st.lists(st.integers(0, 500), min_size=1, max_size=12).filter(sum), st.data())
def test_quotas_add_up_and_follow_the_shares(eligible: list[int], data: st.DataObject) -> None:
    size = data.draw(st.integers(0, sum(eligible)))
    found, counts = quotas(np.array(eligible), size), np.array(eligible)
    assert found.sum() == size
    assert (found <= counts).all()
    assert (np.abs(found - size * counts / counts.sum()) < 1).all()


def selection_of(seed: int, groups: int | None) -> Selection:
    rng = np.random.default_rng(seed)
    group = None if groups is None else rng.integers(0, groups, 400)
    return Selection(rng.permutation(400)[:300], rng.random(400) < 0.1, group)


@pytest.mark.parametrize("seed", range(5))
def test_a_spread_audience_takes_the_best_of_each_group(seed: int) -> None:
    selection = selection_of(seed, 4)
    assert selection.group is not None
    members = selection.members(90)
    place = {row: at for at, row in enumerate(selection.ranked.tolist())}
    assert [place[row] for row in members.tolist()] == sorted(place[row] for row in members.tolist())
    for group in range(4):
        of = [row for row in selection.ranked.tolist() if selection.group[row] == group]
        taken = [row for row in members.tolist() if selection.group[row] == group]
        assert taken == of[: len(taken)]
        assert abs(len(taken) - 90 * len(of) / 300) < 1


def test_reach_is_the_share_of_others_above_the_last_member_of_a_seeds_group() -> None:
    selection = selection_of(1, 3)
    assert selection.group is not None
    seeds = np.array([3, 77, 210, 399])
    members, others = selection.members(60), selection.ranked[~selection.is_seed[selection.ranked]]
    for seed, reach in zip(seeds, selection.reach(60, seeds), strict=True):
        last = [row for row in members.tolist() if selection.group[row] == selection.group[seed]][-1]
        upto = selection.ranked[: selection.ranked.tolist().index(last) + 1]
        assert reach == pytest.approx(np.isin(others, upto).mean())
    alone = Selection(selection.ranked, selection.is_seed)
    np.testing.assert_allclose(alone.reach(300, seeds), 1.0)


@pytest.mark.parametrize("groups", [None, 3])
@pytest.mark.parametrize("cap", [0.0, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_cap_limits_who_leaves_and_keeps_the_size_and_the_best(groups: int | None, cap: float, seed: int) -> None:
    selection = selection_of(seed, groups)
    wanted = selection.members(100)
    rng = np.random.default_rng(seed)
    previous = rng.choice(400, 100, replace=False)  # among them some who may not be members any more
    members, kept = capped(wanted, previous, selection, cap)
    assert len(members) == len(np.unique(members)) == 100
    place = {row: at for at, row in enumerate(selection.ranked.tolist())}
    assert [place[row] for row in members.tolist()] == sorted(place[row] for row in members.tolist())
    able = np.intersect1d(previous, selection.ranked)
    left, would = np.setdiff1d(able, members), np.setdiff1d(able, wanted)
    assert kept == len(would) - len(left)
    if selection.group is not None:
        sizes = np.bincount(selection.group[wanted], minlength=3)
        np.testing.assert_array_equal(np.bincount(selection.group[members], minlength=3), sizes)
        for group in range(3):
            into = (selection.group[np.setdiff1d(wanted, previous)] == group).sum()
            out = (selection.group[would] == group).sum()
            gone = (selection.group[left] == group).sum()
            assert gone <= max(int(cap * sizes[group]), out - into)
    else:
        assert len(left) <= max(int(cap * 100), len(would) - len(np.setdiff1d(wanted, previous)))
        stayed = np.setdiff1d(would, left)
        if len(stayed) and len(left):
            assert max(place[row] for row in stayed) < min(place[row] for row in left)
    if cap == 1.0:
        np.testing.assert_array_equal(members, wanted)


def test_an_audience_spreads_as_the_customers_do_and_promises_less_for_it(folder: Path) -> None:
    seeds = drawn(0, [0], 80)
    # a region that most of those like the seeds live in
    _, group = world(0, 1.2)
    region = np.full(N, "south", dtype=object)
    region[group == 0] = "north"
    region[::7] = None
    table = pl.DataFrame({"customer_id": np.arange(N) + 1, "region": region.tolist()})
    context = Context(attributes=table)
    spread = build_audience(request(seeds, 400, spread="region"), embedded(folder, 0, 1.2), None, QUICK, context)
    eligible = np.setdiff1d(np.arange(N), seeds)
    for value in ("north", "south", None):
        rate = np.mean([region[row] == value for row in spread.members])
        assert rate == pytest.approx(np.mean([region[row] == value for row in eligible]), abs=0.005)
    free = build_audience(request(seeds, 400), embedded(folder, 0, 1.2), None, QUICK)
    for audience in (spread, free):
        true = recall_of(audience, np.flatnonzero(group == 0), seeds)
        assert audience.report.recall.low <= true <= audience.report.recall.high
    assert spread.report.recall.value < free.report.recall.value - 0.3
    assert spread.report.size == len(spread.members) == 400


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nested": (150,)}, "not with nested"),
        ({"size": None, "precision": 0.5, "base_rate": 0.1}, "not with precision"),
        ({"spread": "colour"}, "no attribute 'colour'"),
        ({"spread": "number"}, "has 4000 groups; at most 50"),
    ],
)
def test_what_cannot_be_spread_is_refused(folder: Path, options: dict[str, object], words: str) -> None:
    table = pl.DataFrame({"customer_id": np.arange(N) + 1, "region": "x", "number": np.arange(N).astype(str)})
    asked = request(drawn(0, [0], 40), **{"size": 200, "spread": "region", **options})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=words):
        build_audience(asked, embedded(folder, 0), None, QUICK, Context(attributes=table))


def test_spread_needs_attributes(folder: Path) -> None:
    with pytest.raises(InputError, match="spread: needs the file of attributes"):
        build_audience(request(drawn(0, [0], 40), 200, spread="region"), embedded(folder, 0), None, QUICK)


def test_a_refreshed_audience_keeps_most_of_its_members_and_tells_how_many(folder: Path) -> None:
    seeds, others = drawn(0, [0], 80), drawn(0, [3], 80)
    before = build_audience(request(seeds, 400), embedded(folder, 0), None, QUICK)
    free = build_audience(request(others, 400), embedded(folder, 0), None, QUICK)
    context = Context(previous=before.members)
    after = build_audience(request(others, 400, churn_cap=0.1), embedded(folder, 0), None, QUICK, context)
    able = np.setdiff1d(before.members, others)
    assert len(np.setdiff1d(able, after.members)) <= 40
    assert after.report.kept_by_cap > 100
    assert after.report.recall.value < free.report.recall.value
    assert after.report.size == len(after.members) == 400


def test_who_was_held_out_stays_so_and_who_was_not_is_not_now() -> None:
    members, rng = np.arange(50, 150), np.random.default_rng(0)
    previous, before = np.arange(100), np.arange(0, 100, 5)
    held = hold_out(members, 0.3, Context(previous=previous, held_out=before), rng)
    assert len(held) == 30
    np.testing.assert_array_equal(held[held < 100], np.arange(50, 100, 5))
    # more than the share are kept out rather than let in
    held = hold_out(members, 0.05, Context(previous=previous, held_out=before), rng)
    np.testing.assert_array_equal(held, np.arange(50, 100, 5))
    assert len(hold_out(members, 0.3, Context(), rng)) == 30
