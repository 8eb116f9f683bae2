"""From sources to a prepared log: every row is accounted for, and what is made depends on the events alone."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

import eventlog.scan
from configs.errors import ArtifactError, DataError
from eventlog.config import EventLogConfig
from eventlog.run import check, read_report, run
from eventlog.sequences import ABSENT, OTHER, EventLog
from store.workspace import Workspace

NOW = datetime(2020, 6, 1, tzinfo=UTC)
ARRAYS = ("offsets.npy", "codes.npy", "values.npy", "time.npy", "customers.parquet", "schema.json")
BASKET = {"customer": "customer", "time": "time", "categorical": ["shop"], "numeric": ["amount"]}


def config_of(path: Path | str, **more: Any) -> EventLogConfig:
    source = {"name": "basket", "path": str(path), **BASKET, **more.pop("source", {})}
    return EventLogConfig.model_validate({"sources": [source], **more})


def prepare(folder: Path, config: EventLogConfig, now: datetime = NOW) -> EventLog:
    return run(config, Workspace.create(folder), now=now)


def events(n: int = 500, customers: int = 20, seed: int = 0) -> pl.DataFrame:
    """Clean events with many ties in time."""
    random = np.random.default_rng(seed)
    time = datetime(2020, 1, 1)
    return pl.DataFrame(
        {
            "customer": random.integers(1, customers + 1, n),
            "time": [time + timedelta(hours=int(h)) for h in random.integers(0, 200, n)],
            "shop": [f"shop {i}" for i in random.zipf(1.5, n) % 7],
            "amount": np.round(random.normal(10, 5, n), 2),
        }
    ).with_columns(
        shop=pl.when(pl.col("shop") != "shop 3").then("shop"), amount=pl.when(pl.col("amount") > 2).then("amount")
    )


def contents(log: EventLog) -> dict[str, bytes]:
    return {name: (log.folder / name).read_bytes() for name in ARRAYS}


def as_frame(log: EventLog) -> pl.DataFrame:
    """A log's events as they were in the source."""
    columns: dict[str, Any] = {
        "customer": log.customers.gather(np.repeat(np.arange(log.n_customers), np.diff(log.offsets))),
        "time": pl.Series(log.time).cast(pl.Datetime("us")),
    }
    for i, field in enumerate(log.schema.categorical):
        columns[field.name] = pl.Series([None, "(other)", *field.values]).gather(log.codes[:, i].astype(np.uint32))
    for i, name in enumerate(log.schema.numeric):
        columns[name] = pl.Series(log.values[:, i]).fill_nan(None)
    return pl.DataFrame(columns)


def test_a_log_holds_every_event_sorted_stably_by_customer_and_time(tmp_path: Path) -> None:
    frame = events()
    frame.write_parquet(tmp_path / "e.parquet")
    log = prepare(tmp_path / "ws", config_of(tmp_path / "e.parquet"))
    wanted = frame.sort("customer", "time", maintain_order=True).with_columns(pl.col("amount").cast(pl.Float32))
    assert as_frame(log).equals(wanted)
    assert log.customers.to_list() == sorted(set(frame["customer"].to_list()))
    assert (log.codes.dtype, log.values.dtype, log.time.dtype, log.offsets.dtype) == ("u2", "f4", "i8", "i8")
    assert not log.codes.flags.writeable


def test_dictionaries_go_by_falling_frequency_and_then_by_value(tmp_path: Path) -> None:
    shops = ["b", "a", "c", "c", "d", "", None]
    frame = pl.DataFrame({"customer": [1] * 7, "time": [datetime(2020, 1, 1)] * 7, "shop": shops, "amount": [1.0] * 7})
    frame.write_parquet(tmp_path / "e.parquet")
    log = prepare(tmp_path / "ws", config_of(tmp_path / "e.parquet", max_categories=3))
    assert log.schema.categorical[0].values == ("c", "a", "b")
    assert log.codes[:, 0].tolist() == [4, 3, 2, 2, OTHER, ABSENT, ABSENT]
    assert "has 4 values; the rarest 1 share one code" in " ".join(read_report(log).notes)


@pytest.mark.parametrize("ids", ["integer", "string", "float", "categorical"])
def test_customer_ids_keep_their_type(tmp_path: Path, ids: str) -> None:
    kinds: dict[str, Any] = {
        "integer": [10, 9, -3],
        "string": ["10", "9", "é"],
        "float": [10.0, 9.0, 2.0],
        "categorical": pl.Series(["b", "a", "b"], dtype=pl.Categorical),
    }
    frame = pl.DataFrame({"customer": kinds[ids], "time": [datetime(2020, 1, 1)] * 3})
    frame.write_parquet(tmp_path / "e.parquet")
    log = prepare(tmp_path / "ws", config_of(tmp_path / "e.parquet", source={"categorical": [], "numeric": []}))
    wanted = {"integer": [-3, 9, 10], "string": ["10", "9", "é"], "float": [2, 9, 10], "categorical": ["a", "b"]}[ids]
    assert log.customers.to_list() == wanted
    assert log.customers.dtype == (pl.Int64 if ids in ("integer", "float") else pl.String)
    assert log.codes.shape == (3, 0)
    assert log.values.shape == (3, 0)


def test_sources_merge_into_one_timeline_and_what_one_lacks_is_absent(tmp_path: Path) -> None:
    day = [datetime(2020, 1, d) for d in (1, 2, 3)]
    pl.DataFrame({"id": [2, 1], "t": [day[1], day[2]], "code": [5411, 4111], "eur": [3.0, 4.0]}).write_parquet(
        tmp_path / "card.parquet"
    )
    pl.DataFrame({"who": ["1", "2"], "at": ["2020-01-02", "2020-01-02"], "dev": ["app", ""]}).write_csv(
        tmp_path / "login.csv"
    )
    config = EventLogConfig.model_validate(
        {
            "sources": [
                {"name": "card", "path": str(tmp_path / "card.parquet"), "customer": "id", "time": "t",
                 "categorical": {"mcc": "code"}, "numeric": {"amount": "eur"}},
                {"name": "login", "path": str(tmp_path / "login.csv"), "customer": "who", "time": "at",
                 "categorical": {"device": "dev"}},
            ]
        }
    )  # fmt: skip
    log = prepare(tmp_path / "ws", config)
    frame = as_frame(log)
    assert frame["customer"].to_list() == [1, 1, 2, 2]
    assert frame["source"].to_list() == ["login", "card", "card", "login"], "at equal times the recipe's order holds"
    assert frame["mcc"].to_list() == [None, "4111", "5411", None]
    assert frame["device"].to_list() == ["app", None, None, None]
    assert frame["amount"].to_list() == [None, 4.0, 3.0, None]
    report = read_report(log)
    assert [source.kept for source in report.sources] == [2, 2]
    assert {field.name: field.absent_share for field in report.fields} == {
        "source": 0,
        "mcc": 0.5,
        "device": 0.75,
        "amount": 0.5,
    }


def test_a_log_larger_than_memory_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = events(60_000, 3_000)
    for i in range(3):
        frame[i * 20_000 : (i + 1) * 20_000].write_parquet(tmp_path / f"e{i}.parquet", row_group_size=7_000)
    roomy = prepare(tmp_path / "roomy", config_of(tmp_path / "e*.parquet", memory_mb=512))
    monkeypatch.setattr(eventlog.scan, "BLOCK_ROWS", 999)
    seen: list[int] = []
    from eventlog import order

    split = order._split
    monkeypatch.setattr(
        order, "_split", lambda counts, rows: seen.append(len(split(counts, rows))) or split(counts, rows)
    )
    tight = prepare(tmp_path / "tight", config_of(tmp_path / "e*.parquet", memory_mb=1))
    assert seen[0] > 3
    assert contents(tight) == contents(roomy)
    assert tight.key == roomy.key
    assert read_report(tight) == read_report(roomy)


def test_the_order_of_files_matters_for_equal_times_only(tmp_path: Path) -> None:
    frame = events(300).unique(["customer", "time"], keep="first")
    for folder, order in (("a", (0, 1, 2)), ("b", (2, 0, 1))):
        (tmp_path / folder).mkdir()
        for place, part in enumerate(order):
            frame[part::3].write_parquet(tmp_path / folder / f"{place}.parquet")
    first, second = (prepare(tmp_path / f"ws{f}", config_of(tmp_path / f / "*.parquet")) for f in "ab")
    assert contents(first) == contents(second)
    assert first.key != second.key


def test_the_place_of_files_and_workspace_does_not_matter(tmp_path: Path) -> None:
    logs = []
    for folder in ("here", "there/deeper"):
        place = tmp_path / folder
        (place / "day=1").mkdir(parents=True)
        frame = events(200).with_columns(amount=pl.when(pl.col("customer") == 3).then(float("nan")).otherwise("amount"))
        frame.write_parquet(place / "day=1" / "e.parquet")
        logs.append(prepare(place / "ws", config_of(place / "*" / "*.parquet")))
    for path in sorted(logs[0].folder.iterdir()):
        assert path.read_bytes() == (logs[1].folder / path.name).read_bytes(), path.name


def test_a_second_run_reuses_the_log_and_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    events().write_parquet(tmp_path / "e.parquet")
    config = config_of(tmp_path / "e.parquet")
    log = prepare(tmp_path / "ws", config)
    before = (log.folder / "codes.npy").stat().st_mtime_ns
    again = prepare(tmp_path / "ws", config, NOW + timedelta(days=1))
    assert again.folder == log.folder
    assert (again.folder / "codes.npy").stat().st_mtime_ns == before
    wanted = contents(log)
    (log.folder / "codes.npy").write_bytes(b"x" + wanted["codes.npy"][1:])
    with pytest.raises(ArtifactError, match=r"codes\.npy"):
        EventLog.load(log.folder)
    assert contents(prepare(tmp_path / "ws", config)) == wanted
    assert [path.name for path in (tmp_path / "ws" / "eventlog").iterdir()] == [log.key], "nothing is left lying about"


def test_other_settings_or_events_make_another_log(tmp_path: Path) -> None:
    events().write_parquet(tmp_path / "e.parquet")
    keys = {
        prepare(tmp_path / "ws", config_of(tmp_path / "e.parquet", **more)).key
        for more in ({}, {"until": "2020-01-05"}, {"max_categories": 2}, {"memory_mb": 7})
    }
    events(seed=1).write_parquet(tmp_path / "e.parquet")
    keys.add(prepare(tmp_path / "ws", config_of(tmp_path / "e.parquet")).key)
    assert len(keys) == 4, "memory alone changes nothing"


def test_a_future_event_comes_in_once_its_time_has_come(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "customer": [1, 1],
            "time": [NOW.replace(tzinfo=None), datetime(2020, 6, 3)],
            "shop": ["a", "b"],
            "amount": [1.0, 2.0],
        }
    )
    frame.write_parquet(tmp_path / "e.parquet")
    config = config_of(tmp_path / "e.parquet")
    early = prepare(tmp_path / "ws", config)
    assert (early.n_events, read_report(early).quarantined) == (1, 1)
    assert prepare(tmp_path / "ws", config, NOW + timedelta(days=1)).key == early.key
    late = prepare(tmp_path / "ws", config, NOW + timedelta(days=3))
    assert late.n_events == 2
    assert late.key != early.key
    assert prepare(tmp_path / "ws", config).key == early.key


def test_events_from_until_on_are_not_read(tmp_path: Path) -> None:
    frame = events()
    frame.write_parquet(tmp_path / "e.parquet")
    log = prepare(tmp_path / "ws", config_of(tmp_path / "e.parquet", until="2020-01-05"))
    wanted = frame.filter(pl.col("time") < datetime(2020, 1, 5)).height
    report = read_report(log)
    assert (log.n_events, report.read, report.after_until) == (wanted, wanted, frame.height - wanted)
    assert log.time.max() < datetime(2020, 1, 5, tzinfo=UTC).timestamp() * 1e6


MESSY = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b", "c", "d", None, ""]),
        "customer": st.sampled_from(["1", "2", "x y", "é", None, ""]),
        "time": st.sampled_from(
            [
                "2020-01-01",
                "2020-01-01T10:00:00Z",
                "2020-01-02 03:04:05.6",
                "2020-05-05",
                "2021-01-01",
                "soon",
                None,
                "",
            ]
        ),
        "shop": st.sampled_from(["a", "b,c", 'q"q', "two\nlines", None]),
        "amount": st.sampled_from(["1", "-2.5", "1e3", "nan", "inf", "-inf", "1e300", "much", None]),
        "other": st.sampled_from(["1", "nan", None]),
    }
)


@settings(max_examples=60)
@given(st.lists(MESSY, min_size=1, max_size=30), st.booleans(), st.sampled_from([None, "2020-03-01"]))
def test_read_is_kept_and_quarantined_whatever_comes(
    rows: list[dict[str, Any]], with_id: bool, until: str | None
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pl.DataFrame(
            rows, schema=dict.fromkeys(("id", "customer", "time", "shop", "amount", "other"), pl.String)
        ).write_csv(folder / "e.csv", quote_style="non_numeric")
        source = {"numeric": ["amount", "other"], **({"event_id": "id"} if with_id else {})}
        config = config_of(folder / "e.csv", source=source, max_bad_share=1.0, until=until)
        try:
            report = check(config, now=NOW)
        except DataError as error:
            # three rows or more, and a column in which nothing is what it should be
            event("refused as a whole")
            if "holds text such as" not in str(error):
                raise
            return
        wanted = [judge(row, rows[:i], with_id, until) for i, row in enumerate(rows)]
        late, kept = wanted.count("late"), wanted.count(None)
        assert report.read == report.kept + report.quarantined == len(rows) - late
        assert (report.after_until, report.kept) == (late, kept)
        found = {reason.reason: reason.rows for reason in report.sources[0].reasons}
        assert found == {reason: wanted.count(reason) for reason in sorted({*wanted} - {None, "late"})}  # type: ignore[type-var]
        assert report.usable == (kept > 0)
        if not kept:
            with pytest.raises(DataError, match="the event log is empty"):
                prepare(folder / "ws", config)
            assert list((folder / "ws" / "eventlog").iterdir()) == []
            return
        log = prepare(folder / "ws", config)
        assert read_report(log) == report
        put_aside = pl.read_parquet(log.quarantine)
        numbers = [i + 1 for i, reason in enumerate(wanted) if reason not in (None, "late")]
        assert sorted(put_aside["row"].to_list()) == numbers
        assert dict(zip(put_aside["row"], put_aside["reason"], strict=True)) == {i: wanted[i - 1] for i in numbers}
        assert np.isfinite(log.values[~np.isnan(log.values)]).all()


def judge(row: dict[str, Any], before: list[dict[str, Any]], with_id: bool, until: str | None) -> str | None:
    """The rules, row by row and plainly."""
    times = {"2020-01-01": 1, "2020-01-01T10:00:00Z": 1, "2020-01-02 03:04:05.6": 1, "2020-05-05": 2, "2021-01-01": 3}
    time = times.get(row["time"] or "")
    if until and time is not None and time > 1:
        return "late"
    if not row["customer"]:
        return "missing_customer"
    if not row["time"]:
        return "missing_time"
    if time is None:
        return "unparsable_time"
    if time == 3:
        return "future_time"
    numbers = (row["amount"], row["other"])
    for reason, texts in {
        "unparsable_number": ["much"],
        "not_a_number": ["nan"],
        "infinite": ["inf", "-inf", "1e300"],
    }.items():
        if any(number in texts for number in numbers):
            return reason
    if (
        with_id
        and row["id"]
        and any(
            other["id"] == row["id"] and judge(other, before[:i], False, until) is None
            for i, other in enumerate(before)
        )
    ):
        return "duplicate"
    return None
