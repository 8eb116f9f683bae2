"""A simulated bank whose days arrive one by one, and a workspace that a line made of the first of them."""

import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from serve.aftermath import write_report
from serve.night_report import Report
from serve.nightly import run_night
from serve.recipe import Recipe, load_recipe
from serve.snapshot import Snapshot
from store.workspace import Workspace

START = date(2025, 1, 1)
FIRST_DAYS, DAYS, CUSTOMERS = 30, 36, 300
OPEN_GATES = """\
night:
  gates:
    moved: 1
    field_drift: 100
    vector_drift: 2
    volume: 0
    unassigned: 1
    stability: 0
    unseen: 1
    absent: 1
"""
"""A small bank is no measure of what is usual: tests that are not about gates let everything pass."""


@dataclass(frozen=True)
class NightWorld:
    """A bank in `folder`/bank whose later days wait in `folder`/later, and the workspace `folder`/workspace."""

    folder: Path

    @property
    def recipe_file(self) -> Path:
        """The recipe with every gate open."""
        return self.folder / "bank" / "night.yaml"

    @property
    def recipe(self) -> Recipe:
        """The same, read."""
        return load_recipe(self.recipe_file)

    @property
    def root(self) -> Path:
        """The workspace's folder."""
        return self.folder / "workspace"

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return Workspace.open(self.root)

    def arrive(self, *numbers: int) -> date:
        """Let the events of some days arrive, counted from 0; returns the last of them."""
        for number in numbers:
            for path in sorted((self.folder / "later").glob(f"*/date={day(number)}")):
                path.rename(self.folder / "bank" / path.parent.name / path.name)
        return day(numbers[-1])

    def night(self, *numbers: int, accept: tuple[str, ...] = ()) -> Report:
        """The night after some days arrived."""
        return run_night(self.recipe, self.workspace, self.arrive(*numbers), accept=accept)

    def copy(self, to: Path) -> "NightWorld":
        """A copy to change."""
        # another worker may be reading the catalogue: what SQLite keeps beside it comes and goes
        shutil.copytree(self.folder, to, ignore=shutil.ignore_patterns("*.db-wal", "*.db-shm"))
        return NightWorld(to)


def day(number: int) -> date:
    """A day of the bank, counted from 0."""
    return START + timedelta(days=number)


def after(number: int) -> datetime:
    """The end of a day of the bank, UTC."""
    end = day(number + 1)
    return datetime(end.year, end.month, end.day, tzinfo=UTC)


def hide_later(folder: Path) -> None:
    """Move the days from FIRST_DAYS on out of the bank: they have not happened yet."""
    for number in range(FIRST_DAYS, DAYS):
        for path in sorted((folder / "bank").glob(f"*/date={day(number)}")):
            place = folder / "later" / path.parent.name / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)


def content(folder: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written_night(workspace: Workspace, as_of: str, snapshot: str, report: Report | None = None) -> Report:
    """The report of a night, written with its page."""
    made = report or Report("night", "published", as_of, f"{snapshot} is served.", snapshot, "s-before", "m", "m")
    write_report(made, workspace.nights / f"{as_of}-{snapshot}")
    return made


def largest_difference(one: Snapshot, other: Snapshot) -> float:
    """Between the vectors of two snapshots of the same customers."""
    assert one.embeddings.customers.equals(other.embeddings.customers)
    return float(np.abs(one.embeddings.vectors - other.embeddings.vectors).max())
