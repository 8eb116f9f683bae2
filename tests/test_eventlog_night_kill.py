"""A kill before any file operation of a night: the log before stays whole, and the rerun ends with the same bytes.

The driver at the end runs in a process of its own and does nothing but fork: work with threads is left to the children.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from nightly_log import FIRST, NOW, config_of, deliver, frame, midnight
from test_store_kill import before_each, survives, tree

import eventlog
import eventlog.night
from eventlog.run import run as prepare
from eventlog.sequences import KIND, VERSION, EventLog
from store.artifact import verify
from store.workspace import Workspace

ALIVE = 1 << 30
"""More file operations than there are."""


def begin(home: Path) -> None:
    """A log of one day, and the file of the next: rows on time, late, repeated, bad, too early, of new customers."""
    rows = [(str(i % 9), FIRST + timedelta(hours=i % 20), "a", 1.0, i) for i in range(60)]
    deliver(home, 0, {"s0": frame(rows)})
    config = config_of(home, ids=True).model_copy(update={"until": midnight(0)})
    prepare(config, Workspace.create(home / "ws"), now=NOW)
    times = (30, 1, 31, 2, 32, 60)
    new = [(str(7 + i), FIRST + timedelta(hours=hour), f"n{i}", 2.0, 59 + i) for i, hour in enumerate(times)]
    deliver(home, 1, {"s0": frame([*new, ("1", None, "a", 1.0, 70)])})


def the_log(workspace: Workspace) -> EventLog:
    """The plain log that nights start from, every byte checked."""
    (only,) = (path.parent for path in workspace.eventlogs.glob("[!.]*/manifest.json") if not night_made(path.parent))
    return EventLog.load(only)


def night_made(folder: Path) -> bool:
    return "new_events" in verify(folder, KIND, VERSION).counts


def act(home: Path, root: Path) -> None:
    workspace = Workspace.create(root)
    grown = eventlog.night.run(config_of(home, ids=True), the_log(workspace), workspace, midnight(1), now=NOW)
    assert grown.new_events == 4


def check(root: Path) -> None:
    """What a kill leaves: the log before, and beside it whole folders only."""
    workspace = Workspace.create(root)
    assert the_log(workspace).n_events == 60
    for folder in workspace.eventlogs.glob("[!.]*"):
        assert EventLog.load(folder).n_events in (60, 64)


def must(work: Callable[[], None]) -> None:
    assert survives(ALIVE, work)


def every_kill(base: Path, step: int) -> int:
    """Look at what a kill before each `step`-th operation of a night leaves, and run it again; returns how many.

    A process that is killed leaves its files as they are at that moment, without what it still holds in memory. So one
    night is run, and its workspace copied before each operation, in place of a night and a kill for each.
    """
    home = base / "home"
    must(lambda: begin(home))
    for name in ("whole", "working"):
        shutil.copytree(home / "ws", base / name)
    must(lambda: act(home, base / "whole"))
    must(lambda: _copied(home, base, step))
    copies = sorted(base.glob("k*"), key=lambda root: int(root.name[1:]))
    must(lambda: _all_checked(home, [*copies, base / "working"], tree(base / "whole" / "eventlog")))
    return len(copies)


def _copied(home: Path, base: Path, step: int) -> None:
    def copy(k: int) -> None:
        if k % step == 0:
            shutil.copytree(base / "working", base / f"k{k}")

    before_each(copy)
    act(home, base / "working")


def _all_checked(home: Path, copies: list[Path], wanted: dict[str, str]) -> None:
    for root in copies:
        check(root)
        act(home, root)
        assert tree(root / "eventlog") == wanted, f"killed before operation {root.name}, the rerun ended in other bytes"


@pytest.fixture
def quick_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the system has one."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize(("share", "step"), [("1e9", "1"), ("0", "2")], ids=["layer", "plain"])
def test_a_night_killed_before_any_file_operation_leaves_the_log_before(
    share: str, step: str, quick_disk: Path
) -> None:
    """Also says how many it tried, so that a hook that sees nothing cannot pass."""
    places = (Path(eventlog.__file__).parents[1], Path(__file__).parent)
    home = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
    done = subprocess.run(
        [sys.executable, __file__, share, step, str(quick_disk)], env=home, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 60


if __name__ == "__main__":
    os.fsync = lambda fd: None  # a killed process, unlike a power cut, leaves what it wrote to the system's care
    eventlog.night.MOST_SHARE = float(sys.argv[1])
    print(every_kill(Path(sys.argv[3]), int(sys.argv[2])))
