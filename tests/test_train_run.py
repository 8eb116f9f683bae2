"""Training for real, small: the exact files, the same weights after a kill, clear words on what cannot be learnt."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from histories import events, prepared, tiny
from pydantic import ValidationError

import train.encode
import train.run
from configs.errors import DataError
from configs.reader import faults
from eventlog.sequences import EventLog
from store.workspace import Workspace
from train.config import TrainConfig
from train.encoder import Parts
from train.head import Fields, fit_head, varimax
from train.module import Training
from train.trust import balance, communality, reliability, trust

LONGER = {"epochs": 8, "patience": 8, "epoch_events": 12_000}
CHILD = """
import sys
from pathlib import Path
import train.run
from eventlog.sequences import EventLog
from store.workspace import Workspace
from histories import tiny
log = EventLog.load(Path(sys.argv[1]))
train.run.run(tiny(**eval(sys.argv[3])), log, Workspace.create(Path(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    """A prepared log."""
    return prepared(events(), tmp_path_factory.mktemp("log"))[0]


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_the_same_training_writes_the_same_bytes(log: EventLog, tmp_path: Path) -> None:
    models = [train.run.run(tiny(), log, Workspace.create(tmp_path / name)) for name in ("a", "b")]
    assert files(models[0].folder) == files(models[1].folder)
    assert set(files(models[0].folder)) == {"weights.safetensors", "model.json", "metrics.json", "manifest.json"}
    other = train.run.run(tiny(seed=1), log, Workspace.create(tmp_path / "a"))
    assert other.key != models[0].key
    assert files(other.folder)["weights.safetensors"] != files(models[0].folder)["weights.safetensors"]


def test_losses_fall_and_are_kept(log: EventLog, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    model = train.run.run(tiny(epochs=4, patience=4), log, workspace)
    rows = model.metrics
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert rows[-1]["validation_loss"] < rows[0]["validation_loss"]
    logs = workspace.models / "logs" / model.key
    assert (logs / "metrics.csv").read_text(encoding="utf-8").count("\n") == 5
    assert any(p.name.startswith("events.out.tfevents") for p in logs.iterdir())


def test_a_finished_model_is_not_trained_again(log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.create(tmp_path)
    model = train.run.run(tiny(), log, workspace)
    monkeypatch.setattr(train.run, "train_body", None)
    assert train.run.run(tiny(threads=2), log, workspace).key == model.key


def test_killed_and_started_again_ends_in_the_same_weights(log: EventLog, tmp_path: Path) -> None:
    undisturbed = train.run.run(tiny(**LONGER), log, Workspace.create(tmp_path / "whole"))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(log.folder), str(tmp_path / "cut"), repr(LONGER)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])},
    )
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "cut").glob("models/.*.training/last.ckpt")):
            assert child.poll() is None, "the training ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    workspace = Workspace.open(tmp_path / "cut") if (tmp_path / "cut" / "snapshots").is_dir() else None
    assert workspace is not None
    assert not (workspace.models / undisturbed.key).exists()
    resumed = train.run.run(tiny(**LONGER), log, workspace)
    assert files(resumed.folder) == files(undisturbed.folder)
    assert [p.name for p in workspace.models.iterdir() if p.name.endswith(".training")] == []


def test_a_damaged_checkpoint_starts_the_training_over(log: EventLog, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    scratch = workspace.models / f".{train.run.model_key(tiny(), log)}.training"
    scratch.mkdir()
    (scratch / "last.ckpt").write_bytes(b"half a checkpoint")
    (scratch / "best.pt").write_bytes(b"")
    model = train.run.run(tiny(), log, workspace)
    whole = train.run.run(tiny(), log, Workspace.create(tmp_path / "whole"))
    assert files(model.folder) == files(whole.folder)


def test_too_few_customers_are_refused(tmp_path: Path) -> None:
    log, workspace = prepared(events(customers=9), tmp_path)
    with pytest.raises(DataError, match="9 customers; training needs at least 20"):
        train.run.run(tiny(), log, workspace)
    assert list(workspace.models.iterdir()) == []


def test_one_event_each_can_be_learnt_from(tmp_path: Path) -> None:
    log, workspace = prepared(events().unique("customer_id", keep="first", maintain_order=True), tmp_path)
    assert set(np.diff(log.offsets)) == {1}
    model = train.run.run(tiny(epochs=1), log, workspace)
    assert np.isfinite(model.encoder.head.projection.numpy()).all()


def test_a_log_without_numbers_or_without_categories(tmp_path: Path) -> None:
    import eventlog.run
    from eventlog.config import EventLogConfig

    events().write_parquet(tmp_path / "events.parquet")
    base = {"name": "s", "path": "events.parquet", "customer": "customer_id", "time": "timestamp"}
    for fields in ({"categorical": ["kind"]}, {"numeric": ["amount"]}):
        config = EventLogConfig.model_validate({"sources": [base | fields]}, context={"folder": tmp_path})
        workspace = Workspace.create(tmp_path / "workspace")
        model = train.run.run(tiny(epochs=1), eventlog.run.run(config, workspace), workspace)
        assert np.isfinite(model.encoder.head.projection.numpy()).all()


def test_training_may_be_of_any_number_of_steps(log: EventLog, tmp_path: Path) -> None:
    """torch divides by zero where a fifth of the steps is one step."""
    encoder = train.run.run(tiny(epochs=1), log, Workspace.create(tmp_path)).encoder
    for steps in range(1, 30):
        schedule = Training(encoder, tiny(epochs=1), steps).configure_optimizers()["lr_scheduler"]["scheduler"]
        assert 0 < schedule.get_last_lr()[0] <= tiny().learning_rate


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError) as error:
        TrainConfig.model_validate({"width": 100, "slice_events": [50, 20], "epochs": 0, "depth": 3})
    text = "\n".join(faults(error.value, TrainConfig))
    for word in ("width", "multiple of 16", "epochs", "depth: unknown key"):
        assert word in text
    with pytest.raises(ValidationError, match="shortest <= longest"):
        TrainConfig(slice_events=(50, 20))
    with pytest.raises(ValidationError, match="nothing to learn"):
        TrainConfig(contrast=0, next_event=0, describe=0)


def test_reliability_tells_what_repeats() -> None:
    rng = np.random.default_rng(0)
    own = rng.standard_normal((2000, 3)).astype(np.float32)
    noise = [rng.standard_normal((2000, 3)).astype(np.float32) for _ in range(2)]
    halves = [np.concatenate([own + 0.5 * n, n], axis=1) for n in noise]
    weight = reliability(*halves)
    assert (weight[:3] > 0.8).all()
    assert (weight[3:] < 0.15).all()


def test_communality_tells_description_from_identity() -> None:
    rng = np.random.default_rng(0)
    taste = rng.standard_normal((1500, 4))
    described = [(taste @ rng.standard_normal((4, 6)) + rng.standard_normal((1500, 6))) for _ in range(3)]
    fingerprint = np.eye(30)[rng.integers(0, 30, 1500)] * 5
    weighed = np.concatenate([*described, fingerprint], axis=1).astype(np.float32)
    groups = np.repeat([0, 1, 2, 3], [6, 6, 6, 30])
    common = communality(weighed, groups, 0)
    assert all(common[field] > 0.5 for field in range(3))
    assert common[3] < 0.05


def test_a_random_fingerprint_of_each_customer_hardly_moves_the_space(tmp_path: Path) -> None:
    frame = events(customers=600)
    marks = np.random.default_rng(5).integers(0, 40, 600).astype(str)
    spoilt = frame.with_columns(noise=pl.Series(marks[frame["customer_id"].to_numpy()]))
    log, workspace = prepared(spoilt, tmp_path)
    model = train.run.run(tiny(epochs=1), log, workspace)
    weight, groups = model.encoder.head.weight.numpy(), model.encoder.layout.feature_groups
    assert weight[: len(groups)][groups == 1].max() < 0.2 < weight[: len(groups)][groups == 0].max()


def test_the_head_keeps_similarity_and_no_dimension_dominates() -> None:
    rng = np.random.default_rng(1)
    hidden = rng.standard_normal((500, 6)).astype(np.float32) * [5, 3, 2, 1, 1, 1]
    x = (hidden @ rng.standard_normal((6, 40))).astype(np.float32)
    fit = fit_head(x, (x, x), Fields(np.zeros(40, int), np.ones(40, bool), 1), {}, 16, 0)
    weighed = np.clip((x - fit.mean) / fit.scale, -4, 4) * fit.weight
    out = (weighed @ fit.projection)[:, : Parts.of(16).behaviour]
    np.testing.assert_allclose(out @ out.T, weighed @ weighed.T, atol=0.05 * np.abs(weighed @ weighed.T).max())
    assert fit.explained > 0.99
    spread = out.std(0)
    assert spread.max() < 6 * np.median(spread)


def test_no_field_outweighs_another_by_the_number_of_its_values() -> None:
    rng = np.random.default_rng(2)
    taste, income = rng.standard_normal((2, 800, 1))
    parts = [signal + rng.standard_normal((800, size)) for signal, size in ((taste, 60), (taste, 4), (income, 4))]
    x = np.concatenate(parts, axis=1).astype(np.float32)
    groups = np.repeat([0, 1, 2], [60, 4, 4])
    weighed = x * balance(x, groups)
    largest = [np.linalg.svd(weighed[:, groups == g], compute_uv=False)[0] for g in range(3)]
    np.testing.assert_allclose(largest, np.sqrt(800), rtol=1e-4)
    assert (balance(np.zeros((50, 3), np.float32), np.array([0, 0, 1])) == 0).all()


def test_noise_crossed_with_a_number_is_not_trusted_for_what_the_number_repeats() -> None:
    rng = np.random.default_rng(3)
    amount = rng.standard_normal((1000, 4))
    noise, crossed = rng.standard_normal((1000, 6)), amount[:, :1] + 0.3 * rng.standard_normal((1000, 6))
    x = np.concatenate([amount, amount + 0.5 * rng.standard_normal((1000, 4)), noise, crossed], axis=1)
    reliable = np.repeat([0.9, 0.9, 0.0, 0.9], [4, 4, 6, 6]).astype(np.float32)
    groups, own = np.repeat([0, 1, 2], [4, 4, 12]), np.repeat([True, False], [14, 6])
    told = trust((x * reliable).astype(np.float32), reliable, groups, own, 0)
    assert (told[groups < 2] == 1).all()
    assert (told[groups == 2] == 0).all()


def test_varimax_finds_the_axes_that_the_features_lie_on() -> None:
    rng = np.random.default_rng(4)
    simple = np.kron(np.eye(3), np.ones((4, 1))) * [3, 2, 1]
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    found = simple @ turn @ varimax(simple @ turn)
    assert (np.sort(np.abs(found), axis=1)[:, :2] < 1e-3).all()


def test_the_last_dimensions_tell_how_much_a_customer_does(tmp_path: Path) -> None:
    log, workspace = prepared(events(customers=500), tmp_path)
    encoder = train.run.run(tiny(epochs=1), log, workspace).encoder
    everyone = np.arange(log.n_customers)
    got = encoder.vectors(train.encode.states(encoder, log, everyone, log.offsets[:-1], log.offsets[1:]))
    parts = encoder.parts
    level = got[:, parts.behaviour : parts.behaviour + parts.level]
    level = np.column_stack([level, np.ones(len(got))])
    count = np.log1p(np.diff(log.offsets))
    left = count - level @ np.linalg.lstsq(level, count, rcond=None)[0]
    assert left.var() < 0.05 * count.var()


def test_labels_and_unknown_columns_never_enter_training(tmp_path: Path) -> None:
    frame = events()
    plain, workspace = prepared(frame, tmp_path / "plain")
    labelled, other = prepared(frame.with_columns(label=pl.col("customer_id") % 2), tmp_path / "labelled")
    models = [train.run.run(tiny(), log, place) for log, place in ((plain, workspace), (labelled, other))]
    assert files(models[0].folder)["weights.safetensors"] == files(models[1].folder)["weights.safetensors"]
