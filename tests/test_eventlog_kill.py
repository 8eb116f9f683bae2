"""Preparing that is killed, runs out of disk or whose sources move leaves nothing, and ends right the next time."""

import errno
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.errors import DataError, StorageError
from eventlog.config import EventLogConfig
from eventlog.run import run
from store.workspace import Workspace

NOW = datetime(2021, 1, 1, tzinfo=UTC)
CHILD = """
import sys
from pathlib import Path
from eventlog.config import EventLogConfig
from eventlog.run import run
from store.workspace import Workspace
config = EventLogConfig.model_validate_json(Path(sys.argv[1]).read_text())
run(config, Workspace.create(Path(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EventLogConfig:
    path = tmp_path_factory.mktemp("kill") / "e.parquet"
    random, n = np.random.default_rng(0), 400_000
    pl.DataFrame(
        {
            "customer_id": random.integers(0, 5000, n),
            "timestamp": np.datetime64("2020-01-01T00:00:00.000000") + random.integers(0, 10**13, n),
            "shop": random.integers(0, 100, n),
            "amount": random.normal(0, 1, n),
        }
    ).write_parquet(path)
    source = {"name": "a", "path": str(path), "categorical": ["shop"], "numeric": ["amount"]}
    return EventLogConfig.model_validate({"sources": [source], "memory_mb": 1})


@pytest.mark.parametrize("moment", [".spool/block-0-000001.arrow", ".spool/part-*", ".*.part/codes.npy"])
def test_a_killed_run_started_again_ends_with_the_same_bytes(
    config: EventLogConfig, tmp_path: Path, moment: str
) -> None:
    (tmp_path / "config.json").write_text(config.model_dump_json())
    eventlogs = tmp_path / "killed" / "eventlog"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "config.json"), str(tmp_path / "killed")], env=environment
    )
    deadline = time.monotonic() + 60
    while not list(eventlogs.glob(moment)) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it was killed on its way"
    assert not [path for path in eventlogs.iterdir() if not path.name.startswith(".")], "nothing finished is there"
    again = run(config, Workspace.create(tmp_path / "killed"), now=NOW)
    clean = run(config, Workspace.create(tmp_path / "clean"), now=NOW)
    assert [path.name for path in eventlogs.iterdir()] == [clean.key]
    for path in clean.folder.iterdir():
        assert (again.folder / path.name).read_bytes() == path.read_bytes()


def test_a_full_disk_is_told_and_leaves_nothing(
    config: EventLogConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for place in ("eventlog.scan.write_block", "eventlog.run.write_log"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            workspace = Workspace.create(tmp_path / place)
            with pytest.raises(StorageError, match="the disk is full; free space or choose another workspace"):
                run(config, workspace, now=NOW)
            assert list(workspace.eventlogs.iterdir()) == []


def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "e.csv"
    path.write_text("customer_id,timestamp\n1,2020-01-01\n")
    from eventlog import scan

    reading = scan.read_chunks

    def slow(*arguments: object) -> object:
        yield from reading(*arguments)  # type: ignore[arg-type]
        path.write_text("customer_id,timestamp\n1,2020-01-01\n2,2020-01-01\n")

    monkeypatch.setattr(scan, "read_chunks", slow)
    config = EventLogConfig.model_validate({"sources": [{"name": "a", "path": str(path)}]})
    with pytest.raises(DataError, match=r"e\.csv: changed while it was read"):
        run(config, Workspace.create(tmp_path / "ws"), now=NOW)
    assert list((tmp_path / "ws" / "eventlog").iterdir()) == []
