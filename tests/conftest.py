"""Shared fixtures: a workspace made once by really running the line over a small simulated bank."""

import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

# two workers beside each other, and last bits that do not hang on which of them made a shared workspace
os.environ.setdefault("OMP_NUM_THREADS", "1")

import forked
import night_world
import pytest
import structlog
from hypothesis import settings
from night_world import NightWorld

from store.threads import POOLS
from store.workspace import Workspace

if TYPE_CHECKING:
    from erasure_world import World

# how long an example takes says how busy the machine is, not whether the code is right
settings.register_profile("kinfolk", deadline=None)
settings.load_profile("kinfolk")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts background jobs so, and every child would inherit it: what Ctrl-C does could not be tested
    signal.signal(signal.SIGINT, signal.default_int_handler)

BENCHES = tempfile.TemporaryDirectory(prefix="kinfolk-benches-")
"""Holds a link to the benches alone, at the end of the path: no wheel has them, and the repository itself on the path
would hide what a wheel has forgotten."""
(Path(BENCHES.name) / "bench").symlink_to(Path(__file__).resolve().parents[1] / "bench")
sys.path.append(BENCHES.name)


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Undo what a command that runs within a test sets for its whole process: the log, and the number of threads."""
    threads, root = {name: os.environ.get(name) for name in POOLS}, logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level
    for name, value in threads.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


CUSTOMERS, DAYS = 600, 60
TINY = """\
train:
  width: 32
  hidden: 16
  event_width: 16
  vocabulary: 100
  slices: 2
  slice_events: [8, 24]
  batch_customers: 64
  epochs: 2
  epoch_events: 12_000
  head_customers: 600
  threads: 1
  pools:
    values: 12
    bins: 4
    crossed_values: 0
    crossed_fields: 0
segments:
  shadow_every: 1
  epochs: 60
  stability_runs: 1
audience:
  bootstrap: 100
"""
"""A recipe's sections that make a line quick; what comes out is real, only poor."""


@dataclass(frozen=True)
class Bank:
    """A simulated bank and the workspace that a line made of it."""

    folder: Path
    """The bank: events, truth, recipe.yaml."""
    recipe: Path
    """Its recipe with the TINY sections."""
    root: Path
    """The workspace's folder. Shared by all tests: take `workspace_copy` to change anything in it."""

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return Workspace.open(self.root)


def kinfolk(*words: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own in `folder`."""
    return forked.run(*words, folder=folder, **environment)


def make_bank(folder: Path, customers: int = CUSTOMERS, days: int = DAYS) -> Path:
    """Simulate a bank in `folder`/bank and return the recipe that reads it in a quick line."""
    made = kinfolk(
        "simulate", "--customers", str(customers), "--days", str(days), "--seed", "7", "--out", "bank", folder=folder
    )
    assert made.returncode == 0, made.stderr
    recipe = folder / "bank" / "tiny.yaml"
    recipe.write_text((folder / "bank" / "recipe.yaml").read_text(encoding="utf-8") + TINY, encoding="utf-8")
    return recipe


@pytest.fixture(scope="session")
def tiny_sections() -> str:
    """A recipe's sections that make a line quick."""
    return TINY


@pytest.fixture(scope="session")
def small_workspace(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Bank:
    """A line that was really run, once for all workers of a test run. Read only."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "small-workspace"
    shared.mkdir(exist_ok=True)
    root, recipe, done = shared / "workspace", shared / "bank" / "tiny.yaml", shared / "done"
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make_bank(shared)
            ran = kinfolk("run", recipe, "--workspace", root, folder=shared)
            assert ran.returncode == 0, ran.stderr
            done.touch()
    return Bank(shared / "bank", recipe, root)


@pytest.fixture(scope="session")
def shared_night_world(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> NightWorld:
    """A bank of which some days are still to come, and a line really run over the others. Read only."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "night-world"
    shared.mkdir(exist_ok=True)
    world = NightWorld(shared / "world")
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            world.folder.mkdir(exist_ok=True)
            recipe = make_bank(world.folder, night_world.CUSTOMERS, night_world.DAYS)
            world.recipe_file.write_text(recipe.read_text(encoding="utf-8") + night_world.OPEN_GATES, encoding="utf-8")
            night_world.hide_later(world.folder)
            ran = kinfolk("run", world.recipe_file, "--workspace", world.root, folder=world.folder)
            assert ran.returncode == 0, ran.stderr
            (shared / "done").touch()
    return world


@pytest.fixture
def night(shared_night_world: NightWorld, tmp_path: Path) -> NightWorld:
    """A copy of that world that a test may change."""
    return shared_night_world.copy(tmp_path / "world")


@pytest.fixture
def workspace_copy(small_workspace: Bank, tmp_path: Path) -> Bank:
    """A copy of the shared workspace that a test may change."""
    root = tmp_path / "workspace"
    # another worker may be reading the catalogue: what SQLite keeps beside it comes and goes
    shutil.copytree(small_workspace.root, root, ignore=shutil.ignore_patterns("*.db-wal", "*.db-shm"))
    return Bank(small_workspace.folder, small_workspace.recipe, root)


@pytest.fixture(scope="session")
def made_world(tmp_path_factory: pytest.TempPathFactory) -> "World":
    """A workspace with everything in it that customers may be erased from. Read only."""
    from erasure_world import make_world

    return make_world(tmp_path_factory.mktemp("erasure"))


@pytest.fixture
def world(made_world: "World", tmp_path: Path) -> "World":
    """A copy of it that a test may change."""
    root = tmp_path / "workspace"
    shutil.copytree(made_world.root, root, ignore=shutil.ignore_patterns("*.db-wal", "*.db-shm"))
    return replace(made_world, root=root)
