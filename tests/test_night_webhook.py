"""Webhooks: signed, never twice under another key, gone on with where they stopped, and never in the way of a night."""

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver, receiving
from structlog.testing import capture_logs

import serve.webhook as module
from configs.errors import ArtifactError, InputError, RecipeError
from configs.reader import validate
from serve.signature import sign, verify
from serve.webhook import Delivered, deliver, retry_after
from serve.webhook_config import WebhookConfig
from store.erasures import Named

SECRET = "a secret of more than sixteen letters"
EVENTS = 7


@pytest.fixture(autouse=True)
def around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINFOLK_WEBHOOK_SECRET", SECRET)
    monkeypatch.setattr(module, "BACKOFF", 0.01)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    lines = [{"id": f"id-{i}", "kind": "moved", "customer": f"c{i}", "why": "mehr Käse"} for i in range(EVENTS)]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def ids(*numbers: int) -> list[str]:
    return [f"id-{number}" for number in numbers or range(EVENTS)]


def send(events: Path, receiver: Receiver, objected: tuple[str, ...] = (), **settings: Any) -> Delivered:
    config = WebhookConfig(**{"url": receiver.url, "batch": 3, "seconds": 2.0, **settings})
    return deliver(events, config, events.with_name("delivery.json"), objected=Named.of(objected))


def test_every_event_arrives_once_in_order_signed_and_in_batches(events: Path, receiver: Receiver) -> None:
    assert send(events, receiver) == Delivered(EVENTS, 0, 3, done=True)
    assert receiver.taken == ids()
    assert [len(request.events) for request in receiver.requests] == [3, 3, 1]
    lines = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
    assert [event for request in receiver.requests for event in request.events] == lines
    for request in receiver.requests:
        assert request.headers["content-type"] == "application/json"
        assert verify(request.headers["kinfolk-signature"], request.body, SECRET)
        assert not verify(request.headers["kinfolk-signature"], request.body + b" ", SECRET)
        assert not verify(request.headers["kinfolk-signature"], request.body, SECRET + "!")
        assert json.loads(request.body)["batch"] == request.key
    assert len({request.key for request in receiver.requests}) == 3
    assert send(events, receiver).done  # and nothing is sent again
    assert len(receiver.requests) == 3


def test_the_signature_is_what_the_page_says() -> None:
    body = b'{"events":[]}'
    digest = hmac.new(SECRET.encode(), b"1700000000." + body, hashlib.sha256).hexdigest()
    signed = sign(body, SECRET, 1_700_000_000)
    assert signed == f"t=1700000000,v1={digest}"
    assert verify(signed, body, SECRET, now=1_700_000_299.0)
    assert not verify(signed, body, SECRET, now=1_700_000_301.0)
    assert not verify(signed, body, SECRET, now=1_699_999_699.0)
    assert verify(f"t=1700000000, v1={'0' * 64}, v1={digest}", body, SECRET, now=1_700_000_000.0)
    for wrong in (
        "",
        "t=1700000000",
        f"v1={digest}",
        f"t=x,v1={digest}",
        f"t=1700000001,v1={digest}",
        f"t=²,v1={digest}",
    ):
        assert not verify(wrong, body, SECRET, now=1_700_000_000.0)


@pytest.mark.parametrize("status", [500, 503, 408, 425, 429])
def test_what_may_pass_is_tried_again_under_the_same_key(events: Path, receiver: Receiver, status: int) -> None:
    receiver.answers = [(status, {}), (status, {}), (200, {})]
    assert send(events, receiver, batch=10).done
    assert len(receiver.requests) == 3
    assert len({(request.key, request.body) for request in receiver.requests}) == 1


@pytest.mark.parametrize(
    ("status", "words"), [(400, "answered 400"), (404, "answered 404"), (302, "redirect"), (308, "redirect")]
)
def test_what_will_not_pass_is_not_tried_again_tonight(
    events: Path, receiver: Receiver, status: int, words: str
) -> None:
    receiver.answers = [(200, {}), (status, {"Location": receiver.url + "/elsewhere"})]
    found = send(events, receiver)
    assert (found.events, found.batches, found.done) == (3, 1, False)
    assert words in str(found.reason)
    assert "a-secret-path" not in str(found.reason)
    assert len(receiver.requests) == 2
    # another night, and the receiver was mended: from where it stopped, under the same key
    assert send(events, receiver) == Delivered(EVENTS, 0, 3, done=True)
    assert receiver.requests[1].key == receiver.requests[2].key
    assert receiver.taken == ids(0, 1, 2, 3, 4, 5, 3, 4, 5, 6)


def test_a_batch_that_may_have_arrived_keeps_its_key_whatever_the_settings_say_later(
    events: Path, receiver: Receiver
) -> None:
    receiver.answers = [(200, {}), (500, {})]
    assert not send(events, receiver, tries=1).done
    assert send(events, receiver, batch=5).done
    keys = [request.key for request in receiver.requests]
    assert keys[1] == keys[2]
    assert [len(request.events) for request in receiver.requests] == [3, 3, 3, 1]


def test_a_target_that_hangs_does_not_hold_the_night(events: Path, receiver: Receiver) -> None:
    free = threading.Event()
    receiver.before = lambda: bool(free.wait(20)) and None
    begun = time.monotonic()
    found = send(events, receiver, seconds=0.2, budget_seconds=0.6)
    assert time.monotonic() - begun < 3
    free.set()
    assert not found.done
    assert found.events == 0
    assert "in time" in str(found.reason) or "no time is left" in str(found.reason)


def test_nor_does_one_that_answers_byte_by_byte(events: Path, receiver: Receiver) -> None:
    receiver.drip = threading.Event()
    begun = time.monotonic()
    found = send(events, receiver, seconds=0.5, tries=2)
    assert time.monotonic() - begun < 3
    receiver.drip.set()
    assert "gave no answer in time, 2 times" in str(found.reason)


def test_a_target_that_is_not_there_is_told_as_a_reason(events: Path, receiver: Receiver) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = send(events, receiver, url=f"http://127.0.0.1:{port}/x", tries=2)
    assert f"127.0.0.1:{port} cannot be reached (ConnectError), 2 times" in str(found.reason)


def test_a_receiver_that_asks_to_wait_is_waited_for_within_the_budget(events: Path, receiver: Receiver) -> None:
    receiver.answers = [(429, {"Retry-After": "1"})]
    begun = time.monotonic()
    assert send(events, receiver, batch=10).done
    assert time.monotonic() - begun >= 1
    events.with_name("delivery.json").unlink()
    receiver.answers = [(503, {"Retry-After": "3600"})]
    begun = time.monotonic()
    found = send(events, receiver, batch=10)
    assert time.monotonic() - begun < 3
    assert "answered 503; no time is left to try again" in str(found.reason)


def test_the_time_to_wait_is_read_as_seconds_or_as_a_date() -> None:
    now = datetime(2025, 5, 1, 12, tzinfo=UTC)
    assert retry_after("30", now) == 30
    assert retry_after("Thu, 01 May 2025 12:01:00 GMT", now) == 60
    assert retry_after("Thu, 01 May 2025 11:00:00 GMT", now) == 0
    assert retry_after("soon", now) is None
    assert retry_after(None, now) is None


class KilledError(Exception):
    """Stands for the end of the process."""


def test_killed_between_any_two_steps_nothing_is_lost_or_sent_under_two_keys(
    events: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends before and after each write of the state; every batch keeps its key through it all."""
    write, kills = module.write_atomic, 0
    for step in range(100):
        done, count = False, [0]

        def dying(path: Path, text: str, step: int = step, count: list[int] = count) -> None:
            count[0] += 1
            if step % 2:
                write(path, text)
            if count[0] > step // 20 + 1:
                raise KilledError
            write(path, text)

        monkeypatch.setattr(module, "write_atomic", dying)
        try:
            done = send(events, receiver, batch=2).done
        except KilledError:
            kills += 1
        if done:
            break
    assert done
    assert kills >= 3
    assert list(dict.fromkeys(receiver.taken)) == ids()
    keys = {}
    for request in receiver.requests:
        for event in request.events:
            assert keys.setdefault(event["id"], request.key) == request.key


def test_customers_who_objected_are_left_out_unless_the_recipe_says_otherwise(events: Path, receiver: Receiver) -> None:
    who = ("c1", "c3", "c4", "c5")
    assert send(events, receiver, who) == Delivered(3, 4, 2, done=True)
    assert receiver.taken == ids(0, 2, 6)  # the batch of 3, 4 and 5 has nobody left, and is not sent
    events.with_name("delivery.json").unlink()
    assert send(events, receiver, who, include_objected=True).events == EVENTS


def test_somebody_erased_from_the_file_in_between_does_not_lead_to_repeats(events: Path, receiver: Receiver) -> None:
    receiver.answers = [(200, {}), (400, {})]
    send(events, receiver)
    lines = events.read_text(encoding="utf-8").splitlines(keepends=True)
    events.write_text("".join(line for line in lines if '"id-1"' not in line), encoding="utf-8")
    assert send(events, receiver).done
    assert receiver.taken == ids(0, 1, 2, 3, 4, 5, 3, 4, 5, 6)


def test_no_id_no_path_and_no_secret_is_logged_and_no_customer_is_in_the_state(
    events: Path, receiver: Receiver
) -> None:
    receiver.answers = [(500, {}), (200, {}), (400, {})]
    with capture_logs() as logged:
        found = send(events, receiver)
    text = json.dumps(logged) + str(found) + events.with_name("delivery.json").read_text(encoding="utf-8")
    assert "webhook.batch" in text
    assert "webhook.stopped" in text
    for private in (SECRET, "a-secret-path", '"c0"', "c3", "Käse"):
        assert private not in text


def test_a_secret_that_is_missing_or_short_is_refused_before_anything_is_sent(
    events: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"OTHER is not set; .*openssl rand"):
        send(events, receiver, secret_variable="OTHER")
    monkeypatch.setenv("OTHER", "short")
    with pytest.raises(InputError, match="OTHER holds fewer than 16 characters"):
        send(events, receiver, secret_variable="OTHER")
    assert not receiver.requests
    # but it is noted that these events are wanted: the next night finds them by their state
    assert json.loads(events.with_name("delivery.json").read_text())["done"] is False
    assert send(events, receiver).done


def test_no_events_are_delivered_at_once(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "events.jsonl").touch()
    assert send(tmp_path / "events.jsonl", receiver) == Delivered(0, 0, 0, done=True)
    assert not receiver.requests
    with pytest.raises(ArtifactError, match=r"gone\.jsonl: is missing"):
        send(tmp_path / "x" / "gone.jsonl", receiver)


def test_a_damaged_state_or_file_is_named(events: Path, receiver: Receiver) -> None:
    state = events.with_name("delivery.json")
    for text in ("{", '{"offset": 1, "more": 2}', "[]"):
        state.write_text(text)
        with pytest.raises(ArtifactError, match=r"delivery\.json: cannot be read"):
            send(events, receiver)
    state.unlink()
    events.write_text('{"id": "id-0", "cust')
    with pytest.raises(ArtifactError, match=r"events\.jsonl: a line is no JSON"):
        send(events, receiver)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "http://bank.example/hook"}, "must begin with https://"),
        ({"url": "ftp://bank.example/hook"}, "begins with https://"),
        ({"url": "bank.example"}, "begins with https://"),
        ({"url": "https://user:word@bank.example/"}, "no user and password"),
        ({"url": "https://bank.example:port/"}, "is no address"),
        ({"url": "https://bank.example/", "secret_variable": "no name"}, "secret_variable"),
        ({"url": "https://bank.example/", "secret": "x"}, "unknown key"),
        ({"url": "https://bank.example/", "batch": 0}, "batch"),
    ],
)
def test_faults_of_the_settings_are_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        validate(settings, WebhookConfig, Path("recipe.yaml"))


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "https://bank.example/hook?x=1"},
        {"url": "http://localhost:8080/"},
        {"url": "http://[::1]:8080/"},
        {"url": "http://bank.internal/hook", "allow_http": True},
    ],
)
def test_addresses_that_are_accepted(settings: dict[str, Any]) -> None:
    assert validate(settings, WebhookConfig, Path("recipe.yaml")).url == settings["url"]
