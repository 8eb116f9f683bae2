"""What a night refuses, counts and leaves for later; and that nothing half-read is ever in a log."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from nightly_log import (
    NOW,
    config_of,
    contents,
    day,
    deliver,
    first_log,
    frame,
    midnight,
    night,
    rows_of,
    told,
)

import eventlog.night
import eventlog.scan
from configs.errors import ArtifactError, ConflictError, DataError, StorageError
from eventlog.config import EventLogConfig
from eventlog.layers import folders_of
from eventlog.run import run as prepare
from eventlog.sequences import EventLog
from store.workspace import Workspace


@pytest.fixture
def config(tmp_path: Path) -> EventLogConfig:
    return config_of(tmp_path, ids=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "ws")


@pytest.fixture
def before(tmp_path: Path, config: EventLogConfig, workspace: Workspace) -> EventLog:
    return first_log(tmp_path, config, workspace)


def test_nothing_new_is_the_log_before(config: EventLogConfig, before: EventLog, workspace: Workspace) -> None:
    grown = night(config, before, workspace)
    assert grown.log is before
    assert (grown.new_events, grown.late_events, grown.new_customers, len(grown.changed)) == (0, 0, 0, 0)
    assert grown.sources == (told(),)


def test_what_came_in_is_counted_and_the_layer_holds_it_alone(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace
) -> None:
    rows = [
        ("0", day(1.1), "b", 2.0, 100),  # known
        ("77", day(1.2), None, None, 101),  # new
        ("1", day(0.0), "c", 3.0, 102),  # late
        ("2", day(0.1), "c", 3.0, 3),  # there before
        ("2", day(1.3), "c", 3.0, 101),  # twice in one night
        ("3", day(1.4), "c", float("nan"), 104),  # bad
        ("3", day(2.5), "c", 1.0, 105),  # not yet
    ]
    deliver(tmp_path, 1, {"s0": frame(rows)})
    grown = night(config, before, workspace)
    assert grown.sources == (told(files=1, read=6, kept=3, quarantined=1, duplicates=2, pending=1),)
    assert (grown.new_events, grown.late_events, grown.new_customers) == (3, 1, 1)
    assert [grown.log.customers[row] for row in grown.changed.tolist()] == ["0", "1", "77"]
    assert grown.log.layers == (before.key, grown.log.key)
    assert len(np.load(grown.log.folder / "time.npy")) == 5, "three new events, and two that the late one replays"
    counts = grown.log.manifest.counts
    assert {name: counts[name] for name in ("customers", "events", "new_events", "late_events")} == {
        "customers": 9, "events": 19, "new_events": 3, "late_events": 1,
    }  # fmt: skip
    assert grown.log.manifest.parents == {"eventlog": before.key}
    assert grown.log.schema.categorical[0].values == ("a", "b", "c"), "known values keep their codes"
    aside = pl.read_parquet(grown.log.quarantine)
    assert sorted(aside["reason"].to_list()) == ["duplicate", "duplicate", "not_a_number"]
    again = night(config, before, workspace)
    assert (again.log.key, again.sources, again.late_events) == (grown.log.key, grown.sources, 1)
    then = night(config, grown.log, workspace, 2)
    assert then.sources == (told(files=1, read=1, kept=1),)
    assert rows_of(then.log).filter(customer="3")["time"].to_list()[-1] == day(2.5)
    assert night(config, then.log, workspace, 3).log is then.log, "every row was taken once"


def test_the_same_inputs_give_the_same_bytes_whatever_the_memory(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    rows = [
        (str(int(c)), day(float(t)), str(int(s)), 1.0, 1000 + i)
        for i, (c, t, s) in enumerate(
            zip(random.integers(0, 12, 400), random.random(400) * 2, random.integers(0, 9, 400), strict=True)
        )
    ]
    monkeypatch.setattr(eventlog.night, "MOST_SHARE", 1e9)
    deliver(tmp_path, 1, {"s0": frame(rows[:250])})
    deliver(tmp_path, 2, {"s0": frame(rows[250:])})
    first = night(config, before, workspace)
    wanted = {path.name: path.read_bytes() for path in first.log.folder.iterdir()}
    shutil.rmtree(first.log.folder)
    monkeypatch.setattr(eventlog.scan, "BLOCK_ROWS", 7)
    monkeypatch.setattr("eventlog.order._split", lambda counts, _: [(i, i + 1) for i in range(len(counts))])
    monkeypatch.setattr("eventlog.growth.HISTORY_ROWS", 1)
    second = night(config.model_copy(update={"memory_mb": 1}), before, workspace)
    assert {path.name: path.read_bytes() for path in second.log.folder.iterdir()} == wanted
    assert second.log.layered


def test_a_truncated_file_and_one_that_changes_while_it_is_read_write_nothing(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(tmp_path, 1, {"s0": frame([("5", day(1.5), "a", 1.0, 100)])})
    path = tmp_path / "s0" / "0001.parquet"
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match=r"0001\.parquet: cannot be read, it is no complete Parquet file"):
        night(config, before, workspace)
    path.write_bytes(raw)
    reading = eventlog.scan.read_chunks

    def slow(*arguments: Any) -> Any:
        yield from reading(*arguments)
        path.write_bytes(raw + b"x")

    with monkeypatch.context() as patch:
        patch.setattr(eventlog.scan, "read_chunks", slow)
        with pytest.raises(DataError, match=r"0001\.parquet: changed while it was read"):
            night(config, before, workspace)
    assert [path.name for path in workspace.eventlogs.glob("[!.]*")] == [before.key]
    path.write_bytes(raw)
    assert night(config, before, workspace).new_events == 1


@pytest.mark.parametrize(
    "place", ["eventlog.scan.write_block", "eventlog.night.write_events", "eventlog.compact.write_ids"]
)
def test_a_full_disk_is_told_and_leaves_the_log_before(
    tmp_path: Path,
    config: EventLogConfig,
    before: EventLog,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    rows = [(str(i), day(1.5), "a", 1.0, 100 + i) for i in range(12)]  # so many that one plain log is written
    deliver(tmp_path, 1, {"s0": frame(rows)})
    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        with pytest.raises(StorageError, match="the disk is full; free space or choose another workspace"):
            night(config, before, workspace)
    assert [path.name for path in workspace.eventlogs.iterdir()] == [before.key]
    grown = night(config, before, workspace)
    assert (grown.new_events, grown.log.layered) == (12, False)


@pytest.mark.parametrize(
    ("good", "bad", "refused"), [(49, 51, True), (50, 50, False), (1, 98, False), (0, 10, True), (0, 9, False)]
)
def test_too_many_bad_rows_of_a_source_refuse_the_night(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace, good: int, bad: int, refused: bool
) -> None:
    rows = [("1", day(1.5), "a", float("nan") if i < bad else 1.0, 100 + i) for i in range(good + bad)]
    rows += [("1", day(0.1), "a", 1.0, i % 16) for i in range(300)]  # repeats are not bad
    deliver(tmp_path, 1, {"s0": frame(rows[: good + bad])})
    if not refused:
        assert night(config, before, workspace).new_events == good
        return
    with pytest.raises(DataError) as error:
        night(config, before, workspace)
    assert f"source 's0': {bad} of {good + bad} rows that are new break the contract" in str(error.value)
    assert "an amount is NaN, first at 0001.parquet, row 1, column 'amount'" in str(error.value)
    assert [path.name for path in workspace.eventlogs.glob("[!.]*")] == [before.key]


def test_repeats_are_no_bad_rows(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace
) -> None:
    deliver(tmp_path, 1, {"s0": frame([("1", day(0.1), "a", 1.0, i % 16) for i in range(300)])})
    assert night(config, before, workspace).sources == (told(files=1, read=300, duplicates=300),)


def gone_are(*customers: str) -> Callable[[pl.Series], np.ndarray]:
    def erased(ids: pl.Series) -> np.ndarray:
        assert ids.dtype == pl.String
        return ids.is_in(list(customers)).to_numpy()

    return erased


def test_rows_of_erased_customers_are_dropped_and_nowhere_on_disk(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace
) -> None:
    lines = ["customer,time,shop,amount,id"]
    lines += [f"secret-7,2020-01-02,a,{amount},{i}" for i, amount in enumerate(("1", "x", "2"), start=100)]
    lines += ["secret-7,2020-01-02", "secret-7,2020-01-05,a,1,105", "1,2020-01-02,a,1,106", "2,2020-01-02"]
    (tmp_path / "s0" / "1.csv").write_text("\n".join(lines) + "\n")
    config = config.model_copy(
        update={"sources": (config.sources[0].model_copy(update={"path": str(tmp_path / "s0" / "*.*")}),)}
    )
    with_all = night(config, before, workspace)
    assert with_all.sources == (told(files=1, read=6, kept=3, quarantined=3, pending=1),)
    assert any(b"secret-7" in path.read_bytes() for path in with_all.log.folder.iterdir())
    grown = night(config, before, workspace, erased=gone_are("secret-7", "2"))
    assert grown.sources == (told(files=1, read=6, kept=1, erased=5, pending=1),)
    assert grown.log.key != with_all.log.key
    assert not any(b"secret" in path.read_bytes() for path in grown.log.folder.iterdir())
    assert pl.read_parquet(grown.log.quarantine).is_empty()
    then = night(config, grown.log, workspace, 5, erased=gone_are("secret-7", "2"))
    assert then.sources == (told(files=1, read=1, erased=1),)


def test_rows_without_a_customer_are_nobodys(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace
) -> None:
    nobody = [(None, day(1.5), "a", 1.0, 100 + i) for i in range(5)]
    deliver(tmp_path, 1, {"s0": frame(nobody)})
    assert night(config, before, workspace, erased=gone_are("1")).sources == (told(files=1, read=5, quarantined=5),)
    deliver(tmp_path, 2, {"s0": frame([*nobody[:3], ("1", day(1.5), "a", 1.0, 200)])})
    grown = night(config, before, workspace, erased=gone_are("1"))
    assert grown.sources == (told(files=2, read=9, quarantined=8, erased=1),)


def test_a_log_of_format_1_asks_for_one_run(config: EventLogConfig, before: EventLog, workspace: Workspace) -> None:
    (before.folder / "files.json").unlink()
    with pytest.raises(ConflictError, match=r"does not say which files it has read; `kinfolk run` once"):
        night(config, before, workspace)


def test_other_sources_than_those_of_the_log_are_refused(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace
) -> None:
    renamed = config.sources[0].model_copy(update={"name": "other"})
    with pytest.raises(ConflictError, match="the recipe's sources: other; those of the log"):
        night(config.model_copy(update={"sources": (renamed,)}), before, workspace)
    for change, word in (
        ({"time_unit": "s"}, "time_unit"),
        ({"numeric": {}}, "numeric"),
        ({"event_id": None}, "event_id"),
    ):
        other = config.sources[0].model_copy(update=change)
        with pytest.raises(ConflictError, match=f"source 's0': `{word}` is not what it was"):
            night(config.model_copy(update={"sources": (other,)}), before, workspace)
    moved = tmp_path / "elsewhere"
    shutil.move(tmp_path / "s0", moved)
    elsewhere = config.sources[0].model_copy(update={"path": str(moved / "*.parquet")})
    grown = night(config.model_copy(update={"sources": (elsewhere,)}), before, workspace)
    assert grown.log is before, "where the files stand is of no account"


def test_many_layers_or_large_ones_become_one_plain_log(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventlog.night, "MOST_LAYERS", 3)
    log, shapes = before, []
    for number in range(1, 6):
        deliver(tmp_path, number, {"s0": frame([(str(number), day(number + 0.5), "a", 1.0, 100 + number)])})
        grown = night(config, log, workspace, number)
        assert grown.log.manifest.parents == {"eventlog": log.key}
        assert grown.log.manifest.counts["new_events"] == 1
        log = grown.log
        shapes.append(len(log.layers))
    assert shapes == [2, 3, 1, 2, 3]
    whole = prepare(config.model_copy(update={"until": midnight(5)}), Workspace.create(tmp_path / "once"), now=NOW)
    assert rows_of(log).equals(rows_of(whole))
    deliver(tmp_path, 6, {"s0": frame([("3", day(6.5), "a", 1.0, 200 + i) for i in range(9)])})
    grown = night(config, log, workspace, 6)
    assert not grown.log.layered
    assert (
        json.loads((grown.log.folder / "files.json").read_text())["sources"][0]["files"][-1]["label"] == "0006.parquet"
    )
    again = prepare(config.model_copy(update={"until": midnight(6)}), Workspace.create(tmp_path / "once"), now=NOW)
    assert contents(grown.log) == contents(again)
    repeated = frame([("3", day(0.1), "a", 1.0, 1), ("3", day(6.5), "a", 1.0, 203)])
    deliver(tmp_path, 7, {"s0": repeated})
    assert night(config, grown.log, workspace, 7).sources == (told(files=1, read=2, duplicates=2),)


def test_a_flipped_bit_in_any_layer_of_a_real_log_is_refused(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace
) -> None:
    log = before
    for number in (1, 2):
        deliver(tmp_path, number, {"s0": frame([("1", day(number + 0.5), "z", 1.0, 100 + number)])})
        log = night(config, log, workspace, number).log
    assert len(log.layers) == 3
    random = np.random.default_rng(1)
    for folder in folders_of(log.folder):
        for path in sorted(folder.iterdir()):
            raw = bytearray(path.read_bytes())
            place = int(random.integers(0, 8 * len(raw)))
            raw[place // 8] ^= 1 << place % 8
            old = path.read_bytes()
            path.write_bytes(bytes(raw))
            with pytest.raises(ArtifactError, match=path.name):
                EventLog.load(log.folder)
            path.write_bytes(old)
    assert EventLog.load(log.folder).n_events == 18
