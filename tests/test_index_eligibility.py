"""Who may be a member of an audience: conditions on attributes, and customers who objected to marketing profiling."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from audience_world import QUICK, N, behaviour_of, drawn, embedded, request

from configs.errors import InputError
from embed.customers import lots
from index.attributes import Condition
from index.audience import build_audience
from index.eligibility import Context


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("eligibility")


REGION = np.array(["north", "south", "east", None], dtype=object)[np.arange(N) % 4]
TABLE = pl.DataFrame({"customer_id": [str(row + 1) for row in range(N)], "region": REGION.tolist(), "plan": "basic"})


@pytest.mark.parametrize(
    ("text", "name", "values", "negated"),
    [
        ("region=north", "region", ("north",), False),
        (" region = north | south ", "region", ("north", "south"), False),
        ("home region!=north", "home region", ("north",), True),
        ("formula=a=b", "formula", ("a=b",), False),
    ],
)
def test_conditions_are_read(text: str, name: str, values: tuple[str, ...], negated: bool) -> None:
    assert Condition.parse(text) == Condition(name, values, negated)


@pytest.mark.parametrize("text", ["", "region", "=north", "region=", "region=north|", "region!", "!=x"])
def test_what_is_no_condition_is_refused_with_the_form_that_is_accepted(text: str) -> None:
    with pytest.raises(InputError, match="is no condition; accepted: attribute=value"):
        Condition.parse(text)


@pytest.mark.parametrize(
    ("where", "inside"),
    [
        (("region=north",), REGION == "north"),
        (("region=north|east",), (REGION == "north") | (REGION == "east")),
        (("region!=north",), REGION != "north"),  # whoever has no region is not in the north
        (("region!=north", "region!=east"), (REGION != "north") & (REGION != "east")),
        (("region=north", "plan=basic"), REGION == "north"),
    ],
)
def test_members_meet_every_condition(folder: Path, where: tuple[str, ...], inside: np.ndarray) -> None:
    seeds = drawn(0, [0, 1], 60)
    asked = request(seeds, 300, where=where)
    audience = build_audience(asked, embedded(folder, 0), None, QUICK, Context(attributes=TABLE))
    assert inside[audience.members].all()
    assert audience.report.outside_attributes == N - inside.sum()
    assert audience.report.eligible == inside.sum() - inside[seeds].sum()


@pytest.mark.parametrize(
    ("where", "table", "words"),
    [
        (("region=west",), TABLE, "no customer of the snapshot has region=west; there are: east, north, south"),
        (("colour=red",), TABLE, "no attribute 'colour'; there are: region, plan"),
        (("region=north",), None, "where: needs the file of attributes"),
        (("region=north",), pl.concat([TABLE, TABLE.head(1)]), "more than one row"),
        (("region=north",), TABLE.with_columns(customer_id=pl.lit("nobody")), "none of its customers"),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(
    folder: Path, where: tuple[str, ...], table: pl.DataFrame | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        build_audience(
            request(drawn(0, [0], 40), 200, where=where), embedded(folder, 0), None, QUICK, Context(attributes=table)
        )


def test_who_objected_is_neither_scored_nor_a_seed_nor_a_member(folder: Path) -> None:
    seeds = drawn(0, [0], 80)
    free = build_audience(request(seeds, 300, include_seeds=True), embedded(folder, 0), behaviour_of(0), QUICK)
    objected = np.zeros(N, bool)
    objected[free.members[:100]] = True
    objected[seeds[:30]] = True
    context = Context(objected=objected)
    audience = build_audience(
        request(seeds, 300, include_seeds=True), embedded(folder, 0), behaviour_of(0), QUICK, context
    )
    gone = {row + 1 for row in np.flatnonzero(objected)}
    assert not objected[audience.members].any()
    assert np.isnan(audience.scores[objected]).all()
    assert len(audience.score_table()) == N - objected.sum()
    assert not gone & set(audience.score_table()["customer_id"].to_list())
    assert not gone & {int(id) for id in audience.report.prototypes}
    assert audience.report.seeds.objected == objected[seeds].sum() >= 30
    assert audience.report.seeds.matched == 80 - audience.report.seeds.objected
    assert audience.report.objected == objected.sum()
    assert audience.report.eligible == N - objected.sum()
    shares = audience.scores[~objected]
    assert shares.min() < 0.01 < 0.99 < shares.max()  # shares of those who are scored


def test_the_audience_is_that_of_a_population_without_those_who_objected(folder: Path) -> None:
    seeds = drawn(0, [2], 60)
    rng = np.random.default_rng(4)
    objected = rng.random(N) < 0.2
    objected[seeds] = False
    audience = build_audience(request(seeds, 300), embedded(folder, 0), None, QUICK, Context(objected=objected))
    # whatever the vectors of those who objected are, nothing changes
    given = embedded(folder, 0)
    vectors = np.array(given.vectors)
    drawn_anew = rng.normal(size=(int(objected.sum()), vectors.shape[1]))
    vectors[objected] = drawn_anew / np.linalg.norm(drawn_anew, axis=1, keepdims=True)
    moved = replace(given, vectors=vectors)
    other = build_audience(request(seeds, 300), moved, None, QUICK, Context(objected=objected))
    np.testing.assert_array_equal(audience.members, other.members)
    np.testing.assert_array_equal(audience.scores, other.scores)


def test_too_few_seeds_are_left_when_the_others_objected(folder: Path) -> None:
    seeds, objected = drawn(0, [0], 30), np.zeros(N, bool)
    objected[seeds[:10]] = True
    with pytest.raises(InputError, match=r"20 of 30 seeds are known customers .* 10 who objected to profiling"):
        build_audience(request(seeds, 200), embedded(folder, 0), None, QUICK, Context(objected=objected))


@pytest.mark.parametrize("kind", [pl.Int64, pl.String])
def test_one_customer_more_or_less_hardly_changes_who_is_drawn(kind: pl.DataType) -> None:
    ids = pl.Series(np.arange(20_000) * 7 - 5).cast(kind)
    drawn_of = ids.gather(np.argsort(lots(ids, 3))[:5000])
    fewer = ids.gather(np.delete(np.arange(20_000), [0, 77, 9999]))
    again = fewer.gather(np.argsort(lots(fewer, 3))[:5000])
    assert len(set(drawn_of) & set(again)) >= 4997
    other = ids.gather(np.argsort(lots(ids, 4))[:5000])
    assert 1100 < len(set(drawn_of) & set(other)) < 1400  # a quarter, as another draw has
    # evenly over the ids
    assert abs(np.isin(ids.to_numpy(), drawn_of.to_numpy())[:10_000].sum() - 2500) < 150


def test_a_few_objections_hardly_change_an_audience(folder: Path) -> None:
    seeds = drawn(0, [0, 5], 120)
    before = build_audience(request(seeds, 300), embedded(folder, 0), behaviour_of(0))
    objected = np.zeros(N, bool)
    objected[before.members[::100]] = True  # three of them
    after = build_audience(request(seeds, 300), embedded(folder, 0), behaviour_of(0), None, Context(objected=objected))
    others = np.setdiff1d(before.members, np.flatnonzero(objected))
    assert len(np.setdiff1d(others, after.members)) <= 15
