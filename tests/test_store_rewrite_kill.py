"""A kill before any file operation of an erasure: everybody everywhere, or, once it goes on, nobody anywhere.

The driver at the end runs in a process of its own, as in `test_store_kill.py`, whose kill it uses.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from test_store_kill import before_each, quick_disk, survives  # noqa: F401

import store
from embed.artifact import Embeddings
from eventlog.sequences import EventLog
from serve.catalogues import open_catalogue
from serve.forget import forget
from serve.saved import load_saved
from serve.snapshot import Snapshot
from serve.soundness import check, damage
from store.artifact import MANIFEST, create
from store.catalogue import Catalogue
from store.erasures import Erasures
from store.objections import Objections
from store.rewrite import JOURNAL, ROOM
from store.workspace import Workspace

GONE = "customer-that-was-0007"
STRIDE = 7


def holders(root: Path, id: str = GONE) -> set[str]:
    """Files that hold the id, packed tables decoded; what is being staged does not count."""
    found = set()
    for path in sorted(p for p in root.rglob("*") if p.is_file() and ROOM not in p.parts):
        text = pl.read_parquet(path).write_csv() if path.suffix == ".parquet" else ""
        if id.encode() in path.read_bytes() or id in text:
            found.add(path.relative_to(root).as_posix())
    return found


def prepare(template: Path, root: Path) -> None:
    """A copy of a small workspace."""
    shutil.copytree(template, root)


def standing(root: Path) -> None:
    """Everything loads and verifies."""
    workspace = Workspace.open(root)
    with open_catalogue(workspace):
        pass
    damage(check(workspace, every=True))
    for name in workspace.published():
        Snapshot.load(workspace, name)
    load_saved(workspace, "spring")


def every_kill(base: Path, template: Path) -> tuple[int, int]:
    """What kills of an erasure leave; returns how many were looked at, and how many came after the decision.

    A process that is killed leaves its files as they are at that moment, without what it still holds in memory. So one
    erasure is run, and its workspace copied before each file operation, in place of an erasure and a kill for each:
    `test_store_kill.py` kills in earnest. Before the decision every seventh copy is looked at, from shortly before it
    on every one. All work is done in children: a process that has used Polars must not fork any more.
    """
    prepare(template, base / "working")
    assert survives(1 << 60, lambda: _copied(base))
    prepare(base / "working", base / f"k{len(list(base.glob('k*')))}")
    copies = sorted(base.glob("k*"), key=lambda root: int(root.name[1:]))
    done = [(root / JOURNAL).exists() or any((root / "erasures").glob("e-*")) for root in copies]
    near = done.index(True) - STRIDE
    looked = [k for k in range(len(copies)) if k >= near or k % STRIDE == 0]
    assert survives(1 << 60, lambda: _all_checked(template, [(k, copies[k], done[k]) for k in looked]))
    return len(looked), sum(done[k] for k in looked[:-1])


def _copied(base: Path) -> None:
    """Erase, with a copy of the workspace before each file operation."""
    working = base / "working"
    before_each(lambda k: prepare(working, base / f"k{k}"))
    _forget(working)


def _all_checked(template: Path, copies: list[tuple[int, Path, bool]]) -> None:
    for k, root, done in copies:
        _check(template, root, k, done)


def _check(template: Path, root: Path, k: int, done: bool) -> None:
    if (root / JOURNAL).exists():
        assert GONE not in (root / JOURNAL).read_text(encoding="utf-8")
    standing(root)  # whoever opens the workspace finishes what was decided
    left = holders(root)
    with Catalogue(root / "catalogue.db") as catalogue:
        mask = Erasures(catalogue).mask(pl.Series([GONE, "x"])).tolist()
        objections, audited = len(Objections(catalogue).standing()), [e.action for e in catalogue.audit_log()]
    if done:
        assert left == set(), f"killed before operation {k}: {left}"
        assert not (root / JOURNAL).exists()
        assert (mask, objections, audited.count("erasure")) == ([True, False], 0, 1)
    else:
        assert left == holders(template), f"killed before operation {k}"
        assert (mask, objections, audited.count("erasure")) == ([False, False], 1, 0)
    _forget(root)
    assert holders(root) == set()
    assert not (root / ROOM).exists()
    standing(root)


def _forget(root: Path) -> None:
    forget(Workspace.open(root), [GONE])


@pytest.mark.slow
def test_a_kill_before_any_file_operation_leaves_everybody_or_nobody(quick_disk: Path) -> None:  # noqa: F811
    home = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(store.__file__).parents[1]), str(Path(__file__).parent)]),
    }
    done = subprocess.run(
        [sys.executable, __file__, str(quick_disk)], env=home, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    kills, decided = map(int, done.stdout.split()[-2:])
    assert kills > 40
    assert 15 < decided < kills


def test_readers_finish_what_was_decided_and_take_no_lock_from_its_holder(tmp_path: Path) -> None:
    from store.rewrite import Rewrite

    workspace = Workspace.create(tmp_path / "w")
    with create(workspace.models / "m", "model", 1, "m") as writer:
        writer.write_text("a.txt", "old")
    rewrite = Rewrite(workspace.root)
    room = rewrite.room(workspace.models / "m" / "a.txt")
    room.write_text("new", encoding="utf-8")
    rewrite.remove(workspace.root / "gone")
    from unittest.mock import patch

    with patch("store.rewrite.settle"):
        rewrite.commit({"facts": 1})
    assert (workspace.models / "m" / "a.txt").read_text() == "old"
    with workspace.lock():
        pass
    assert (workspace.models / "m" / "a.txt").read_text() == "new"
    assert (workspace.root / JOURNAL).exists()


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    from configs.errors import ArtifactError

    workspace = Workspace.create(tmp_path / "w")
    (workspace.root / JOURNAL).write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match="journal of an erasure is damaged"), workspace.lock():
        pass


def make(root: Path) -> None:
    """A small workspace with a log, a snapshot, a saved audience, an objection, a night and leftovers."""
    from http_service import publish

    from eventlog.config import EventLogConfig
    from eventlog.run import run
    from index.request import AudienceRequest
    from serve.audiences import Asked
    from serve.editions import save

    ids = sorted([f"customer-{n:04d}" for n in range(239)] + [GONE])
    workspace = Workspace.create(root)
    publish(root, ids=pl.Series(ids))
    events = root.parent / "events.csv"
    events.write_text("customer_id,time,shop\n" + "".join(f"{i},2020-01-0{n + 1},a\n" for i in ids for n in range(2)))
    source = {"name": "s", "path": str(events), "customer": "customer_id", "time": "time", "categorical": ["shop"]}
    run(EventLogConfig.model_validate({"sources": [source]}), workspace)
    with Catalogue(workspace.catalogue) as catalogue:
        request = AudienceRequest(seeds=(*ids[:60:2], GONE), size=100, include_seeds=True)
        save("spring", Asked(request), Snapshot.load(workspace), workspace, catalogue, "test")
        Objections(catalogue).note([GONE], True, actor="test")
    left = workspace.staging / "abc" / "left.txt"
    left.parent.mkdir(parents=True)
    left.write_text(GONE)
    night = workspace.nights / "n"
    night.mkdir(parents=True)
    (night / "events.jsonl").write_text(f'{{"customer": "{GONE}"}}\n{{"customer": "customer-0001"}}\n')
    for folder in workspace.eventlogs.glob(f"[!.]*/{MANIFEST}"):
        EventLog.load(folder.parent)
    Embeddings.load(workspace.snapshot_folder() / "embeddings")


def plain() -> None:
    """Have maps drawn in no time: they are written by libraries whose file operations are not seen here."""
    import plotly.offline

    import cluster.artifact

    cluster.artifact.draw = lambda path, *_: path.write_bytes(b"picture") and None
    plotly.offline.get_plotlyjs = lambda: "/* plotly */"


if __name__ == "__main__":
    os.fsync = lambda fd: None  # a killed process, unlike a power cut, leaves what it wrote to the system's care
    place = Path(sys.argv[1])
    plain()
    assert survives(1 << 60, lambda: make(place / "template"))
    print(*every_kill(place, place / "template"))
