"""What nobody gets at without a key, what goes into the audit log, and what no message repeats."""

import io
import json
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from http_service import N, Service, problem, publish
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from typer.testing import CliRunner

from configs.errors import KinfolkError, RecipeError
from configs.progress import SILENT
from eventlog.config import EventLogConfig
from eventlog.query import _told
from eventlog.remote import fetch_files
from index.files import attributes_of_csv
from serve.cli import app
from serve.recipe import load_recipe
from store.database import open_database
from store.log import configure
from store.workspace import Workspace

BODIES = [b'{"object": [', b'["a"]', b"[" * 5000, json.dumps({"object": ["\ud800"]}).encode()]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    publish(tmp_path / "w")
    made = Service(tmp_path / "w")
    yield made
    made.close()


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/objections"), ("PUT", "/v1/segments/0/name")])
def test_a_body_is_read_after_the_key(service: Service, method: str, path: str, body: bytes) -> None:
    kind = {"Content-Type": "application/json"}
    problem(service.client.request(method, path, content=body, headers={**kind, "Authorization": "Bearer no"}), 401)
    problem(service.client.request(method, path, content=body, headers={**kind, **service.bearer("analyst")}), 403)
    problem(service.client.request(method, path, content=body, headers={**kind, **service.bearer("admin")}), 422)
    text = {"Content-Type": "text/plain", **service.bearer("admin")}
    problem(service.client.request(method, path, content=body, headers=text), 415, "application/json")


def test_bodies_are_described(service: Service) -> None:
    paths = service.client.get("/openapi.json").json()["paths"]
    for path, method, key in (("/v1/objections", "post", "withdraw"), ("/v1/segments/{segment}/name", "put", "name")):
        schema = paths[path][method]["requestBody"]["content"]["application/json"]["schema"]
        assert key in schema["properties"]


@pytest.mark.parametrize("id", ["a\0b", "\ud800"])
def test_an_id_that_no_database_can_hold_is_refused(service: Service, id: str) -> None:
    headers = {"Content-Type": "application/json"}
    for path, body in (("/v1/audiences", {"seeds": [id], "size": 120}), ("/v1/objections", {"object": [id]})):
        problem(service.client.post(path, content=json.dumps(body), headers=headers), 422)


def test_a_cursor_of_brackets_is_refused(service: Service) -> None:
    import base64

    cursor = base64.urlsafe_b64encode(b"[" * 3000).decode().rstrip("=")
    problem(service.client.get("/v1/segments/0/members", params={"cursor": cursor}), 422, "cursor")


def test_every_list_that_is_taken_out_is_in_the_audit_log(service: Service, tmp_path: Path) -> None:
    root, out = str(service.workspace.root), str(tmp_path / "out.parquet")
    size = service.get("/v1/segments/1/members", limit=7)["size"]
    for words in (("export", "embeddings", out), ("export", "segments", out), ("objections", "list", "--out", out)):
        done = CliRunner().invoke(app, [*words, "--workspace", root])
        assert done.exit_code == 0, done.output
    told = {entry.action: entry.details for entry in service.catalogue.audit_log(10)}
    assert told["segments.members"] == {"segment": 1, "least_strength": 0.0, "size": 7, "of": size}
    assert told["embeddings.export"] == told["segments.export"] == {"size": N}
    assert told["objections.export"] == {"size": 0}


def test_an_audience_that_is_written_again_and_its_effect_are_audited(service: Service, tmp_path: Path) -> None:
    root, seeds = str(service.workspace.root), tmp_path / "seeds.csv"
    seeds.write_text("customer_id\n" + "\n".join(str(3 * at + 1) for at in range(60)), encoding="utf-8")
    words = ["audience", "--seeds", str(seeds), "--size", "120", "--hold-out", "0.2", "--out", str(tmp_path / "a.csv")]
    words += ["--workspace", root, "--json"]
    for _ in range(2):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    made = json.loads(done.output)["id"]
    done = CliRunner().invoke(app, ["effect", made, "--outcomes", str(seeds), "--workspace", root])
    assert done.exit_code == 0, done.output
    actions = [entry.action for entry in service.catalogue.audit_log(10)]
    assert actions.count("audience.export") == 2
    assert actions.count("audience.effect") == 1


def test_many_columns_are_refused_at_once() -> None:
    header = ",".join(["customer_id", *(f"c{at}" for at in range(20_000))])
    with pytest.raises(Exception, match="20,001 columns; accepted are 1,000 at most"):
        attributes_of_csv(header.encode(), "attributes")


def test_a_new_workspace_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        Workspace.create(tmp_path / "deep" / "new")
        (tmp_path / "shared").mkdir(mode=0o750)
        Workspace.create(tmp_path / "shared")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("deep/new", "shared")]
    assert modes == [0o700, 0o750], "a folder that is there is left as it is"


@pytest.mark.parametrize(
    "text",
    [
        "sources: []\nnight:\n  webhook: {url: 'https://svc:hunter2@hooks.bank.example/kinfolk'}\n",
        "sources: []\nnight:\n  webhook: {url: 'hooks.bank.example/T000/hunter2'}\n",
        "sources:\n- {name: a, url: 'postgresql://svc:hunter2@db/x\n",
        "url: postgresql://svc:hunter2@db/x\nurl: 1\n",
        "sources: []\nnight: {webhook: 'https://hooks.bank.example/hunter2'}\n",
        "sources: 'postgresql://svc:hunter2@db/x'\n",
        "sources: ['postgresql://svc:hunter2@db/x']\n",
        "sources: []\nnight: {webhook: {url: *hunter2}}\n",
    ],
)
def test_a_secret_in_a_recipe_is_not_repeated(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as found:
        load_recipe(tmp_path / "r.yaml")
    assert "hunter2" not in str(found.value)


@pytest.mark.parametrize(
    "text",
    [
        'invalid input syntax for type integer: "anna.smith"',
        "value out of range: C1003748429",
        "Key (id)=(C1003748429) exists",
        "JSON path error near 'C1003748429'",
    ],
)
def test_what_a_database_says_is_told_without_values(text: str) -> None:
    told = _told(ValueError(text))
    assert "C1003748429" not in told
    assert "anna" not in told
    assert told.split(" ")[0] == text.split(" ")[0]


def test_a_password_in_an_address_is_told_nowhere(tmp_path: Path) -> None:
    source = {"name": "card", "path": "ftp://svc:hunter2@127.0.0.1:1/e.csv", "customer": "c", "time": "t"}
    config = EventLogConfig.model_validate({"sources": [source]})
    with pytest.raises(KinfolkError) as fetched:
        fetch_files(config.sources[0], tmp_path, SILENT)
    with pytest.raises(KinfolkError) as opened:
        open_database("postgresql://svc@127.0.0.1:1/db?password=hunter2")
    for error in (fetched, opened):
        assert "127.0.0.1" in str(error.value)
        assert "hunter2" not in str(error.value)


def test_a_failed_statement_tells_no_value(service: Service) -> None:
    with service.catalogue.session(write=False) as session, pytest.raises(SQLAlchemyError) as found:
        session.execute(text("SELECT * FROM nowhere WHERE customer = :customer"), {"customer": "C1003748429"})
    assert "C1003748429" not in str(found.value)


def test_libraries_that_log_addresses_are_quiet() -> None:
    loggers = [logging.getLogger(name) for name in ("", "httpx", "httpcore")]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    try:
        configure(json_lines=True, stream=io.StringIO())
        assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
        assert not logging.getLogger("httpcore").isEnabledFor(logging.INFO)
    finally:
        structlog.reset_defaults()
        for logger, (level, handlers) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.handlers[:] = handlers
