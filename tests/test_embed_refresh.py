"""Refreshing: whatever way events arrive, in whatever order, the vectors are those of embedding everyone at once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from histories import events, prepared, tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import embed.arrow
import embed.refresh
import embed.run
import train.run
from configs.errors import ConflictError
from embed.artifact import Embeddings, States
from embed.config import EmbedConfig
from eventlog.recode import recoded
from eventlog.sequences import EventLog
from store import digests
from store.digests import sha256
from train.artifact import Model
from train.encoder import Body, Encoder

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SMALL = EmbedConfig(batch_events=1000)


@pytest.fixture(autouse=True)
def kept_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """States of some of the short histories here: of about half the customers."""
    for module in (embed.run, embed.refresh):
        monkeypatch.setattr(module, "KEPT_FROM", 12)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, Model]:
    """Events, and a model really trained on a log of them."""
    frame = events(customers=60)
    log, workspace = prepared(frame, tmp_path_factory.mktemp("refresh"))
    return frame, train.run.run(tiny(epochs=1), log, workspace)


def logged(frame: pl.DataFrame, folder: Path) -> EventLog:
    return prepared(frame, folder)[0]


def close(found: Embeddings, wanted: Embeddings) -> None:
    assert found.customers.to_list() == wanted.customers.to_list()
    np.testing.assert_allclose(found.vectors, wanted.vectors, atol=1e-5)
    for carried, right in ((found.states, wanted.states), (found.hidden, wanted.hidden)):
        np.testing.assert_array_equal(carried.rows, right.rows)
        np.testing.assert_allclose(carried.matrix, right.matrix, atol=1e-3, rtol=1e-4)
    assert found.histories is not None
    assert wanted.histories is not None
    for name, column in vars(wanted.histories).items():
        np.testing.assert_array_equal(getattr(found.histories, name), column)


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several groups of changed customers, and pieces of a few rows."""
    monkeypatch.setattr(embed.refresh, "GROUP", 7)
    monkeypatch.setattr(embed.arrow, "PIECE", 10_000)


@given(data=st.data())
@FEW
def test_every_order_and_split_of_the_events_ends_in_the_same_vectors(
    made: tuple[pl.DataFrame, Model], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    frame, model = made
    place = tmp_path_factory.mktemp("order")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    nights = data.draw(st.integers(2, 4))
    if data.draw(st.booleans()):  # in order of time, cut anywhere
        arrival = np.searchsorted(np.sort(rng.random(nights - 1)), np.linspace(0, 1, len(frame)))
    else:  # any event on any night: most customers get late ones
        arrival = rng.integers(0, nights, len(frame))
    held = None
    for night in range(nights):
        seen = frame.filter(pl.Series(arrival <= night))
        if not len(seen):
            continue
        log = logged(seen, place / f"{night}")
        folder = place / f"{night}" / "embeddings"
        if held is None:
            held = embed.run.run(SMALL, model, log, folder)
        else:
            held = embed.refresh.run(SMALL, model, log, held, folder)
    assert held is not None
    close(held, embed.run.run(SMALL, model, logged(frame, place / "whole"), place / "all"))


def test_only_what_changed_is_read(made: tuple[pl.DataFrame, Model], tmp_path: Path) -> None:
    frame, model = made
    counts = frame["customer_id"].value_counts()
    grows, late, new_one, erased = counts.filter(pl.col("count") >= 16)["customer_id"].sort().to_list()[:4]
    short = counts.filter(pl.col("count").is_between(3, 12))["customer_id"].min()
    some = frame.with_columns(rank=pl.col("timestamp").rank("ordinal", descending=True).over("customer_id"))
    before = some.filter(~(pl.col("customer_id").is_in([grows, short]) & (pl.col("rank") <= 2)))
    before = before.filter(~((pl.col("customer_id") == late) & (pl.col("rank") == 9)))
    before = before.filter(pl.col("customer_id") != new_one)
    after = some.filter(pl.col("customer_id") != erased)
    old = logged(before.drop("rank"), tmp_path / "old")
    new = logged(after.drop("rank"), tmp_path / "new")
    held = embed.run.run(SMALL, model, old, tmp_path / "a")
    changes = embed.refresh.changes_since(held, recoded(new, model.schema))
    ids = new.customers.to_list()
    assert [ids[i] for i in changes.later] == [grows]
    assert [ids[i] for i in changes.short] == [short]
    assert [ids[i] for i in changes.replay] == sorted([late, new_one])
    assert len(changes.same) == len(ids) - 4
    found = embed.refresh.run(SMALL, model, new, held, tmp_path / "b")
    assert found.manifest.figures == {"unchanged": len(ids) - 4, "folded": 2, "replayed": 2}
    close(found, embed.run.run(SMALL, model, new, tmp_path / "c"))
    again = embed.refresh.run(SMALL, model, new, held, tmp_path / "b")
    assert again.key == found.key
    untouched = changes.same
    np.testing.assert_array_equal(found.vectors[untouched], held.vectors[changes.row[untouched]])
    assert not list(tmp_path.glob(".*"))


def test_of_a_short_history_the_body_reads_the_later_events_alone(
    made: tuple[pl.DataFrame, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, model = made
    counts = frame["customer_id"].value_counts()
    some = counts.filter(pl.col("count").is_between(6, 13))["customer_id"].sort().to_list()
    rank = pl.col("timestamp").rank("ordinal", descending=True).over("customer_id")
    before = frame.filter(~(pl.col("customer_id").is_in(some) & (rank <= 2)))
    held = embed.run.run(SMALL, model, logged(before, tmp_path / "old"), tmp_path / "a")
    log = logged(frame, tmp_path / "new")
    read: list[int] = []
    right = Body.last_states
    monkeypatch.setattr(Body, "last_states", lambda *given: read.append(len(given[2].rows)) or right(*given))
    found = embed.refresh.run(SMALL, model, log, held, tmp_path / "b")
    assert sum(read) == 2 * len(some) > 10
    close(found, embed.run.run(SMALL, model, log, tmp_path / "c"))
    assert found.states.rows.size > held.states.rows.size  # some have a state of their own from now on


def test_where_no_hidden_states_were_carried_they_come_as_histories_change(
    made: tuple[pl.DataFrame, Model], tmp_path: Path
) -> None:
    frame, model = made
    nights = [logged(frame.head(len(frame) - left), tmp_path / f"log{left}") for left in (60, 30, 0)]
    held = embed.run.run(SMALL, model, nights[0], tmp_path / "old")
    nobody = States(np.zeros(0, np.int64), np.zeros((0, 0), np.float32))  # as in format 2
    first = embed.refresh.run(SMALL, model, nights[1], replace(held, hidden=nobody), tmp_path / "first")
    wanted = embed.run.run(SMALL, model, nights[1], tmp_path / "wanted")
    np.testing.assert_allclose(first.vectors, wanted.vectors, atol=1e-5)
    assert 0 < len(first.hidden.rows) < len(wanted.hidden.rows)
    there = wanted.hidden.places(first.hidden.rows)
    np.testing.assert_allclose(first.hidden.matrix, wanted.hidden.matrix[there], atol=1e-5)
    second = embed.refresh.run(SMALL, model, nights[2], first, tmp_path / "second")
    assert len(second.hidden.rows) > len(first.hidden.rows)
    wanted = embed.run.run(SMALL, model, nights[2], tmp_path / "everybody")
    np.testing.assert_allclose(second.vectors, wanted.vectors, atol=1e-5)


def test_what_is_written_is_not_read_again_to_be_sealed(
    made: tuple[pl.DataFrame, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, model = made
    held = embed.run.run(SMALL, model, logged(frame.head(len(frame) - 40), tmp_path / "old"), tmp_path / "a")
    log = logged(frame, tmp_path / "new")
    monkeypatch.setattr(digests, "REMEMBERED_FROM", 1)
    read: list[str] = []

    def noted(path: Path) -> str:
        read.append(path.name)
        return sha256(path)

    monkeypatch.setattr(digests, "sha256", noted)
    found = embed.refresh.run(SMALL, model, log, held, tmp_path / "b")
    assert read == ["histories.arrow"]
    found.load(found.folder)  # the digests that were taken on the way are those of the files
    close(found, embed.run.run(SMALL, model, log, tmp_path / "c"))


def test_a_row_that_is_no_unit_vector_is_not_written(
    made: tuple[pl.DataFrame, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, model = made
    held = embed.run.run(SMALL, model, logged(frame.head(len(frame) - 40), tmp_path / "old"), tmp_path / "a")
    log = logged(frame, tmp_path / "new")
    right = Encoder.vectors
    monkeypatch.setattr(Encoder, "vectors", lambda self, state: right(self, state) * 2)
    with pytest.raises(ValueError, match="not of unit length"):
        embed.refresh.run(SMALL, model, log, held, tmp_path / "b")
    assert not list(tmp_path.glob("*b*"))


def test_an_event_at_the_time_of_the_last_known_one_is_replayed(
    made: tuple[pl.DataFrame, Model], tmp_path: Path
) -> None:
    frame, model = made
    last = frame.filter(pl.col("customer_id") == 2).tail(1)
    old = logged(frame, tmp_path / "old")
    new = logged(pl.concat([frame, last.with_columns(amount=pl.lit(999.0))]).sort("timestamp"), tmp_path / "new")
    held = embed.run.run(SMALL, model, old, tmp_path / "a")
    changes = embed.refresh.changes_since(held, recoded(new, model.schema))
    assert [new.customers[int(i)] for i in changes.replay] == [2]
    close(embed.refresh.run(SMALL, model, new, held, tmp_path / "b"), embed.run.run(SMALL, model, new, tmp_path / "c"))


def test_embeddings_of_another_model_are_refused(made: tuple[pl.DataFrame, Model], tmp_path: Path) -> None:
    frame, model = made
    log, workspace = prepared(frame, tmp_path / "log")
    other = train.run.run(tiny(epochs=1, seed=5), log, workspace)
    held = embed.run.run(SMALL, other, log, tmp_path / "other")
    with pytest.raises(ConflictError, match=f"vectors of model {other.key}, not of {model.key}"):
        embed.refresh.run(SMALL, model, log, held, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_log_is_read_in_the_terms_of_the_model(made: tuple[pl.DataFrame, Model], tmp_path: Path) -> None:
    frame, model = made
    known = [field.values for field in model.schema.categorical]
    changed = frame.filter(pl.col("kind") != "kind-0").with_columns(
        kind=pl.col("kind").str.replace("kind-1", "brand-new")
    )
    log = logged(changed, tmp_path / "log")
    assert log.schema != model.schema
    read = recoded(log, model.schema)
    codes = np.asarray(read.codes[:])
    owner = np.repeat(log.customers.to_numpy(), np.diff(log.offsets))
    truth = changed.sort("customer_id", "timestamp", maintain_order=True)
    assert owner.tolist() == truth["customer_id"].to_list()
    names = ["(absent)", "(other)", *known[0]]
    told = [names[code] for code in codes[:, 0]]
    for found, value in zip(
        sorted(told), sorted(truth["kind"].fill_null("(absent)").str.replace("brand-new", "(other)")), strict=True
    ):
        assert found == value
    assert recoded(read, model.schema) is read
