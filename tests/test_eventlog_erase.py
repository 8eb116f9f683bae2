"""Customers taken out of logs in layers: what is left is what was there without them, whatever nights came."""

import json
import os
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nightly_log import NOW, config_of, deliver, event_frames, frame, midnight, rows_of

import eventlog.night
from configs.errors import ArtifactError, InputError
from eventlog.config import EventLogConfig
from eventlog.erase import erase_logs, remaining
from eventlog.run import run as prepare
from eventlog.sequences import EventLog
from store.erasures import Named
from store.rewrite import Rewrite
from store.workspace import Workspace


def grown(
    config: EventLogConfig, workspace: Workspace, folder: Path, frames: list[dict[str, pl.DataFrame]]
) -> list[EventLog]:
    """The logs of all nights."""
    logs: list[EventLog] = []
    for night, delivered in enumerate(frames):
        deliver(folder, night, delivered)
        if not logs:
            logs.append(prepare(config.model_copy(update={"until": midnight(night)}), workspace, now=NOW))
            continue
        log = eventlog.night.run(config, logs[-1], workspace, midnight(night), now=NOW).log
        logs += [log] if log.key != logs[-1].key else []
    return logs


def erase(workspace: Workspace, *ids: str) -> None:
    """Erase from all logs of a workspace."""
    rewrite = Rewrite(workspace.root)
    folders = [path for path in workspace.eventlogs.glob("[!.]*") if path.is_dir()]
    erase_logs(rewrite, folders, Named(frozenset(ids)), "e-1")
    rewrite.commit({})
    (workspace.root / "erasure.json").unlink()


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 2), st.sets(st.sampled_from(["1", "2", "3", "10", "x"]), min_size=1))
def test_every_log_of_a_chain_is_what_it_was_without_them(data: st.DataObject, sources: int, gone: set[str]) -> None:
    frames = data.draw(event_frames(sources, ids=False))
    with tempfile.TemporaryDirectory() as place:
        workspace, config = Workspace.create(Path(place) / "w"), config_of(Path(place), sources)
        logs = grown(config, workspace, Path(place), frames)
        wanted = [rows_of(log).filter(~pl.col("customer").is_in(sorted(gone))) for log in logs]
        erase(workspace, *gone)
        for log, rows in zip(logs, wanted, strict=True):
            now = EventLog.load(log.folder)
            assert rows_of(now).equals(rows)
            assert (now.key, now.layers) == (log.key, log.layers)
            assert now.manifest.counts["events"] == now.n_events == len(rows)
            assert now.manifest.counts["customers"] == now.n_customers
            assert not set(now.customers) & gone
            codes = [len(field.values) for field in now.schema.categorical]
            assert codes == [len(field.values) for field in log.schema.categorical]


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_night_goes_on_from_an_erased_log_and_brings_nobody_back(data: st.DataObject) -> None:
    frames = data.draw(event_frames(1, ids=False))
    with tempfile.TemporaryDirectory() as place:
        workspace, config = Workspace.create(Path(place) / "w"), config_of(Path(place))
        logs = grown(config, workspace, Path(place), frames)
        erase(workspace, "1")
        late = frame([(who, midnight(0).replace(tzinfo=None), "new", 1.0, 900) for who in ("1", "2", "5")])
        deliver(Path(place), len(frames), {"s0": late})
        until = midnight(len(frames) + 1)
        before = EventLog.load(logs[-1].folder)
        found = eventlog.night.run(
            config, before, workspace, until, now=NOW, erased=lambda ids: (ids.cast(pl.String) == "1").to_numpy()
        )
        assert found.sources[0].erased >= 1
        assert "1" not in found.log.customers
        new = rows_of(found.log).filter(pl.col("shop").eq_missing(pl.lit("new")))
        assert sorted(new["customer"]) == ["2", "5"]


def test_a_value_that_another_log_still_uses_stays(tmp_path: Path) -> None:
    workspace, config = Workspace.create(tmp_path / "w"), config_of(tmp_path)
    day = midnight(0).replace(tzinfo=None)
    first = frame([("1", day.replace(year=2019), "his", 1.0, 1), ("5", day.replace(year=2019), "a", 1.0, 2)])
    second = frame([("5", day, "his", 1.0, 3), ("1", day, "only his", 1.0, 4)])
    logs = grown(config, workspace, tmp_path, [{"s0": first}, {"s0": second}])
    assert len(logs) == 1 or logs[-1].n_events == 4
    last = eventlog.night.run(config, logs[-1], workspace, midnight(3), now=NOW).log
    assert last.n_events == 4
    erase(workspace, "1")
    for log in (*logs, last):
        values = EventLog.load(log.folder).schema.categorical[0].values
        assert ("his" in values) == ("his" in log.schema.categorical[0].values)
        assert "only his" not in values
    assert any("(erased e-1 " in value for value in EventLog.load(last.folder).schema.categorical[0].values)


def test_unchanged_files_keep_their_bytes_and_a_damaged_log_is_refused(tmp_path: Path) -> None:
    workspace, config = Workspace.create(tmp_path / "w"), config_of(tmp_path)
    rows = frame([(who, midnight(0).replace(tzinfo=None, year=2019), "a", 1.0, 1) for who in ("1", "2")])
    (log,) = grown(config, workspace, tmp_path, [{"s0": rows}])
    inode = os.stat(log.folder / "files.json").st_ino
    erase(workspace, "2")
    assert os.stat(log.folder / "files.json").st_ino == inode
    with pytest.raises(InputError, match="nobody would be left in this event log"):
        erase(workspace, "1")
    (log.folder / "time.npy").write_bytes(b"rot")
    with pytest.raises(ArtifactError, match=r"time\.npy"):
        erase(workspace, "1")


def test_rows_in_quarantine_go_by_the_column_that_the_log_names(tmp_path: Path) -> None:
    """A number that happens to be an id stays where it is another column's."""
    workspace = Workspace.create(tmp_path / "w")
    lines = [
        "who,at,shop,amount",
        "7,2019-01-01,a,1",
        "8,2019-01-01,a,1",
        "7,never,a,1",
        "8,never,7,7",
        "8,2019-01-02,a,x7",
    ]
    (tmp_path / "events.csv").write_text("\n".join([*lines, "7,too", "8,few"]) + "\n", encoding="utf-8")
    source = {"name": "s", "path": str(tmp_path / "events.csv"), "customer": "who", "time": "at"}
    config = EventLogConfig.model_validate(
        {"sources": [{**source, "categorical": ["shop"], "numeric": ["amount"]}], "max_bad_share": 1.0}
    )
    log = prepare(config, workspace, now=NOW)
    before = pl.read_parquet(log.quarantine)
    erase(workspace, "7")
    after = pl.read_parquet(log.quarantine)
    assert len(before) - len(after) == 2
    named = [json.loads(event)["who"] for event in after["event"].drop_nulls()]
    assert named == ["8"] * len(named)
    assert "8,few" in str(after["value"].to_list())
    assert after.schema == before.schema
    assert EventLog.load(log.folder).customers.to_list() == [8]


def test_what_remains_between_ranges() -> None:
    assert remaining([], 5) == [(0, 5)]
    assert remaining([(0, 2), (2, 3), (4, 5)], 5) == [(3, 4)]
    assert remaining([(0, 5)], 5) == []
    assert np.arange(9)[np.r_[tuple(slice(*r) for r in remaining([(1, 3), (8, 9)], 9))]].tolist() == [0, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("name", ["s1", "feed-of-customer-B"])
def test_nights_go_on_after_the_last_customer_of_a_source_is_erased(tmp_path: Path, name: str) -> None:
    """A source's name is not a value that tells of a customer; where an id stands in it, it is blanked all the same."""
    workspace = Workspace.create(tmp_path / "w")
    config = EventLogConfig.model_validate(
        config_of(tmp_path, 2).model_dump()
        | {
            "sources": [
                {**source.model_dump(exclude_unset=True), "name": given}
                for source, given in zip(config_of(tmp_path, 2).sources, ("s0", name), strict=True)
            ]
        }
    )
    day = midnight(0).replace(tzinfo=None, hour=0) - timedelta(hours=5)
    first = {
        "s0": frame([("customer-A", day, "a", 1.0, 1), ("customer-C", day, "a", 1.0, 2)]),
        "s1": frame([("customer-B", day, "a", 1.0, 3)]),
    }
    (log,) = grown(config, workspace, tmp_path, [first])
    erase(workspace, "customer-B")
    after = EventLog.load(log.folder)
    assert (name in after.schema.categorical[0].values) == (name == "s1")
    late = frame([("customer-A", day, "b", 1.0, 4)])
    deliver(tmp_path, 1, {"s0": late, "s1": late})
    next_log = eventlog.night.run(config, after, workspace, midnight(1), now=NOW).log
    shops = rows_of(next_log).filter(customer="customer-A")
    assert shops["source"].to_list() == ["s0", "s0", name]
