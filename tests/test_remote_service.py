"""A service over a workspace in an object store, and erasures there (a real S3 server on this machine)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from erasure_world import World
from fastapi.testclient import TestClient
from http_service import N, group_of, problem, publish
from machines import Machine
from object_store import running_bucket

from configs.errors import BusyError, ConflictError
from serve.app import create_app
from serve.config import ServeConfig
from serve.follower import Follower
from store.artifact import create
from store.catalogue import Catalogue
from store.remote import RemoteWorkspace, opened
from store.sending import Sender

pytestmark = [
    pytest.mark.slow,
    # s3fs leaves its connections to the end of the process
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SEEDS = np.flatnonzero(group_of(N) == 1)[:60].tolist()


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 server's bucket."""
    with running_bucket() as url:
        yield url


@pytest.fixture
def one(bucket: str, tmp_path: Path, request: pytest.FixtureRequest) -> Machine:
    """A machine, and a place in the store of this test's own."""
    return Machine(f"{bucket}/{request.node.name[:40]}", tmp_path / "one")


@pytest.fixture
def other(one: Machine, tmp_path: Path) -> Machine:
    """Another machine that works there."""
    return Machine(one.url, tmp_path / "other")


@contextmanager
def serving(machine: Machine, catalogue: Path) -> Iterator[Any]:
    """A client of a service on a machine, with a catalogue of its own; it looks into the store ten times a second."""
    remote = machine.remote
    remote.refresh(need="served", must_exist=False)
    config = ServeConfig(poll_seconds=0.05, key_seconds=0)
    with TestClient(create_app(remote.local, config, Catalogue(catalogue), Follower(remote, 0.1))) as client:
        yield client


@contextmanager
def command(machine: Machine) -> Iterator[httpx.Client]:
    """A client of `kinfolk serve` on a machine, in a process of its own."""
    words = [sys.executable, "-m", "serve.cli", "serve", "--port", "0", "--poll", "0.1"]
    environment = os.environ | {"KINFOLK_WORKSPACE": machine.url, "KINFOLK_MIRROR": str(machine.base)}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment, cwd=machine.base.parent)
    assert process.stderr is not None
    try:
        lines = (json.loads(line) for line in process.stderr if line.startswith("{"))
        url = next(entry["url"] for entry in lines if entry["event"] == "listening")
        reader = threading.Thread(target=process.stderr.read)
        reader.start()  # its log is read on, so that it never waits for us
        with httpx.Client(base_url=url, timeout=20) as client:
            yield client
    finally:
        process.terminate()
        ended = process.wait(20)
        reader.join(20)
        process.stderr.close()
    assert ended in (0, -signal.SIGTERM)


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def key_of(machine: Machine, **environment: str) -> tuple[str, dict[str, str]]:
    """A new admin key, made by the command line: its id, and the headers that show it."""
    made = machine.told("keys", "create", "--role", "admin", **environment)
    return made["id"], {"Authorization": f"Bearer {made['key']}"}


def test_a_service_sees_what_other_machines_publish_and_note_and_writes_nothing(one: Machine, other: Machine) -> None:
    first = publish(one.base / "local", 0, lineage="line")
    one.pushed(one.base / "local")
    id, headers = key_of(one)
    with command(other) as client:
        assert client.get("/v1/snapshot", headers=headers).json()["name"] == first
        _, later = key_of(one)
        until(lambda: client.get("/v1/segments", headers=later).status_code == 200)
        assert one.run("keys", "revoke", id).exit_code == 0
        until(lambda: client.get("/v1/segments", headers=headers).status_code == 401)
        second = publish(one.base / "local", 1, lineage="line")
        one.pushed(one.base / "local")
        until(lambda: client.get("/readyz").json()["snapshot"] == second)
        before = one.remote.head()
        body = {"seeds": SEEDS, "size": 120}
        problem(client.post("/v1/audiences", json=body, headers=later), 403, "read-only", "KINFOLK_CATALOGUE")
        problem(client.put("/v1/objections/7", headers=later), 403, "read-only")
        problem(client.put("/v1/segments/1/name", json={"name": "Savers"}, headers=later), 403, "read-only")
        problem(client.get("/v1/segments/moves/customers", headers=later), 403, "read-only")
        problem(client.get("/v1/segments/1/members", headers=later), 403, "read-only")
        assert client.get("/v1/segments/1", headers=later).status_code == 200
        assert "kinfolk_store_failures 0.0" in client.get("/metrics").text
    assert other.remote.head() == before
    assert not list(other.remote.local.audiences.glob("a-*"))


def test_a_service_with_a_catalogue_of_its_own_keeps_audiences_while_a_job_writes(
    one: Machine, other: Machine, tmp_path: Path
) -> None:
    catalogue = {"KINFOLK_CATALOGUE": str(tmp_path / "catalogue.db")}
    first = publish(one.base / "local", 0)
    one.pushed(one.base / "local")
    _, headers = key_of(one, **catalogue)
    with serving(other, tmp_path / "catalogue.db") as client:
        body = {"seeds": SEEDS, "size": 120}
        writer = one.remote
        with writer.writing(need="everything"):  # a night, with hours to go
            made = client.post("/v1/audiences", json=body, headers=headers)
            assert made.status_code == 201, made.text
            assert client.put("/v1/saved-audiences/spring", json=body, headers=headers).status_code == 201
            assert client.put("/v1/saved-audiences/autumn", json=body, headers=headers).status_code == 201
            second = publish(writer.local.root, 1)
        head = one.remote.head()
        assert head.snapshot == second != first
        until(lambda: client.get("/readyz").json()["snapshot"] == second)
        assert client.delete("/v1/saved-audiences/autumn", headers=headers).status_code == 204
    third = Machine(one.url, tmp_path / "third")
    assert [told["name"] for told in third.told("saved", "list", **catalogue)] == ["spring"]
    assert (third.remote.local.audiences / made.json()["id"] / "members.parquet").is_file()
    assert third.remote.head().objects < third.remote.objects.names("objects")  # a writer removes what is named no more


def test_whoever_is_erased_is_gone_from_every_object_and_comes_back_from_no_mirror(
    one: Machine, other: Machine, world: World
) -> None:
    one.pushed(world.root)
    other.remote.refresh(need="everything")
    gone, stays = world.ids[5], world.ids[6]
    with create(other.remote.local.models / "unpushed", "model", 1, "unpushed") as writer:
        writer.write_text("data.txt", f"of {gone}")  # as a run leaves that was killed before it pushed
    receipt = one.told("forget", gone)
    assert receipt["search"]["found"] == receipt["store"]["found"] == []
    assert "old versions of objects" in {told["what"] for told in receipt["untouched"]}
    assert [told["receipt"] for told in other.told("erasures")] == [receipt["receipt"]]
    assert other.run("saved", "remove", "spring").exit_code == 0  # a writer, with an old mirror
    assert objects_with(one, gone) == []
    assert objects_with(one, stays)
    found = [
        path for path in other.remote.local.root.rglob("*") if path.is_file() and gone.encode() in path.read_bytes()
    ]
    assert found == []


def objects_with(machine: Machine, customer: str) -> list[str]:
    """Objects of the store that hold an id in their bytes; lists of ids are not packed in files this small."""
    objects, place = machine.remote.objects, machine.base / "object"
    found = []
    for name in sorted(objects.names()):
        objects.download(name, place)
        if customer.encode() in place.read_bytes():
            found.append(name)
    return found


def test_an_object_that_is_no_file_of_the_workspace_is_searched_too(one: Machine, world: World, tmp_path: Path) -> None:
    one.pushed(world.root)
    (tmp_path / "list").write_text(json.dumps({"customer": world.ids[4]}), encoding="utf-8")
    one.remote.objects.upload(tmp_path / "list", "exports/list")
    ended = one.run("forget", world.ids[4])
    assert ended.exit_code == 2
    assert "exports/list" in ended.stderr
    assert one.told("erasures")[0]["store"]["found"] == ["exports/list"]


def test_what_was_pruned_elsewhere_is_not_brought_back(one: Machine, other: Machine) -> None:
    for seed in range(3):
        publish(one.base / "local", seed)
    one.pushed(one.base / "local")
    assert len(other.told("history")) == 0
    kept = other.remote.local.published()
    assert len(kept) == 3
    removed = one.told("prune", "--keep", 1)["removed"]
    assert other.run("keys", "create", "--role", "admin").exit_code == 0
    left = sorted(set(kept) - set(removed))
    assert one.remote.head().artifacts("snapshots") == [f"snapshots/{name}" for name in left]
    assert other.remote.local.published() == left


def test_a_service_and_a_writer_merge_what_differs_and_refuse_what_clashes(one: Machine, other: Machine) -> None:
    def saved(remote: RemoteWorkspace, name: str, text: str) -> None:
        (remote.local.saved / name).mkdir(parents=True, exist_ok=True)
        (remote.local.saved / name / "definition.json").write_text(text)

    publish(one.base / "local")
    one.pushed(one.base / "local")
    service = other.remote
    sender = Sender(service)
    service.refresh()

    def clash() -> None:
        with one.remote.writing():
            saved(one.remote, "same", "of the writer")
            with sender.adding() as folders:
                saved(service, "same", "of the service")
                folders.append("saved/same")

    with pytest.raises(BusyError, match="another job has published"):
        clash()
    with opened(one.url, write=True, cache=one.base) as workspace:
        assert (workspace.saved / "same" / "definition.json").read_text() == "of the service"
        (workspace.root / "erasures").mkdir(exist_ok=True)
        (workspace.root / "erasures" / "e-1.json").write_text("{}")

    def late() -> None:
        with sender.adding() as folders:
            saved(service, "late", "of somebody who was erased")
            folders.append("saved/late")

    with pytest.raises(ConflictError, match="customers were erased"):
        late()
    assert not (service.local.saved / "late").exists()
    sender.removing("saved/same", lambda: shutil.rmtree(service.local.saved / "same"))
    assert not one.remote.head().below("saved")
