"""What must hold of every vector: it depends on the customer's own events and on nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from histories import events, prepared, tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence

import embed.run
import train.encode
import train.run
from configs.errors import ArtifactError, ConflictError
from embed.config import EmbedConfig
from embed.state import from_rows, to_rows
from eventlog.sequences import EventLog
from store.workspace import Workspace
from train.artifact import Model
from train.encode import fold, length_buckets, states
from train.packing import pack
from train.pools import Layout, clock, gather, pool, population
from train.recurrence import scan
from train.slices import next_positions, slice_lengths

LENIENT = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventLog, Workspace, Model]:
    """A log and a model really trained on it."""
    log, workspace = prepared(events(), tmp_path_factory.mktemp("train"))
    return log, workspace, train.run.run(tiny(), log, workspace)


def vectors(model: Model, log: EventLog, customers: np.ndarray) -> np.ndarray:
    return model.encoder.vectors(
        states(model.encoder, log, customers, log.offsets[customers], log.offsets[customers + 1])
    )


@given(data=st.data())
@LENIENT
def test_batch_mates_never_change_a_vector(made: tuple[EventLog, Workspace, Model], data: st.DataObject) -> None:
    log, _, model = made
    mates = data.draw(st.lists(st.integers(0, log.n_customers - 1), min_size=1, max_size=20, unique=True))
    together = vectors(model, log, np.array(mates))
    alone = np.concatenate([vectors(model, log, np.array([one])) for one in mates])
    np.testing.assert_allclose(together, alone, atol=2e-6)


@given(data=st.data())
@LENIENT
def test_state_plus_new_events_is_the_whole_history(
    made: tuple[EventLog, Workspace, Model], data: st.DataObject
) -> None:
    log, _, model = made
    customers = np.flatnonzero(np.diff(log.offsets) >= 3)[:8]
    begin, end = log.offsets[customers], log.offsets[customers + 1]
    cuts = sorted(data.draw(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=3, unique=True)))
    marks = [np.clip(begin + ((end - begin) * cut).astype(np.int64), begin + 1, end - 1) for cut in cuts]
    state = states(model.encoder, log, customers, begin, marks[0])
    for since, until in zip(marks, [*marks[1:], end], strict=True):
        some = np.flatnonzero(until > since)
        if not len(some):
            continue
        # through the stored form, as a night would
        rows = to_rows(state)
        part = fold(model.encoder, log, customers[some], since[some], until[some], from_rows(rows[some], model.encoder))
        rows[some] = to_rows(part)
        state = from_rows(rows, model.encoder)
    whole = states(model.encoder, log, customers, begin, end)
    np.testing.assert_allclose(model.encoder.vectors(state), model.encoder.vectors(whole), atol=1e-5)
    np.testing.assert_array_equal(state.clock, whole.clock)


def test_long_histories_go_through_in_rounds(
    made: tuple[EventLog, Workspace, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _, model = made
    everyone = np.arange(log.n_customers)
    whole = vectors(model, log, everyone)
    monkeypatch.setattr(train.encode, "ROUND", 7)
    np.testing.assert_allclose(vectors(model, log, everyone), whole, atol=1e-5)


def test_short_histories_get_usable_vectors(made: tuple[EventLog, Workspace, Model]) -> None:
    log, _, model = made
    short = np.flatnonzero(np.diff(log.offsets) <= 3)
    assert (np.diff(log.offsets)[short] == 1).any()
    got = vectors(model, log, short)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)


def test_vectors_know_the_two_kinds_of_customers(made: tuple[EventLog, Workspace, Model]) -> None:
    log, _, model = made
    long = np.flatnonzero(np.diff(log.offsets) >= 10)
    got = vectors(model, log, long)
    odd = log.customers.to_numpy()[long] % 2 == 1
    alike = got @ got.T
    np.fill_diagonal(alike, -2)
    nearest = alike.argmax(1)
    assert (odd[nearest] == odd).mean() > 0.9


def test_noise_weighs_less_than_behaviour(made: tuple[EventLog, Workspace, Model]) -> None:
    _, _, model = made
    encoder = model.encoder
    where = {block.start: block for block in encoder.layout.blocks}
    offset, weight = {}, encoder.head.weight.numpy()
    at = 0
    for block in encoder.layout.blocks:
        offset[block.start] = at
        at += block.size
    kind, noise = (weight[offset[start] + 2 : offset[start] + where[start].size] for start in encoder.layout.fields)
    assert noise.mean() < 0.4 * kind.mean()


def test_embedding_everyone_writes_the_vectors_of_each(made: tuple[EventLog, Workspace, Model], tmp_path: Path) -> None:
    log, _, model = made
    embeddings = embed.run.run(EmbedConfig(batch_events=1000), model, log, tmp_path / "embeddings")
    assert embeddings.customers.to_list() == log.customers.to_list()
    np.testing.assert_allclose(embeddings.vectors, vectors(model, log, np.arange(log.n_customers)), atol=2e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["embeddings"]
    again = embed.run.run(EmbedConfig(batch_events=5000), model, log, tmp_path / "embeddings")
    assert again.key == embeddings.key
    other = embed.run.run(EmbedConfig(batch_events=5000), model, log, tmp_path / "other")
    np.testing.assert_allclose(other.vectors, embeddings.vectors, atol=2e-6)


def test_a_log_with_other_fields_is_refused(made: tuple[EventLog, Workspace, Model], tmp_path: Path) -> None:
    log, _, model = made
    fields = tuple(replace(field, name=f"my_{field.name}") for field in log.schema.categorical)
    other = replace(log, key="other", schema=replace(log.schema, categorical=fields))
    with pytest.raises(ConflictError, match="categorical fields: my_kind, my_noise; the model's: kind, noise"):
        embed.run.run(EmbedConfig(), model, other, tmp_path / "embeddings")
    assert not (tmp_path / "embeddings").exists()


def test_a_damaged_model_is_refused_by_name(made: tuple[EventLog, Workspace, Model], tmp_path: Path) -> None:
    import shutil

    _, _, model = made
    for file in ("weights.safetensors", "model.json", "metrics.json", "manifest.json"):
        folder = tmp_path / file
        shutil.copytree(model.folder, folder)
        raw = bytearray((folder / file).read_bytes())
        raw[len(raw) // 2] ^= 4
        (folder / file).write_bytes(raw)
        with pytest.raises(ArtifactError, match=file.replace(".", r"\.")):
            Model.load(folder)


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40)
def test_the_scan_is_torchs_gru(lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    gru = nn.GRU(5, 4)
    run = np.array(lengths)
    begin = np.cumsum(run) - run
    packed = pack(begin, begin + run)
    x = torch.randn(int(run.sum()), 5, requires_grad=True)
    start = torch.randn(len(run), 4, requires_grad=True)
    results = []
    for way in (
        lambda: scan(gru, x, start, packed.sizes),
        lambda: (lambda out: (out[0].data, out[1][0]))(gru(PackedSequence(x, torch.tensor(packed.sizes)), start[None])),
    ):
        hidden, last = way()
        loss = (hidden**2).sum() + (last * torch.arange(4)).sum()
        grads = torch.autograd.grad(loss, [x, start, *gru.parameters()])
        results.append([hidden.detach(), last.detach(), *grads])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=20))
@settings(max_examples=60)
def test_packing_holds_every_event_once_in_step_order(lengths: list[int]) -> None:
    run = np.array(lengths)
    begin = np.cumsum(run) - run
    packed = pack(begin, begin + run)
    assert sorted(packed.rows.tolist()) == list(range(run.sum()))
    assert (np.diff(packed.step) >= 0).all()
    assert packed.sizes == [int((run > t).sum()) for t in range(run.max())]
    at, following = next_positions(packed)
    assert len(at) == run.sum() - len(run)
    np.testing.assert_array_equal(packed.rows[following], packed.rows[at] + 1)
    np.testing.assert_array_equal(packed.sequence[following], packed.sequence[at])


@given(lengths=st.lists(st.integers(1, 5000), min_size=1, max_size=60), budget=st.integers(1000, 20_000))
@settings(max_examples=60)
def test_buckets_hold_everyone_once_within_the_budget(lengths: list[int], budget: int) -> None:
    run = np.array(lengths)
    buckets = list(length_buckets(run, budget, most=10))
    assert sorted(np.concatenate(buckets).tolist()) == list(range(len(run)))
    for bucket in buckets:
        cost = np.minimum(run[bucket], train.encode.ROUND).sum()
        assert len(bucket) == 1 or (cost <= budget and len(bucket) <= 10)


def test_slices_fit_their_history() -> None:
    available = np.array([1, 2, 5, 30, 1000])
    for seed in range(50):
        lengths = slice_lengths(np.random.default_rng(seed), available, 20, 120)
        assert (lengths >= 1).all()
        assert (lengths <= np.minimum(available, 120)).all()


def test_pools_count_what_happened(made: tuple[EventLog, Workspace, Model]) -> None:
    log, _, model = made
    layout: Layout = model.encoder.layout
    customers = np.arange(log.n_customers)
    taken = gather(log, customers, log.offsets[:-1], log.offsets[1:])
    cells = pool(layout, taken, log.n_customers)
    one = 5
    rows = slice(log.offsets[one], log.offsets[one + 1])
    code = log.codes[rows, 0]
    code = np.where(code >= layout.kept[0], 1, code)
    for value in range(1, layout.kept[0]):
        assert cells[one, layout.fields[0] + value] == (code == value).sum()
    hours = log.time[rows] // 3_600_000_000 % 24
    np.testing.assert_array_equal(cells[one, layout.hour : layout.hour + 24], np.bincount(hours, minlength=24))
    counts = clock(taken, log.n_customers)[one]
    assert counts[0] == len(code)
    assert counts[1] == len(np.unique(log.time[rows] // 86_400_000_000))
    assert counts[2:].tolist() == [log.time[rows][0], log.time[rows][-1]]
    prior = population(layout, cells)
    for block in layout.blocks:
        if block.kind == "share":
            assert prior[block.start : block.start + block.size].sum() == pytest.approx(1)
