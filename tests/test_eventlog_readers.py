"""Whoever reads a log reads one in layers like the plain one of the same events: training, embedding, attribution."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from histories import events, tiny

import embed.refresh
import embed.run
import eventlog.night
import train.run
from embed.attribution import attribute
from embed.config import EmbedConfig
from eventlog.behaviour import behaviour
from eventlog.compact import compact
from eventlog.config import EventLogConfig
from eventlog.recode import recoded
from eventlog.run import run as prepare
from eventlog.sequences import EventLog
from store.workspace import Workspace
from train.artifact import Model

SMALL = EmbedConfig(batch_events=1000, threads=1)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace.create(tmp_path_factory.mktemp("readers") / "workspace")


@pytest.fixture(scope="module")
def logs(workspace: Workspace) -> tuple[EventLog, EventLog, EventLog]:
    """A log, the same after three nights in layers, and that as a plain one, in the same dictionaries."""
    folder, frame = workspace.root.parent / "events", events(customers=60)
    folder.mkdir()
    source = {"name": "shop", "path": str(folder / "*.parquet"), "categorical": ["kind", "noise"]}
    config = EventLogConfig.model_validate({"sources": [{**source, "numeric": ["amount"]}]})
    # an eighth comes late, the last days come last, and customer 7 is new on the second night
    place, last = pl.int_range(pl.len()) % 24, pl.col("timestamp").max() - timedelta(days=5)
    night = pl.when(pl.col("timestamp") > last).then(3).when(place < 3).then(place + 1).otherwise(0)
    night = pl.when(pl.col("customer_id") == 7).then(2).otherwise(night)
    parts = frame.with_columns(night=night).partition_by("night", as_dict=True)
    log = before = None
    until = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eventlog.night, "MOST_SHARE", 1e9)
        for number in range(4):
            parts[(number,)].drop("night").write_parquet(folder / f"{number}.parquet")
            log = prepare(config, workspace) if log is None else eventlog.night.run(config, log, workspace, until).log
            before = before or log
    assert before is not None
    assert log is not None
    assert len(log.layers) == 4
    plain = compact(log, workspace.eventlogs / "plain", "plain")
    return before, recoded(log, plain.schema), plain


@pytest.fixture(scope="module")
def model(logs: tuple[EventLog, EventLog, EventLog], workspace: Workspace) -> Model:
    return train.run.run(tiny(epochs=1), logs[2], workspace)


def test_training_learns_the_same(logs: tuple[EventLog, EventLog, EventLog], model: Model, tmp_path: Path) -> None:
    _, layered, _ = logs
    assert layered.layered
    again = train.run.run(tiny(epochs=1), layered, Workspace.create(tmp_path))
    assert again.key != model.key
    for name in ("weights.safetensors", "metrics.json"):
        assert (again.folder / name).read_bytes() == (model.folder / name).read_bytes()


def test_embedding_and_refreshing_give_the_same_vectors(
    logs: tuple[EventLog, EventLog, EventLog], model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (embed.run, embed.refresh):
        monkeypatch.setattr(module, "KEPT_FROM", 12)
    before, layered, plain = logs
    wanted = embed.run.run(SMALL, model, plain, tmp_path / "plain")
    found = embed.run.run(SMALL, model, layered, tmp_path / "layered")
    np.testing.assert_array_equal(found.vectors, wanted.vectors)
    previous = embed.run.run(SMALL, model, before, tmp_path / "before")
    fresh = embed.refresh.run(SMALL, model, layered, previous, tmp_path / "fresh")
    assert fresh.customers.to_list() == wanted.customers.to_list()
    np.testing.assert_allclose(fresh.vectors, wanted.vectors, atol=1e-5)
    assert fresh.manifest.figures["folded"] + fresh.manifest.figures["replayed"] > 10


def test_behaviour_and_attribution_are_the_same(logs: tuple[EventLog, EventLog, EventLog], model: Model) -> None:
    _, layered, plain = logs
    made, wanted = behaviour(layered), behaviour(plain)
    assert (made.features, made.matrix.tobytes()) == (wanted.features, wanted.matrix.tobytes())
    for customer in (0, 5, 40):
        assert repr(attribute(model, layered, customer)) == repr(attribute(model, plain, customer))
