"""A batch that the receiver refuses is set aside: kept, told of, out of the way of later ones, and sent again."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forked
import polars as pl
import pytest
from receiver import Receiver, receiving
from typer.testing import CliRunner

import serve.webhook as module
from configs.progress import SILENT
from serve.aftermath import Setting, _tried, delivered
from serve.cli import app
from serve.forget import forget
from serve.night_files import ASIDE, DELIVERY, EVENTS, json_lines
from serve.webhook import Delivered, deliver
from serve.webhook_aside import counted_aside, put_aside, resend, told_aside
from serve.webhook_config import WebhookConfig
from store.catalogue import Catalogue
from store.workspace import Workspace


@pytest.fixture(autouse=True)
def around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINFOLK_WEBHOOK_SECRET", "a secret of more than sixteen letters")
    monkeypatch.setattr(module, "BACKOFF", 0.01)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def night(workspace: Workspace, name: str, *numbers: int) -> Path:
    """The folder of a night that tells of some customers."""
    folder = workspace.nights / name
    folder.mkdir(parents=True)
    lines = [json.dumps({"id": f"id-{i}", "customer": f"c{i}", "why": "mehr Käse"}) + "\n" for i in numbers]
    (folder / EVENTS).write_text("".join(lines), encoding="utf-8")
    return folder


def config_of(receiver: Receiver, **more: Any) -> WebhookConfig:
    return WebhookConfig(**{"url": receiver.url, "batch": 2, "tries": 3, **more})


def after_night(workspace: Workspace, config: WebhookConfig, folder: Path) -> list[str]:
    with Catalogue(workspace.catalogue) as catalogue:
        recipe, watch = SimpleNamespace(night=SimpleNamespace(webhook=config)), SimpleNamespace()
        return delivered(Setting(recipe, workspace, catalogue, "cli", watch, SILENT), folder)  # type: ignore[arg-type]


def ids_of(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_a_refused_batch_is_set_aside_after_its_tries_and_later_ones_go_on(
    tmp_path: Path, receiver: Receiver, status: int
) -> None:
    workspace = Workspace.create(tmp_path)
    first, second = night(workspace, "2025-02-01-s-x", *range(6)), night(workspace, "2025-02-02-s-y", 7, 8)
    (first / DELIVERY).write_text("{}", encoding="utf-8")  # its delivery began
    receiver.answers = [(200, {}), *[(status, {})] * 3]
    warnings = after_night(workspace, config_of(receiver), second)
    assert [request.events[0]["id"] for request in receiver.requests] == ["id-0", *["id-2"] * 3, "id-4", "id-7"]
    assert ids_of(first / ASIDE) == ["id-2", "id-3"]
    assert warnings == told_aside(workspace)
    assert "are set aside (events: 2; nights: 1)" in warnings[0]
    assert "`kinfolk resend RECIPE`" in warnings[0]
    assert "c2" not in (first / DELIVERY).read_text(encoding="utf-8")
    with Catalogue(workspace.catalogue) as catalogue:
        (entry,) = [one for one in catalogue.audit_log() if one.action == "webhook.set_aside"]
    assert (entry.subject, entry.details) == (first.name, {"events": 2})
    # the next night tells of it again, and sends nothing of it
    sent = len(receiver.requests)
    assert after_night(workspace, config_of(receiver), second) == warnings
    assert len(receiver.requests) == sent


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_what_is_about_the_address_or_the_signature_sets_nothing_aside(
    tmp_path: Path, receiver: Receiver, status: int
) -> None:
    workspace = Workspace.create(tmp_path)
    folder = night(workspace, "2025-02-01-s-x", *range(6))
    receiver.answers = [(status, {})]
    (warning,) = after_night(workspace, config_of(receiver), folder)
    assert f"answered {status}" in warning
    assert len(receiver.requests) == 1
    assert not (folder / ASIDE).exists()
    assert after_night(workspace, config_of(receiver), folder) == []
    assert receiver.taken[2:] == [f"id-{i}" for i in range(6)]


def test_killed_before_the_state_is_written_nothing_is_set_aside_twice(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = night(Workspace.create(tmp_path), "2025-02-01-s-x", 0, 1, 2)
    aside, config = folder / ASIDE, config_of(receiver, tries=1)

    class KilledError(Exception):
        """Stands for the end of the process."""

    def killed(events: Any) -> None:
        put_aside(aside, events)
        raise KilledError

    receiver.answers = [(400, {}), (400, {})]
    with pytest.raises(KilledError):
        deliver(folder / EVENTS, config, folder / DELIVERY, aside=killed)
    found = deliver(folder / EVENTS, config, folder / DELIVERY, aside=partial(put_aside, aside))
    assert found == Delivered(1, 0, 1, done=True, aside=2)
    assert ids_of(aside) == ["id-0", "id-1"]


def test_sent_again_it_is_there_no_more(tmp_path: Path, receiver: Receiver) -> None:
    workspace = Workspace.create(tmp_path / "w")
    first, second = night(workspace, "2025-02-01-s-x", 0, 1, 2), night(workspace, "2025-02-02-s-y", 5)
    put_aside(first / ASIDE, [{"id": f"id-{i}", "customer": f"c{i}"} for i in range(3)])
    put_aside(second / ASIDE, [{"id": "id-5", "customer": "c5"}])
    recipe = tmp_path / "recipe.yaml"
    sources = "sources: [{name: s, path: e.csv, categorical: [shop]}]\n"
    recipe.write_text(f"{sources}night: {{webhook: {{url: '{receiver.url}', batch: 2}}}}\n", encoding="utf-8")
    words = ["resend", str(recipe), "--workspace", str(workspace.root)]
    receiver.answers = [(200, {}), (400, {})]
    refused = forked.run(*words, folder=tmp_path)
    assert "Sent 2 events of 1 night that were set aside." in refused.stdout
    assert "answered 400; what is left stays set aside" in refused.stderr
    assert refused.returncode == 2
    assert ids_of(first / ASIDE) == ["id-0", "id-1", "id-2"]
    told = forked.run(*words, "--json", folder=tmp_path)
    assert json.loads(told.stdout) == {n.name: {"events": e, "done": True} for n, e in ((first, 3), (second, 1))}
    assert receiver.taken == ["id-0", "id-1", "id-2", "id-2", "id-5"]
    assert [path.name for path in sorted(first.iterdir())] == [EVENTS]
    assert told_aside(workspace) == []
    with Catalogue(workspace.catalogue) as catalogue:
        found = [(one.subject, one.details["done"]) for one in catalogue.audit_log() if one.action == "webhook.resend"]
    assert sorted(found) == [(first.name, False), (first.name, True), (second.name, True)]
    assert "Sent 0 events of 0 nights" in forked.run(*words, folder=tmp_path).stdout
    recipe.write_text(sources, encoding="utf-8")
    without = forked.run(*words, folder=tmp_path)
    assert (without.returncode, "has no night.webhook" in without.stderr) == (2, True)


def test_a_kill_after_sending_again_loses_nothing_that_is_set_aside_later(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace.create(tmp_path)
    folder = night(workspace, "2025-02-01-s-x", 0, 1)
    put_aside(folder / ASIDE, [{"id": "id-0", "customer": "c0"}])
    whole, removed = Path.unlink, []

    def killed(path: Path, missing_ok: bool = False) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(path.name)
        whole(path, missing_ok)

    with Catalogue(workspace.catalogue) as catalogue:
        with monkeypatch.context() as dying:
            dying.setattr(Path, "unlink", killed)
            with pytest.raises(KeyboardInterrupt):
                resend(workspace, catalogue, config_of(receiver), "cli")
        assert len(removed) == 1
        put_aside(folder / ASIDE, [{"id": "id-1", "customer": "c1"}])
        resend(workspace, catalogue, config_of(receiver), "cli")
    assert set(receiver.taken) == {"id-0", "id-1"}
    assert not (folder / ASIDE).exists()


def test_letters_that_look_like_line_ends_are_none(tmp_path: Path, receiver: Receiver) -> None:
    workspace = Workspace.create(tmp_path)
    odd = [{"id": f"id-{i}", "customer": f"c{i}", "why": f"more caf\u0085\u2028\u2029e {i}"} for i in range(3)]
    folder = night(workspace, "2025-02-01-s-x")
    put_aside(folder / ASIDE, odd[:1])
    put_aside(folder / ASIDE, odd[1:])
    assert [json.loads(line) for line in json_lines(folder / ASIDE)] == odd
    assert counted_aside(folder) == 3
    # as an earlier version wrote them
    (folder / ASIDE).write_text("".join(json.dumps(o, ensure_ascii=False) + "\n" for o in odd), encoding="utf-8")
    assert counted_aside(folder) == 3


def test_a_receiver_that_is_down_for_two_nights_misses_neither(tmp_path: Path, receiver: Receiver) -> None:
    workspace = Workspace.create(tmp_path)
    config = config_of(receiver, tries=1)
    receiver.answers = [(503, {}), (503, {})]
    for name, customer in (("2025-02-01-s-x", 0), ("2025-02-02-s-y", 1)):
        assert "answered 503" in after_night(workspace, config, night(workspace, name, customer))[0]
    assert after_night(workspace, config, night(workspace, "2025-02-03-s-z", 2)) == []
    assert receiver.taken[2:] == ["id-0", "id-1", "id-2"]


@pytest.mark.parametrize(
    "proxy", [("ALL_PROXY", "socks5://127.0.0.1:9"), ("HTTP_PROXY", "ftp://me:secret@127.0.0.1:9")]
)
def test_a_proxy_that_cannot_be_used_is_a_reason(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, proxy: tuple[str, str]
) -> None:
    monkeypatch.setenv(*proxy)
    workspace = Workspace.create(tmp_path)
    told = after_night(workspace, config_of(receiver), night(workspace, "2025-02-01-s-x", 0))
    assert "look at the proxy's settings" in told[0]
    assert "secret" not in told[0]
    monkeypatch.delenv(proxy[0])
    assert after_night(workspace, config_of(receiver), night(workspace, "2025-02-02-s-y", 1)) == []
    assert receiver.taken == ["id-0", "id-1"]


def test_a_date_beyond_all_calendars_asks_for_no_wait() -> None:
    far = "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"
    assert module.retry_after(far, datetime.now(UTC)) is None


def test_a_step_that_fails_by_our_fault_is_a_warning() -> None:
    def step() -> list[str]:
        raise ZeroDivisionError("customer 4711")

    (warning,) = _tried("events", step)
    assert warning.startswith("events: not done, by a fault of kinfolk (ZeroDivisionError at test_night_aside.py:")
    assert "4711" not in warning


def test_the_list_of_nights_tells_how_many_are_set_aside(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    folder = night(workspace, "2025-02-01-s-x", 0)
    body = {"as_of": "2025-02-01", "kind": "night", "status": "published", "snapshot": "s-x"}
    (folder / "report.json").write_text(json.dumps(body), encoding="utf-8")
    put_aside(folder / ASIDE, [{"id": "id-0", "customer": "c0"}])
    listed = CliRunner().invoke(app, ["nights", "--workspace", str(tmp_path), "--json"])
    assert [one["set_aside"] for one in json.loads(listed.stdout)] == [1]
    assert "events: 1; nights: 1" in CliRunner().invoke(app, ["nights", "-w", str(tmp_path)]).stderr


def test_erased_customers_are_in_nothing_that_is_set_aside(tmp_path: Path) -> None:
    from http_service import publish

    publish(tmp_path, ids=pl.Series([f"customer-{i:03d}" for i in range(600)]))
    workspace = Workspace.open(tmp_path)
    folder = night(workspace, "2025-02-01-s-x", 0)
    put_aside(folder / ASIDE, [{"id": f"id-{i}", "customer": f"customer-00{i}"} for i in range(2)])
    forget(workspace, ["customer-001"])
    assert ids_of(folder / ASIDE) == ["id-0"]
