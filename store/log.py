"""Structured logging that cannot name a customer: JSON lines, or text for a terminal.

Every entry, our own or of a library that uses the standard `logging`, goes through `mask`. Exceptions are logged as
their type and the places they passed: their text may quote a customer's row.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from configs.errors import ArtifactError, ConflictError, RecipeError, StorageError
from store.privacy import is_private

MASK = "***"
PATTERNS = (
    (re.compile(r"\bkf_[0-9A-Za-z]+_[\w-]+"), f"kf_{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"(?i)(/customers/)[^/\s?\"'{]+"), rf"\1{MASK}"),
    (
        re.compile(
            r"(?i)\b(customer(?:_id|\s+id)?|secret|authorization)(\s*[=:]\s*|\s+)(['\"]?)[\w.@+-]*\d[\w.@+-]*\3"
        ),
        rf"\1\2{MASK}",
    ),
    (
        re.compile(
            r"(?i)((?:customer_id|secret|authorization|api[_-]?key|passwo?r?d|pwd)['\"]?\s*[=:]\s*)"
            r"(\"[^\"]*\"|'[^']*'|[^\s&,;}\])]+)"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(customer['\"]?\s*[=:]\s*)(\"[^\"]*\"|'[^']*')"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b((?:customers|seeds|members|ids)['\"]?\s*[=:]?\s*)\[[^\]]*\]"), rf"\1{MASK}"),
    (re.compile(r"://[^/\s\"',]*@"), f"://{MASK}@"),
)
"""What ids and secrets look like inside a text: keys, Authorization values, paths of the API, `customer 123`, URLs."""
SUSPECT = re.compile(r"(?i)kf_|bearer|basic|customer|secret|authorization|api|pass|pwd|seeds|members|ids|://")
"""Every text that one of the patterns changes has one of these; next to no text of a request's line has."""
SAFE_ERRORS = (ArtifactError, ConflictError, RecipeError, StorageError)
"""Errors whose text names files and settings only."""


def mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: hides values of private keys at any depth, and ids and secrets inside texts."""
    for key in list(event):
        event[key] = _masked(key, event[key])
    return event


def _masked(key: str, value: Any) -> Any:
    if is_private(key, value):
        return MASK
    if isinstance(value, str):
        return _masked_text(value) if SUSPECT.search(value) else value
    if isinstance(value, Mapping):
        return {name: _masked(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", inner) for inner in value]
    if isinstance(value, BaseException):
        return _error(value)["error"]
    return value if isinstance(value, int | float | None) else _masked("", str(value))


def _masked_text(text: str) -> str:
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text


def bare_exceptions(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: turns `exc_info` into the error's type and places; its text only where that is safe."""
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event.update(_error(error))
    return event


def _error(error: BaseException) -> dict[str, Any]:
    name = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": f"{name}: {error}" if isinstance(error, SAFE_ERRORS) else name,
        "places": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def processors() -> list[Any]:
    """What every entry goes through before it is rendered."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        bare_exceptions,
        mask,
    ]


def configure(*, json_lines: bool, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's log to `stream` (standard error) as JSON lines or readable text."""
    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False)
        if json_lines
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("httpx", "httpcore"):  # they tell every URL that is asked, and a webhook's may be a secret
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[*processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
