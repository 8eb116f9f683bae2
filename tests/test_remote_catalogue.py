"""A workspace in an object store: with its catalogue elsewhere, beside a writer, and events that are sent again.

The catalogue elsewhere is a SQLite file outside of the workspace: as PostgreSQL, one that no push takes along.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from erasure_world import World
from http_service import publish
from machines import Machine
from object_store import running_bucket
from receiver import receiving

from configs.errors import StorageError
from serve.follower import Follower
from serve.night_files import ASIDE
from serve.webhook_aside import put_aside
from store.catalogue import Catalogue
from store.erasures import Erasures
from store.head import CURRENT
from store.objects import Objects

pytestmark = [
    pytest.mark.slow,
    # s3fs leaves its connections to the end of the process
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


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


def registered(catalogue: Path) -> int:
    """How many customers a register of erasures keeps out."""
    with Catalogue(str(catalogue)) as opened:
        return len(Erasures(opened).known())


def test_a_forget_that_the_store_refuses_says_that_the_register_names_them_and_is_finished_by_the_same_again(
    one: Machine, other: Machine, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a machine's own catalogue is none of the store's then
    (world.root / "catalogue.db").rename(tmp_path / "catalogue.db")
    elsewhere = {"KINFOLK_CATALOGUE": str(tmp_path / "catalogue.db")}
    one.pushed(world.root)
    before, gone = one.remote.head(), world.ids[5]
    with monkeypatch.context() as patch:
        whole = Objects.write_if

        def out_of_reach(self: Objects, name: str, body: bytes, tag: str | None) -> str | None:
            if name == CURRENT:
                raise StorageError("the object store is out of reach")
            return whole(self, name, body, tag)

        patch.setattr(Objects, "write_if", out_of_reach)
        refused = one.run("forget", gone, **elsewhere)
    assert refused.exit_code == 2
    assert "out of reach" in refused.stderr
    assert "The erasure is not finished" in refused.stderr
    assert "start the same command again" in refused.stderr
    assert one.remote.head() == before
    assert registered(tmp_path / "catalogue.db") == 1
    assert other.told("erasures", **elsewhere) == []  # there is no receipt of what is not done
    receipt = other.told("forget", gone, **elsewhere)
    assert receipt["known"] == 1
    assert receipt["search"]["found"] == receipt["store"]["found"] == []
    assert registered(tmp_path / "catalogue.db") == 1
    assert [told["receipt"] for told in one.told("erasures", **elsewhere)] == [receipt["receipt"]]
    assert one.remote.objects.names("objects") == one.remote.head().objects


def test_after_every_one_of_several_erasures_every_snapshot_in_the_store_is_sound(
    one: Machine, other: Machine, world: World
) -> None:
    one.pushed(world.root)
    for machine, gone in ((one, world.ids[5]), (one, world.ids[6]), (other, world.ids[8])):
        assert machine.run("forget", gone).exit_code == 0
        for at in (one, other):  # the one that pushed, and one that fetches
            assert {told["state"] for told in at.told("verify", "--all")} == {"sound"}


def test_a_service_that_was_started_beside_a_writer_has_every_kept_snapshot_in_the_end(one: Machine) -> None:
    first = publish(one.base / "local", 0, lineage="line")
    second = publish(one.base / "local", 1, lineage="line")
    one.pushed(one.base / "local")
    mirrored = Machine(one.url, one.base.parent / "new")
    mirrored.remote.refresh(need="served")
    assert mirrored.remote.local.published() == [second]
    follower = Follower(mirrored.remote, 0.05)
    with mirrored.remote.mirror.held():  # as a command does that is at work on this machine
        follower.start()
        time.sleep(0.5)
    deadline = time.monotonic() + 30
    try:
        while sorted(mirrored.remote.local.published()) != sorted([first, second]):
            assert time.monotonic() < deadline, "the snapshots before were never fetched"
            time.sleep(0.05)
    finally:
        follower.stop()


def test_events_that_are_sent_again_are_set_aside_no_more_on_any_machine(
    one: Machine, other: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINFOLK_WEBHOOK_SECRET", "a secret of more than sixteen letters")
    publish(one.base / "local")
    night = one.base / "local" / "nights" / "2025-02-01-s-x"
    night.mkdir(parents=True)
    (night / "report.json").write_text(json.dumps({"as_of": "2025-02-01", "kind": "night", "status": "published"}))
    put_aside(night / ASIDE, [{"id": f"id-{i}", "customer": f"c{i}"} for i in range(3)])
    one.pushed(one.base / "local")
    recipe = tmp_path / "recipe.yaml"
    with receiving() as receiver:
        sources = "sources: [{name: s, path: e.csv, categorical: [shop]}]\n"
        recipe.write_text(f"{sources}night: {{webhook: {{url: '{receiver.url}', batch: 2}}}}\n", encoding="utf-8")
        assert other.told("resend", recipe) == {night.name: {"events": 3, "done": True}}
        assert one.told("resend", recipe) == {}
        assert receiver.taken == ["id-0", "id-1", "id-2"]
    assert not [path for path in one.remote.head().files if path.endswith(ASIDE)]
    assert [entry["action"] for entry in one.told("audit")].count("webhook.resend") == 1
