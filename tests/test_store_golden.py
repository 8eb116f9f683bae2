"""What released versions wrote is still read, and today's version writes the same bytes for the same format."""

import hashlib
import importlib.util
import shutil
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest

from configs.errors import ArtifactError
from store.artifact import verify
from store.catalogue import Catalogue
from store.erasures import Erasures
from store.objections import Objections
from store.segment_names import SegmentNames
from store.workspace import Workspace

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def make() -> ModuleType:
    """The module that wrote the golden files."""
    spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace that serves a copy of the golden snapshot."""
    workspace = Workspace.create(tmp_path)
    shutil.copytree(GOLDEN / "snapshot-v1", workspace.snapshots / "s-golden")
    workspace.point_to("s-golden")
    return workspace


def test_the_golden_snapshot_is_read(workspace: Workspace, make: ModuleType) -> None:
    """Its manifest, every file and every part."""
    manifest = workspace.verify_snapshot()
    assert (manifest.kind, manifest.version, manifest.key) == ("snapshot", 1, make.KEY)
    assert manifest.parents == {"model": "fedcba9876543210"}
    assert manifest.counts == {"customers": 12, "segments": 3}
    assert manifest.figures == {"recall@100": 0.991, "by_size": [1, 2.5]}
    assert len(manifest.files) == 3 * len(make.PARTS)
    for name in make.PARTS:
        assert verify(workspace.snapshot_folder() / name, "example", 1).counts == {"customers": 12}


def test_the_golden_snapshot_is_not_just_believed(workspace: Workspace) -> None:
    """A changed byte in the copy is refused."""
    (workspace.snapshot_folder() / "index" / "facts.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"index/facts\.json"):
        workspace.verify_snapshot()


def test_the_same_format_is_written_today(make: ModuleType, tmp_path: Path) -> None:
    """Byte for byte; a change of the format needs a new version, a new golden folder, and a reader of the old one."""
    assert hashes(make.write_snapshot(tmp_path)) == hashes(GOLDEN / "snapshot-v1")


def hashes(folder: Path) -> dict[str, str]:
    """Every file's hash."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize("dump", sorted(GOLDEN.glob("catalogue-*.sql")), ids=lambda path: path.stem)
def test_a_golden_catalogue_is_migrated_and_read(dump: Path, tmp_path: Path) -> None:
    """From every released version on."""
    path = tmp_path / "catalogue.db"
    opened = sqlite3.connect(path)
    opened.executescript(dump.read_text(encoding="utf-8"))
    opened.close()
    with Catalogue(path) as catalogue:
        assert [(run.command, run.status, run.figures) for run in catalogue.runs()] == [
            ("run", "succeeded", {"auc": 0.7})
        ]
        assert [(p.snapshot, p.run_id) for p in catalogue.history()] == [("s-a", 1)]
        (key,) = catalogue.keys()
        assert (key.name, key.role) == ("Anna", "marketer")
        assert catalogue.audience("a-0000000000000001").report == {"expected_recall": 0.25}
        actions = ["publish", "key.create", "audience", "objection.add", "segment.rename", "erasure"]
        number = int(dump.stem.split("-")[1])
        rows = 2 + number  # every migration since the first has added a register
        assert [entry.action for entry in catalogue.audit_log()] == actions[:rows][::-1]
        assert [o.customer for o in Objections(catalogue).standing()] == (["17"] if number >= 2 else [])
        assert {id: n.name for id, n in SegmentNames(catalogue).given("line").items()} == (
            {3: "Drivers"} if number >= 3 else {}
        )
        assert Erasures(catalogue).known() == (frozenset(["2" * 64]) if number >= 4 else frozenset())
        catalogue.audit("test", "read", "catalogue")
        assert catalogue.audit_log(limit=1)[0].id == rows + 1
