"""Sources read in shards: the bytes of reading them at once, whatever the files hold and wherever they are cut."""

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import ray_in_turn

import eventlog.scan
import eventlog.shards
from configs.errors import DataError, InputError
from eventlog.config import EventLogConfig
from eventlog.ray_engine import Repeats, over_ray
from eventlog.run import SHARDS, run
from eventlog.sequences import EventLog
from eventlog.shards import Shards
from store.catalogue import Catalogue
from store.erasures import ErasedNow, Erasures
from store.ray_work import seen_by_workers
from store.workspace import Workspace

NOW = datetime(2020, 6, 1, tzinfo=UTC)


@pytest.fixture
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards are made one after the other in this process."""
    ray_in_turn.in_turn(monkeypatch)


def write_bank(folder: Path, seed: int) -> EventLogConfig:
    """Two sources in several files with every fault that a row can have, and ids that come twice across files."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for file in range(6):
        n = int(rng.integers(0, 120))
        start = datetime(2020, 1, 1)
        frame = pl.DataFrame(
            {
                "customer": pl.Series(rng.integers(1, 30, n)).cast(pl.String),
                "time": [start + timedelta(hours=int(h)) for h in rng.integers(0, 24 * 170, n)],
                "id": [f"e{i}" for i in rng.integers(0, 400, n)],
                "shop": [["a", "b", "", "shop, with comma", None][i] for i in rng.integers(0, 5, n)],
                "amount": rng.choice([1.5, 2.25, np.nan, np.inf], n, p=[0.6, 0.3, 0.05, 0.05]),
            },
            schema_overrides={"shop": pl.String, "id": pl.String, "time": pl.Datetime("us"), "amount": pl.Float64},
        )
        frame = frame.with_columns(pl.when(pl.int_range(pl.len()) % 17 != 3).then("customer").alias("customer"))
        frame.write_parquet(folder / f"bank-{file}.parquet", row_group_size=32)
        lines = ["customer,time,shop,amount"]
        for i in range(int(rng.integers(0, 60))):
            bad = rng.random()
            amount = "many" if bad < 0.1 else "3.5"
            lines.append(f"{rng.integers(1, 40)},2020-0{rng.integers(1, 9)}-11T10:00,s{i % 3},{amount}")
            if bad > 0.85:
                lines.append(f"{rng.integers(1, 40)},one,two,three,four")
        (folder / f"web-{file}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    columns = {"customer": "customer", "time": "time", "categorical": ["shop"], "numeric": ["amount"]}
    sources = [
        {"name": "bank", "path": str(folder / "bank-*.parquet"), "event_id": "id", **columns},
        {"name": "web", "path": str(folder / "web-*.csv"), **columns},
    ]
    until = "2020-05-20" if seed % 2 else None
    return EventLogConfig.model_validate({"sources": sources, "until": until, "max_bad_share": 1.0})


def contents(log: EventLog) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in log.folder.iterdir()}


@pytest.mark.parametrize("seed", range(6))
def test_shards_give_the_bytes_of_reading_at_once(
    tmp_path: Path, seed: int, in_turn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventlog.scan, "BLOCK_ROWS", [20, 50, 100, 300][seed % 4])
    monkeypatch.setattr(eventlog.shards, "BYTES", [1, 5000, 1 << 30][seed % 3])
    config = write_bank(tmp_path / "bank", seed)
    erased = None
    if seed >= 2:
        with Catalogue(tmp_path / "catalogue.db") as catalogue:
            salt = Erasures(catalogue).salt()
            known = frozenset(Erasures(catalogue).hashes(["7", "12"]))
        erased = ErasedNow(salt, known)
    local = run(config, Workspace.create(tmp_path / "local"), now=NOW, erased=erased)
    told: list[Repeats] = []
    engine = over_ray(erased.key if erased else "", told.append)
    workspace = Workspace.create(tmp_path / "ray")
    cut = run(config, workspace, now=NOW, erased=erased, engine=engine)
    assert contents(cut) == contents(local)
    assert [path.name for path in workspace.eventlogs.iterdir()] == [cut.key]
    assert (told[0].found, told[0].repeated) == (0, 0)
    assert told[0].made in {0: [12], 1: range(3, 12), 2: [2]}[seed % 3]
    reasons = pl.read_parquet(local.folder / "quarantine.parquet")["reason"].unique().to_list()
    assert {"duplicate", "malformed_line", "future_time", "missing_customer", "unparsable_number"} - {*reasons} == (
        {"future_time"} if seed % 2 else set()
    )


def cut_off(config: EventLogConfig, workspace: Workspace, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading over Ray that reaches a file which changed meanwhile, when all shards are finished."""
    with monkeypatch.context() as patch:
        patch.setattr("eventlog.run.refuse_moved", _moved)
        with pytest.raises(DataError, match="changed while it was read"):
            run(config, workspace, now=now, engine=over_ray(""))


def _moved(tables: object) -> None:
    raise DataError("changed while it was read")


def test_a_rerun_takes_finished_shards_and_makes_damaged_ones_anew(
    tmp_path: Path, in_turn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventlog.shards, "BYTES", 1)
    config, workspace = write_bank(tmp_path / "bank", 0), Workspace.create(tmp_path / "ray")
    local = run(config, Workspace.create(tmp_path / "local"), now=NOW)
    cut_off(config, workspace, NOW, monkeypatch)
    shards = workspace.eventlogs / SHARDS
    with next(shards.glob("000003/block-*")).open("r+b") as file:
        file.write(b"?")
    (shards / "000007" / "manifest.json").unlink()
    told: list[Repeats] = []
    cut = run(config, workspace, now=NOW, engine=over_ray("", told.append))
    assert told == [Repeats(found=10, made=2, repeated=0)]
    assert contents(cut) == contents(local)


def test_shards_that_judged_another_day_are_made_anew(
    tmp_path: Path, in_turn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventlog.shards, "BYTES", 1)
    config, workspace = write_bank(tmp_path / "bank", 0), Workspace.create(tmp_path / "ray")
    later = NOW + timedelta(days=60)
    local = run(config, Workspace.create(tmp_path / "local"), now=later)
    cut_off(config, workspace, NOW, monkeypatch)
    told: list[Repeats] = []
    cut = run(config, workspace, now=later, engine=over_ray("", told.append))
    assert min(told[0].found, told[0].made) > 0
    assert told[0].found + told[0].made == 12
    assert contents(cut) == contents(local)


def test_another_register_of_erasures_is_another_shard(
    tmp_path: Path, in_turn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, workspace = write_bank(tmp_path / "bank", 0), Workspace.create(tmp_path / "ray")
    cut_off(config, workspace, NOW, monkeypatch)
    with Catalogue(tmp_path / "catalogue.db") as catalogue:
        erased = ErasedNow(Erasures(catalogue).salt(), frozenset(Erasures(catalogue).hashes(["7"])))
    told: list[Repeats] = []
    cut = run(config, workspace, now=NOW, erased=erased, engine=over_ray(erased.key, told.append))
    assert told[0].found == 0
    assert "7" not in cut.customers.cast(pl.String).to_list()


def test_a_database_address_is_not_sent_to_workers(tmp_path: Path) -> None:
    from eventlog.files import describe
    from eventlog.scan import Limits
    from eventlog.tables import Table

    config = EventLogConfig.model_validate(
        {"sources": [{"name": "b", "query": "select 1", "url": "postgresql://me:secret@host/db"}]}
    )
    (tmp_path / "part.parquet").write_bytes(b"x")
    table = Table(config.sources[0], 0, (describe(tmp_path / "part.parquet", "query"),), True, None)
    shards = Shards.of(tmp_path, (table,), (("0" * 64,),), Limits.of(config, 0, None), [])
    assert b"secret" not in pickle.dumps(shards)
    assert b"part.parquet" in pickle.dumps(shards)


def test_events_that_a_worker_does_not_see_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"e\.parquet: not there on a worker.*the same path"):
        seen_by_workers(tmp_path / "e.parquet")


def test_sources_that_are_refused_leave_nothing_behind(tmp_path: Path, in_turn: None) -> None:
    config, workspace = write_bank(tmp_path / "bank", 0), Workspace.create(tmp_path / "ray")
    config = config.model_copy(update={"max_bad_share": 0.01})
    with pytest.raises(DataError) as local:
        run(config, Workspace.create(tmp_path / "local"), now=NOW)
    with pytest.raises(DataError) as cut:
        run(config, workspace, now=NOW, engine=over_ray(""))
    assert str(cut.value) == str(local.value)
    assert list(workspace.eventlogs.iterdir()) == []


def test_an_erasure_takes_the_shards_of_a_killed_reading_along(
    tmp_path: Path, in_turn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serve.forget import _leftovers
    from store.rewrite import Rewrite

    config, workspace = write_bank(tmp_path / "bank", 0), Workspace.create(tmp_path / "ray")
    cut_off(config, workspace, NOW, monkeypatch)
    rewrite = Rewrite(workspace.root)
    assert _leftovers(rewrite, workspace)
    assert rewrite.removed == [f"eventlog/{SHARDS}"]
