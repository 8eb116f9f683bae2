"""Delivery of a night's events to one address, signed, in batches that a receiver can tell apart from repeats.

A delivery that stops (target out of reach, budget used up, killed) goes on from the batch where it stopped. A batch
that the receiver refuses, while it would take others, is handed to `aside` and does not block those. Before a
batch is sent its bounds are noted in the state, so that it is never sent under another key. The state holds no
customer id.

    POST <url>
    Content-Type: application/json
    Idempotency-Key: <the same whenever the same events are sent>
    Kinfolk-Signature: t=<seconds since 1970>,v1=<HMAC-SHA256 of "<t>.<body>" in hex>

    {"batch": <the idempotency key>, "events": [<lines of events.jsonl>, ...]}
"""

import asyncio
import hashlib
import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import structlog

from configs.errors import ArtifactError, storage_errors
from configs.progress import SILENT, Advance, Progress
from serve.signature import sign
from serve.webhook_config import WebhookConfig, secret_of
from store.artifact import write_atomic
from store.erasures import Named

SIGNATURE, IDEMPOTENCY = "Kinfolk-Signature", "Idempotency-Key"
WORTH_REPEATING = frozenset({408, 425, 429})
"""Answers below 500 after which the same batch may be taken later."""
ABOUT_ADDRESS = frozenset({401, 403, 404, 405, 407, 410})
"""Answers that are about the address or the signature, not about a batch: any other would be answered so, too."""
BACKOFF, LONGEST_WAIT = 1.0, 60.0
"""Seconds: the wait after the first failure is up to BACKOFF, doubled with each, up to LONGEST_WAIT."""
Aside = Callable[[list[dict[str, Any]]], None]
"""Keeps the events of a batch that was refused."""
log = structlog.get_logger()


@dataclass(frozen=True)
class Delivered:
    """What became of a file of events so far."""

    events: int
    """Events that the receiver has taken, of all runs."""
    left_out: int
    """Events not sent since their customers objected."""
    batches: int
    done: bool
    """Whether nothing is left."""
    reason: str | None = None
    """Why it stopped, one sentence; None where it is done."""
    aside: int = 0
    """Events that the receiver refused, and that were set aside."""


@dataclass(frozen=True)
class State:
    """How far the delivery of a file is."""

    file: str = ""
    """SHA-256 of the file that `offset` is about."""
    offset: int = 0
    """Bytes of the file that are delivered."""
    end: int | None = None
    """Where the batch ends that was sent last and is not yet known to be taken."""
    last: str = ""
    """Id of the last event before `offset`."""
    events: int = 0
    left_out: int = 0
    batches: int = 0
    done: bool = False
    aside: int = 0

    def told(self, reason: str | None = None) -> Delivered:
        """The same for the caller."""
        return Delivered(self.events, self.left_out, self.batches, self.done, reason, self.aside)


@dataclass(frozen=True)
class _Batch:
    key: str
    events: list[dict[str, Any]]
    end: int
    last: str


class _StopError(Exception):
    """The delivery cannot go on for now; the text says why."""


class _RefusedError(Exception):
    """This batch is refused, others may be taken."""


def deliver(
    events: Path,
    config: WebhookConfig,
    state: Path,
    progress: Progress = SILENT,
    *,
    objected: Named | None = None,
    budget: float | None = None,
    aside: Aside | None = None,
) -> Delivered:
    """Deliver a file of events (see `serve.night_events`), or what is left of it; `state` says how far it is.

    `objected`: customers whose events are left out unless the configuration includes them; `budget`: seconds,
    the configuration's where left out; `aside` keeps events that are refused as often as they are tried, and where it
    is left out a refusal stops the delivery. A target that is out of reach ends in a reason, not in an error.
    Raises InputError where the secret is missing, ArtifactError for a damaged file, StorageError.
    """
    begun, found = time.monotonic(), _state(state)
    if found.done:
        return found.told()
    found = _placed(events, found)
    _write(state, found)  # from now on these events are known to be wanted, even where the secret is missing
    secret = secret_of(config)
    left_out = Named(frozenset()) if config.include_objected or objected is None else objected
    until = begun + (config.budget_seconds if budget is None else budget)
    delivery = _Delivery(events, config, state, secret, left_out, until, aside)
    with progress.task("Delivering events", total=events.stat().st_size) as advance:
        advance(found.offset)
        return asyncio.run(delivery.run(found, advance))


def wanted(events: Path, state: Path) -> None:
    """Note that these events are to be delivered, whatever becomes of those before them. Raises what `deliver` does."""
    if not state.exists():
        _write(state, _placed(events, State()))


def _state(path: Path) -> State:
    try:
        return State(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return State()
    except (ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}); remove it to deliver the events beside it again, from the first on"
        ) from None


def _write(path: Path, state: State) -> None:
    write_atomic(path, json.dumps(asdict(state)) + "\n")


def _placed(events: Path, state: State) -> State:
    """The state in terms of the file as it is: where a customer was erased from it, places have changed."""
    if not events.is_file():
        raise ArtifactError(f"{events}: is missing; run the night again to write it")
    with events.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if state.file in ("", digest):
        return replace(state, file=digest)
    offset = 0
    with events.open("rb") as file:
        for line in file if state.last else ():
            offset += len(line)
            if json.loads(line)["id"] == state.last:
                return replace(state, file=digest, offset=offset, end=None)
    # the last one is gone, too: everything again, with the ids of events that the receiver knows
    return State(file=digest)


class _Delivery:
    """One run of a delivery."""

    def __init__(
        self,
        events: Path,
        config: WebhookConfig,
        state: Path,
        secret: str,
        left_out: Named,
        until: float,
        aside: Aside | None,
    ) -> None:
        self.events, self.config, self.state, self.secret = events, config, state, secret
        self.left_out, self.until, self.aside = left_out, until, aside

    async def run(self, state: State, advance: Advance) -> Delivered:
        """Send batch after batch until nothing, or no time, is left."""
        timeout = httpx.Timeout(self.config.seconds, connect=self.config.connect_seconds)
        try:
            made = httpx.AsyncClient(timeout=timeout, follow_redirects=False)
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            # a proxy from the environment that cannot be used; its address may hold a password
            return state.told(f"no connection can be made ({type(error).__name__}); look at the proxy's settings")
        async with made as client:
            while (batch := self._next(state)) is not None:
                sent, refused = [event for event in batch.events if not self.left_out.are(event["customer"])], 0
                if sent:
                    state = self._noted(replace(state, end=batch.end))
                    try:
                        await self._sent(client, batch.key, sent)
                    except _StopError as stop:
                        log.warning("webhook.stopped", host=self.config.host, delivered=state.events, reason=str(stop))
                        return state.told(str(stop))
                    except _RefusedError as refusal:
                        log.warning("webhook.set_aside", host=self.config.host, events=len(sent), reason=str(refusal))
                        assert self.aside is not None
                        self.aside(sent)
                        sent, refused = [], len(sent)
                advance(batch.end - state.offset)
                state = self._noted(_after(state, batch, len(sent), refused))
        return self._noted(replace(state, done=True)).told()

    def _noted(self, state: State) -> State:
        _write(self.state, state)
        return state

    def _next(self, state: State) -> _Batch | None:
        """The batch that follows; the one that was under way, with the bounds that it had."""
        events: list[dict[str, Any]] = []
        with storage_errors(self.events), self.events.open("rb") as file:
            file.seek(state.offset)
            while line := file.readline():
                try:
                    events.append(json.loads(line))
                except ValueError:
                    raise ArtifactError(f"{self.events}: a line is no JSON; run the night again to write it") from None
                if file.tell() == state.end if state.end is not None else len(events) == self.config.batch:
                    break
            end = file.tell()
        if not events:
            return None
        ids = json.dumps([event["id"] for event in events])
        return _Batch(hashlib.sha256(ids.encode()).hexdigest(), events, end, str(events[-1]["id"]))

    async def _sent(self, client: httpx.AsyncClient, key: str, events: list[dict[str, Any]]) -> None:
        """Send a batch until it is taken. Raises _StopError where that is not to be had now, _RefusedError for good."""
        body = json.dumps({"batch": key, "events": events}, ensure_ascii=False, separators=(",", ":")).encode()
        for attempt in range(1, self.config.tries + 1):
            status, fault, asked = await self._tried(client, key, body)
            log.info("webhook.batch", host=self.config.host, events=len(events), attempt=attempt, status=status)
            if fault is None:
                return
            refused = status is not None and 400 <= status < 500 and status not in ABOUT_ADDRESS | WORTH_REPEATING
            final = status is not None and status < 500 and status not in WORTH_REPEATING
            if final and not (refused and self.aside):
                raise _StopError(fault)
            if attempt == self.config.tries:
                raise (_RefusedError if refused else _StopError)(f"{fault}, {attempt} times" if attempt > 1 else fault)
            wait = random.uniform(0, min(BACKOFF * 2 ** (attempt - 1), LONGEST_WAIT)) if asked is None else asked
            if time.monotonic() + wait >= self.until:
                raise _StopError(f"{fault}; no time is left to try again")
            await asyncio.sleep(wait)

    async def _tried(
        self, client: httpx.AsyncClient, key: str, body: bytes
    ) -> tuple[int | None, str | None, float | None]:
        """Send once: the status (None: no answer), what is wrong (None: taken), seconds that we are asked to wait."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise _StopError(f"the webhook at {self.config.host} is slow, and no time is left")
        headers = {
            "Content-Type": "application/json",
            IDEMPOTENCY: key,
            SIGNATURE: sign(body, self.secret, int(time.time())),
            "User-Agent": "kinfolk",
        }
        who = f"the webhook at {self.config.host}"
        try:
            # a limit on the whole: one byte of an answer every few seconds would never run into one on reading
            async with asyncio.timeout(min(self.config.seconds, left)):
                async with client.stream("POST", self.config.url, content=body, headers=headers) as answer:
                    return _judged(answer, who)
        except (TimeoutError, httpx.TimeoutException):
            return None, f"{who} gave no answer in time", None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return None, f"{who} cannot be reached ({type(error).__name__})", None


def _judged(answer: httpx.Response, who: str) -> tuple[int, str | None, float | None]:
    status = answer.status_code
    if 200 <= status < 300:
        return status, None, None
    if 300 <= status < 400:
        return status, f"{who} answered {status}, a redirect, which is not followed; name the final address", None
    return status, f"{who} answered {status}", retry_after(answer.headers.get("Retry-After"), datetime.now(UTC))


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks to wait: a number of seconds, or a date; None where it says neither."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
        return max((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _after(state: State, batch: _Batch, sent: int, refused: int) -> State:
    """The state once a batch is taken or set aside, or was of nobody who may be told of."""
    return replace(
        state,
        offset=batch.end,
        end=None,
        last=batch.last,
        events=state.events + sent,
        left_out=state.left_out + len(batch.events) - sent - refused,
        batches=state.batches + (sent > 0),
        aside=state.aside + refused,
    )
