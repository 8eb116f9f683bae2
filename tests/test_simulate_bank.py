"""The simulated bank: same seed same bytes, any day alone, the truth true, personas recognisable, noise nothing."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from errno import ENOSPC
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import reader
from configs.errors import ConflictError, InputError, NotFoundError, StorageError
from eventlog.config import EventLogConfig
from eventlog.simulate import write
from eventlog.simulate.chance import generator, pick
from eventlog.simulate.config import FUTURE, SimulateConfig
from eventlog.simulate.days import due, today
from eventlog.simulate.life import NEVER, population
from eventlog.simulate.personas import NAMES, PERSONAS, TRANSITIONS
from eventlog.simulate.run import SimulationSummary, run
from eventlog.simulate.sources import SOURCES, SPEND
from eventlog.simulate.truth import personas_at

START = date(2025, 1, 1)
BASE = {"customers": 300, "days": 12, "seed": 7, "joins": 2.0, "attrition": 1.0, "life_events": 5.0}


def make(out: Path, **changes: object) -> SimulationSummary:
    return run(SimulateConfig.checked(**{**BASE, **changes}), out)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def events(out: Path, source: str) -> pl.DataFrame:
    return pl.read_parquet(out / source / "*" / "part.parquet", hive_partitioning=False)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 customers and many joiners, leavers and life events in 12 days."""
    out = tmp_path_factory.mktemp("bank")
    make(out)
    return out


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few customers over 150 days in which a lot happens to them."""
    out = tmp_path_factory.mktemp("year")
    make(out, customers=150, days=150, activity=0.4)
    return out


def test_same_seed_gives_same_bytes_and_another_seed_others(bank: Path, tmp_path: Path) -> None:
    make(tmp_path / "again")
    make(tmp_path / "other", seed=8)
    first, again, other = digests(bank), digests(tmp_path / "again"), digests(tmp_path / "other")
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first if name.startswith(("card", "login", "truth")))


def test_more_days_begin_with_the_same_bytes(bank: Path, tmp_path: Path) -> None:
    make(tmp_path / "longer", days=40)
    short, longer = digests(bank), digests(tmp_path / "longer")
    days = [name for name in short if "date=" in name]
    assert len(days) == BASE["days"] * len(SOURCES)
    assert all(short[name] == longer[name] for name in days)


def test_a_bank_can_be_continued_in_place(tmp_path: Path) -> None:
    make(tmp_path / "grown", days=5)
    make(tmp_path / "grown", days=9)
    make(tmp_path / "whole", days=9)
    assert digests(tmp_path / "grown") == digests(tmp_path / "whole")


@pytest.mark.parametrize("id_type", ["integer", "string"])
def test_a_day_alone_has_the_bytes_of_the_whole_run(tmp_path: Path, id_type: str) -> None:
    make(tmp_path / "whole", days=6, id_type=id_type)
    summary = make(tmp_path / "alone", day=4, id_type=id_type)
    whole, alone = digests(tmp_path / "whole"), digests(tmp_path / "alone")
    assert {name for name in alone if "date=" in name} == {f"{s}/date=2025-01-05/part.parquet" for s in SOURCES}
    assert all(whole[name] == alone[name] for name in alone if name != "simulation.json")
    assert not (tmp_path / "alone" / "truth").exists()
    assert (summary.days, summary.churned) == (1, None)
    assert summary.total == sum(pq.read_metadata(p).num_rows for p in (tmp_path / "alone").rglob("part.parquet"))


@settings(max_examples=15)
@given(seed=st.integers(0, (1 << 63) - 1), day=st.integers(0, 400), extra=st.integers(1, 300))
def test_a_day_does_not_depend_on_how_far_lives_are_known(seed: int, day: int, extra: int) -> None:
    config = SimulateConfig.checked(**{**BASE, "customers": 60, "seed": seed})
    near, far = population(config, day), population(config, day + extra)
    for source in ("card", "salary"):
        one, other = (SOURCES[source](state, state.rng(0)) for state in (today(config, p, day) for p in (near, far)))
        assert np.array_equal(one.customer, other.customer)
        assert np.array_equal(one.seconds, other.seconds)
    n, ids = near.size(), far.traits.id
    assert np.array_equal(near.traits.id, ids[:n])
    assert np.unique(ids).size == ids.size


def test_schema_order_and_ids_of_events(bank: Path) -> None:
    seen: list[pl.Series] = []
    for source in SOURCES:
        for day in range(BASE["days"]):
            table = pl.read_parquet(bank / source / f"date={START + timedelta(days=day)}" / "part.parquet")
            assert table.schema["timestamp"] == pl.Datetime("us", "UTC")
            assert table.schema["customer_id"] == pl.Int64
            assert table.schema["event_id"] == pl.Int64
            assert set(table.dtypes[3:]) <= {pl.String, pl.Float64}
            assert table.sort("timestamp", "event_id").equals(table)
            assert (table["timestamp"].dt.date() == START + timedelta(days=day)).all()
            assert table.null_count().sum_horizontal().item() == 0
            seen.append(table["event_id"])
        amounts = events(bank, source).select(pl.col(pl.Float64).exclude("noise_number"))
        assert all(series.is_finite().all() and series.min() >= 0 for series in amounts)
    assert pl.concat(seen).is_unique().all()
    assert events(bank, "login").height > 500


def test_string_ids(tmp_path: Path) -> None:
    make(tmp_path / "bank", days=2, id_type="string")
    ids = set(events(tmp_path / "bank", "card")["customer_id"])
    assert ids
    assert ids <= set(pl.read_parquet(tmp_path / "bank/truth/customers.parquet")["customer_id"])
    assert all(name.startswith("C") and name[1:].isdigit() for name in ids)


def test_the_recipe_names_every_column_and_no_truth(bank: Path) -> None:
    text = (bank / "recipe.yaml").read_text()
    assert "truth" not in text
    assert str(bank) not in text
    sources = reader.read(bank / "recipe.yaml", EventLogConfig).sources
    assert [source.name for source in sources] == list(SOURCES)
    for source in sources:
        table = pl.read_parquet(str(source.path), hive_partitioning=False)
        fields = {*source.categorical.values(), *source.numeric.values()}
        assert {source.event_id, source.customer, source.time} | fields == set(table.columns)
        assert all(table.schema[column] == pl.String for column in source.categorical.values())
        assert all(table.schema[column] == pl.Float64 for column in source.numeric.values())


def test_nobody_acts_before_joining_or_after_leaving(year: Path) -> None:
    truth = pl.read_parquet(year / "truth/customers.parquet")
    acts = pl.concat([events(year, source).select("customer_id", pl.col("timestamp").dt.date()) for source in SOURCES])
    spans = acts.group_by("customer_id").agg(first=pl.col("timestamp").min(), last=pl.col("timestamp").max())
    known = spans.join(truth, on="customer_id", how="left")
    assert known["join_date"].null_count() == 0
    assert (known["first"] >= known["join_date"]).all()
    gone = known.filter(pl.col("churn_date").is_not_null())
    assert (gone["last"] < gone["churn_date"]).all()
    ended = truth.filter(pl.col("churn_date") < START + timedelta(days=150))
    assert ended.height > 20
    assert truth.filter(pl.col("join_date") > START).height > 50
    assert 0.3 < ended["declining"].mean() < 0.9


def test_histories_cover_lives_along_allowed_ways(year: Path) -> None:
    truth = pl.read_parquet(year / "truth/customers.parquet")
    spells = pl.read_parquet(year / "truth/personas.parquet").sort("customer_id", "from_date")
    moves = pl.read_parquet(year / "truth/life_events.parquet")
    end = START + timedelta(days=150)
    by = spells.group_by("customer_id", maintain_order=True).agg(
        pl.col("from_date").first(), pl.col("until_date").last(), starts=pl.col("from_date"), ends=pl.col("until_date"),
        first=pl.col("persona").first(), last=pl.col("persona").last(),
    )  # fmt: skip
    lives = truth.join(by, on="customer_id")
    assert lives.height == truth.height
    assert (lives["from_date"] == lives["join_date"]).all()
    left = pl.when(pl.col("churn_date") < end).then("churn_date")
    assert lives.select((left.eq_missing(pl.col("until_date"))).all()).item()
    assert (lives["first"] == lives["persona_start"]).all()
    assert (lives["last"] == lives["persona_end"]).all()
    assert all(row["starts"][1:].equals(row["ends"][:-1]) for row in [
        {"starts": pl.Series(s), "ends": pl.Series(e)} for s, e in lives.select("starts", "ends").iter_rows()
    ])  # fmt: skip
    allowed = {(a, event, b) for a, event, b, _ in TRANSITIONS}
    assert moves.height > 30
    assert set(moves.select("from_persona", "event", "to_persona").iter_rows()) <= allowed
    # each life event is where a spell begins
    begun = moves.join(spells, left_on=["customer_id", "date"], right_on=["customer_id", "from_date"])
    assert begun.height == moves.height
    assert (begun["persona"] == begun["to_persona"]).all()
    assert spells.height == truth.height + moves.height


def test_personas_at_a_date(year: Path) -> None:
    on = START + timedelta(days=100)
    found = personas_at(year / "truth", on)
    truth = pl.read_parquet(year / "truth/customers.parquet")
    there = (pl.col("join_date") <= on) & (pl.col("churn_date").is_null() | (pl.col("churn_date") > on))
    assert found["customer_id"].to_list() == truth.filter(there)["customer_id"].sort().to_list()
    assert set(found["persona"]) <= set(NAMES)
    with pytest.raises(NotFoundError, match="no truth of a simulated bank"):
        personas_at(year, on)


def test_future_value_is_what_a_longer_run_spends(tmp_path: Path) -> None:
    make(tmp_path / "short", customers=40, days=3)
    make(tmp_path / "long", customers=40, days=3 + FUTURE)
    first = datetime.combine(START + timedelta(days=3), datetime.min.time(), UTC)
    longer = tmp_path / "long"
    paid = pl.concat([events(longer, source).select("customer_id", "timestamp", "amount") for source in SPEND])
    spent = paid.filter(pl.col("timestamp") >= first).group_by("customer_id").agg(pl.sum("amount"))
    truth = pl.read_parquet(tmp_path / "short/truth/customers.parquet").join(spent, on="customer_id", how="left")
    assert truth["future_value"].sum() > 0
    assert np.allclose(truth["future_value"], truth["amount"].fill_null(0), atol=0.006)


def test_a_run_without_events_or_leavers_is_calm(tmp_path: Path) -> None:
    summary = make(tmp_path / "calm", life_events=0, attrition=0, joins=0, noise=False)
    assert (summary.customers, summary.churned, summary.life_events) == (300, 0, 0)
    assert not [name for source in SOURCES for name in events(tmp_path / "calm", source).columns if "noise" in name]


def test_shares_of_personas_are_as_declared() -> None:
    config = SimulateConfig(customers=40_000, seed=3)
    people = population(config, 0)
    shares = np.bincount(people.life.persona(0)[:40_000], minlength=len(NAMES)) / 40_000
    assert len(NAMES) >= 10
    assert np.allclose(shares, [p.share for p in PERSONAS], atol=0.006)
    assert sum(p.share for p in PERSONAS) == pytest.approx(1)
    assert sum(p.joining for p in PERSONAS) == pytest.approx(1)


def test_attrition_and_joins_are_as_asked() -> None:
    config = SimulateConfig(customers=30_000, seed=1, attrition=0.2, joins=0.1)
    life = population(config, 364).life
    left = (life.churn[:30_000] < 365).mean()
    assert 0.15 < left < 0.2  # 1 - exp(-0.2) if all personas left alike
    assert life.join.size == 33_000
    assert np.bincount(life.join[30_000:], minlength=365).std() < 1
    assert (life.churn[life.churn < NEVER] > life.join[life.churn < NEVER]).all()


@given(year=st.integers(1990, 2060), day=st.integers(1, 28))
def test_every_payday_comes_once_a_month(year: int, day: int) -> None:
    first = date(year, 1, 1)
    # a month's payday may fall on the Friday before it, even in the month before
    paid = [on for on in (first + timedelta(days=i) for i in range(-2, 363)) if day in due(on)]
    assert len(paid) == 12
    assert all(on.weekday() < 5 for on in paid)


@given(st.lists(st.floats(0, 5), max_size=30), st.integers(0, 1000))
def test_pick_never_finds_who_has_no_rate(rates: list[float], seed: int) -> None:
    rate = np.array(rates, np.float64)
    who = pick(generator(seed, 9), rate)  # type: ignore[arg-type]
    assert (rate[who] > 0).all()
    assert (np.diff(who) >= 0).all()


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"customers": 0}, "customers: .*greater than or equal to 1, got 0"),
        ({"days": -3}, "days: .*greater than or equal to 1, got -3"),
        ({"seed": -1}, "seed: .*greater than or equal to 0"),
        ({"attrition": float("nan")}, "attrition"),
        ({"start": "1066-10-14"}, "start must be between 1971-01-01"),
        ({"start": "yesterday"}, "start: "),
        ({"id_type": "uuid"}, "id_type: .*'integer' or 'string'"),
        ({"persons": 3}, "unknown key .*accepted: .*customers"),
        ({"customers": 0, "days": 0}, "customers: .*days: "),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(given_: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=f"(?s)simulate: .*{words}"):
        SimulateConfig.checked(**given_)


def test_another_bank_or_a_file_is_never_overwritten(bank: Path, tmp_path: Path) -> None:
    before = digests(bank)
    with pytest.raises(ConflictError, match="other settings or seed"):
        make(bank, seed=99)
    with pytest.raises(ConflictError, match="holds 12 days of this bank"):
        make(bank, days=3)
    assert digests(bank) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConflictError, match="not empty"):
        make(tmp_path / "mine")
    with pytest.raises(InputError, match="is a file"):
        make(tmp_path / "mine" / "thesis.txt")
    with pytest.raises(InputError, match="no folder can be made"):
        make(tmp_path / "mine" / "thesis.txt" / "bank")
    assert digests(tmp_path / "mine").keys() == {"thesis.txt"}


def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = write.pq.write_table, []

    def full(table: object, path: Path, **options: object) -> None:
        calls.append(path)
        real(table, path, **options)
        if len(calls) == 8:
            path.write_bytes(path.read_bytes()[:50])
            raise OSError(ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(write.pq, "write_table", full)
    with pytest.raises(StorageError, match="the disk is full"):
        make(tmp_path / "bank", days=3)
    assert not list((tmp_path / "bank").rglob("*.part"))
    assert len(list((tmp_path / "bank").rglob("part.parquet"))) == 7
    monkeypatch.undo()
    make(tmp_path / "bank", days=3)
    make(tmp_path / "whole", days=3)
    assert digests(tmp_path / "bank") == digests(tmp_path / "whole")
