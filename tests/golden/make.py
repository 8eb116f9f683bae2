"""Writes the golden files: `python tests/golden/make.py FOLDER` from the repository's root.

Golden files are what a released version wrote; they stay, so that every later version is tested to read them. A new
format version adds a new folder beside the old one. Nothing here overwrites: that would test nothing.
"""

import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from store.artifact import create
from store.catalogue import Catalogue
from store.tables import HEAD
from store.workspace import Workspace

PARTS = ("behaviour", "embeddings", "index", "segments")
KEY = "0123456789abcdef"


def write_snapshot(home: Path) -> Path:
    """Publish a snapshot of small parts in a workspace at `home`, and return its folder.

    The parts are of kind "example": this golden file holds the format of manifests, parts and pointer. The stages hold
    their own formats with golden files of their own.
    """
    workspace = Workspace.create(home)
    for number, name in enumerate(PARTS):
        with create(workspace.staging / KEY / name, "example", 1, KEY) as part:
            part.path("data/values.bin").write_bytes(bytes((number * 37 + i) % 256 for i in range(96)))
            part.write_json("facts.json", {"part": name, "größe": 1e-05, "none": None})
            part.parents["model"] = "fedcba9876543210"
            part.counts["customers"] = 12
            part.figures["quality"] = 0.5
    workspace.publish(
        KEY, {"model": "fedcba9876543210"}, {"customers": 12, "segments": 3}, {"recall@100": 0.991, "by_size": [1, 2.5]}
    )
    return workspace.snapshot_folder()


def write_catalogue(path: Path) -> None:
    """A catalogue with a row in every table, and nothing in it that differs between two runs but the keys."""
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now() -> datetime:
        nonlocal moment
        moment += timedelta(seconds=1)
        return moment

    with Catalogue(path, now) as catalogue:
        run = catalogue.record_run("run", recipe_hash="abc")
        catalogue.finish_run(run.id, "succeeded", eventlog_key="e", model_key="m", snapshot="s-a", figures={"auc": 0.7})
        catalogue.record_publication("s-a", actor="cli", action="publish", previous=None, run_id=run.id)
        catalogue.create_key("Anna", "marketer")
        catalogue.save_audience(
            id="a-0000000000000001",
            actor="cli",
            snapshot="s-a",
            request={"size": 500},
            seeds_sha256="0" * 64,
            size=500,
            report={"expected_recall": 0.25},
            result_sha256="1" * 64,
            members="audiences/a-0000000000000001.arrow",
        )


def main(folder: Path) -> None:
    """Write both into `folder`, which must not hold them yet."""
    import shutil
    import tempfile

    snapshot, dump = folder / "snapshot-v1", folder / f"catalogue-{HEAD}.sql"
    with tempfile.TemporaryDirectory() as home:
        if not snapshot.exists():
            shutil.copytree(write_snapshot(Path(home)), snapshot)
        if not dump.exists():
            write_catalogue(Path(home) / "catalogue.db")
            opened = sqlite3.connect(Path(home) / "catalogue.db")
            dump.write_text("\n".join(opened.iterdump()) + "\n", encoding="utf-8")
            opened.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
