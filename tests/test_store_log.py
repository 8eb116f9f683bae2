"""No customer id and no secret gets into a log line, whoever writes it and wherever it stands."""

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import ArtifactError, NotFoundError
from store.log import PATTERNS, configure, mask

ID = "C48151623"
SECRET = "kf_0a1b2c3d4e5f_nq3-HYkQ9tZ_secretsecretsecretsecretsecret"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging as it was, after each test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(params=[True, False], ids=["json", "console"])
def lines(request: pytest.FixtureRequest) -> StringIO:
    """What was logged."""
    stream = StringIO()
    configure(json_lines=request.param, stream=stream)
    return stream


NESTING = st.recursive(
    st.sampled_from([ID, SECRET, [ID, ID], (ID,), 48151623]),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b"]), inner, min_size=1) | st.lists(inner, min_size=1),
    max_leaves=5,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=NESTING, key=st.sampled_from(["customer", "customer_id", "Customer_ID", "secret", "authorization"]))
def test_private_keys_are_masked_at_any_depth(value: Any, key: str) -> None:
    """Whatever their value is."""
    masked = mask(None, "info", {"event": "found", "deep": [{"er": {key: value}}], key: value})
    assert masked == {"event": "found", "deep": [{"er": {key: "***"}}], key: "***"}


@pytest.mark.parametrize(
    "text",
    [
        f"GET /v1/customers/{ID}/similar?k=5 200",
        f"no customer {ID} in this snapshot",
        f"no customer '{ID}'",
        f"lookup customer_id={ID}&k=5",
        f"Customer: {ID}",
        f"key {SECRET} is unknown",
        f"Authorization: Bearer {SECRET}",
        "authorization=Basic YW5uYTpzZWNyZXQ0ODE1MTYyMw==",
        "postgresql://anna:C48151623@db/kinfolk is out of reach",
        "ftp://anna:secret@secretsecret@host/x is out of reach",
        "postgresql://anna@db/kinfolk?password=secretsecret",
        f'{{"customer_id": "{ID}"}}',
        f"customers ['{ID}', '{ID}']",
        "customer='secretsecret'",
        "X-API-Key: secretsecret",
        "KINFOLK_WEBHOOK_SECRET=secretsecret",
    ],
)
def test_ids_and_secrets_inside_texts_are_masked(lines: StringIO, text: str) -> None:
    """By our own log and by a library's."""
    structlog.get_logger("kinfolk").info(text, also=text, deep={"er": [text]})
    logging.getLogger("uvicorn.access").warning("%s", text)
    written = lines.getvalue()
    assert written.count("***") >= 4
    for hidden in (ID, "secretsecret", "YW5uYTpzZWNyZXQ0ODE1MTYyMw"):
        assert hidden not in written


def test_what_is_not_private_stays_readable(lines: StringIO) -> None:
    """Counts, stages, files."""
    structlog.get_logger("kinfolk").info("prepared the customer log", customers=2469, path="eventlog/ab12", rate=1.5)
    written = lines.getvalue()
    for kept in ("prepared the customer log", "2469", "eventlog/ab12", "1.5"):
        assert kept in written


def raise_about_a_customer() -> None:
    """Fail with an id in the text."""
    raise NotFoundError(f"nothing is known of {ID}")


def test_errors_are_told_without_their_text(lines: StringIO) -> None:
    """Type and places say where to look; the text may quote a row."""
    try:
        raise_about_a_customer()
    except NotFoundError as error:
        structlog.get_logger("kinfolk").exception("request failed", error_given=error)
        logging.getLogger("uvicorn.error").exception("request failed")
    written = lines.getvalue()
    assert ID not in written
    assert written.count("raise_about_a_customer") >= 2
    assert "NotFoundError" in written


def test_errors_about_files_keep_their_text(lines: StringIO) -> None:
    """A damaged file must be named."""
    try:
        raise ArtifactError("index/index.faiss: its SHA-256 differs")
    except ArtifactError:
        structlog.get_logger("kinfolk").exception("cannot serve")
    assert "index/index.faiss: its SHA-256 differs" in lines.getvalue()


def test_json_lines_are_json() -> None:
    """One object a line, with level and time; quieter levels are left out."""
    stream = StringIO()
    configure(json_lines=True, stream=stream)
    structlog.get_logger().info("one\nline", words="Größe")
    structlog.get_logger().debug("not shown")
    logging.getLogger("other").info("two")
    read = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(entry["event"], entry["level"]) for entry in read] == [("one\nline", "info"), ("two", "info")]
    assert all(entry["timestamp"].endswith("Z") for entry in read)


PIECES = [
    "kf_",
    "KF_",
    "Bearer ",
    "ba\u017fic ",
    "/customers/",
    "Customer",
    " id",
    "customer_id",
    "secret",
    "api_key",
    "Api_Key=",
    "authorization",
    "://",
    "a:b@",
    "=",
    ": ",
    " ",
    "'",
    ID,
    "12345678",
    "x",
    "/",
    "?",
]


@settings(max_examples=500)
@given(text=st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_no_text_that_a_pattern_changes_is_passed_over(text: str) -> None:
    """The look for suspicious words saves time, and lets nothing through."""
    expected = text
    for pattern, instead in PATTERNS:
        expected = pattern.sub(instead, expected)
    assert mask(None, "info", {"event": text}) == {"event": expected}
