"""Retraining: the same events, a new model, told apart from what customers did; and nights going on from it."""

import json
from pathlib import Path

import pytest
from conftest import kinfolk
from night_world import FIRST_DAYS, NightWorld, content, day
from ray_in_turn import in_turn

from configs.errors import InputError
from eventlog.sequences import EventLog
from serve.nightly import run_night
from serve.retrain import run_retraining
from serve.snapshot import Snapshot
from serve.webhook_config import WebhookConfig


@pytest.mark.slow
def test_a_retraining_changes_the_model_alone_and_nights_go_on_from_it(night: NightWorld) -> None:
    night.night(FIRST_DAYS)
    before = Snapshot.load(night.workspace)
    report = run_retraining(night.recipe, night.workspace)
    assert (report.kind, report.status, report.previous) == ("retrain", "published", before.name)
    now = Snapshot.load(night.workspace)
    assert now.name == report.snapshot
    assert report.model == now.manifest.parents["model"] != before.manifest.parents["model"] == report.previous_model
    assert now.manifest.parents["snapshot"] == before.manifest.key
    assert now.manifest.counts == before.manifest.counts
    assert report.events["new"] == 0
    assert report.customers is None
    assert report.as_of == str(day(FIRST_DAYS))
    assert {"cosine", "neighbours_kept", "moved"} <= set(report.model_change)
    assert {gate.name for gate in report.gates} >= {"segments_kept", "neighbours_kept", "counts"}
    assert "field_drift" not in {gate.name for gate in report.gates}
    log = EventLog.load(night.workspace.eventlogs / now.manifest.parents["eventlog"])
    assert not log.layered
    told = night.workspace.nights / f"{report.as_of}-{report.snapshot}" / "events.jsonl"
    causes = {json.loads(line)["cause"] for line in told.read_text(encoding="utf-8").splitlines()}
    assert causes <= {"model"}
    again = run_retraining(night.recipe, night.workspace)
    assert (again.status, again.snapshot) == ("nothing_new", None)
    following = night.night(FIRST_DAYS + 1)
    assert (following.status, following.model) == ("published", report.model)
    assert following.previous == report.snapshot


@pytest.mark.slow
def test_a_held_retraining_leaves_the_old_model_and_can_be_accepted(night: NightWorld) -> None:
    night.night(FIRST_DAYS)
    text = night.recipe_file.read_text(encoding="utf-8") + "    neighbours_kept: 1.0\n"
    night.recipe_file.write_text(text, encoding="utf-8")
    before = night.workspace.current()
    ran = kinfolk("retrain", night.recipe_file, "--workspace", night.root, "--json", folder=night.folder)
    assert ran.returncode == 3, ran.stderr
    told = json.loads(ran.stdout)
    assert [gate["name"] for gate in told["gates"] if not gate["passed"]] == ["neighbours_kept"]
    assert night.workspace.current() == before
    # the night goes on from what is served, whatever is held
    assert night.night(FIRST_DAYS + 1).previous == before
    assert run_night(night.recipe, night.workspace, day(FIRST_DAYS + 1)).status == "nothing_new"


def test_a_secret_that_is_missing_is_told_before_any_work(night: NightWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KINFOLK_WEBHOOK_SECRET", raising=False)
    webhook = WebhookConfig(url="https://bank.example/events")
    told = night.recipe.night.model_copy(update={"webhook": webhook})
    recipe, before = night.recipe.model_copy(update={"night": told}), content(night.root)
    with pytest.raises(InputError, match="KINFOLK_WEBHOOK_SECRET is not set"):
        run_retraining(recipe, night.workspace)
    with pytest.raises(InputError, match="KINFOLK_WEBHOOK_SECRET is not set"):
        run_night(recipe, night.workspace, night.arrive(FIRST_DAYS))
    assert content(night.root) == before, "nothing was done"


@pytest.mark.slow
def test_a_retraining_over_a_cluster_has_the_bytes_of_one_machine(
    night: NightWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = night.recipe_file.read_text(encoding="utf-8").replace("train:", "train:\n  seed: 1", 1)
    night.recipe_file.write_text(text, encoding="utf-8")
    other = night.copy(tmp_path / "other")
    report = run_retraining(night.recipe, night.workspace)
    done = in_turn(monkeypatch)
    assert run_retraining(other.recipe, other.workspace, engine="ray").snapshot == report.snapshot
    assert done == ["Trainer", "Embedder"]
    assert other.workspace.manifest() == night.workspace.manifest()
    model = Path("models", night.workspace.manifest().parents["model"], "manifest.json")
    assert (other.root / model).read_bytes() == (night.root / model).read_bytes()
