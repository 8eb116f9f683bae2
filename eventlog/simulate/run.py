"""`run` makes a bank: events of every day, the recipe that reads them and the truth that no stage reads."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.errors import ConflictError, InputError, storage_errors
from configs.progress import SILENT, Progress
from eventlog.simulate.chance import Floats
from eventlog.simulate.config import FUTURE, SimulateConfig
from eventlog.simulate.days import today
from eventlog.simulate.life import Population, population
from eventlog.simulate.sources import SOURCES, spend_of
from eventlog.simulate.truth import write_truth
from eventlog.simulate.write import recipe, write_day
from store.artifact import write_atomic

NOTE = "simulation.json"


@dataclass(frozen=True)
class SimulationSummary:
    """What a run wrote."""

    folder: Path
    recipe: Path
    days: int
    events: dict[str, int]
    """Source -> events written by this run."""
    customers: int
    """Who had joined by the last day written; those who left are counted."""
    churned: int | None
    """Of them left within the days; None where a single day was made."""
    life_events: int | None
    """Within the days; None where a single day was made."""

    @property
    def total(self) -> int:
        """All events written by this run."""
        return sum(self.events.values())


def run(config: SimulateConfig, out: Path, progress: Progress = SILENT) -> SimulationSummary:
    """Write the bank to `out`, day by day in bounded memory; started again after a kill, it ends with the same bytes.

    `out` may hold the same bank already: further days are added, days that stand are written again with the same
    bytes. With `config.day` only that day's files are written (and the recipe where it is missing), truth is not.

    Raises InputError where `out` is no folder, ConflictError where it holds something else, StorageError on a
    full disk.
    """
    with storage_errors(out):
        _claim(config, out)
        if config.day is not None:
            return _one_day(config, config.day, out, progress)
        # the days after the end are only spent, not written: that is the truth's future value
        people = population(config, config.days - 1 + FUTURE)
        events = dict.fromkeys(SOURCES, 0)
        with progress.task("Simulating days", total=config.days) as advance:
            for day in range(config.days):
                for source, count in write_day(config, people, day, out).items():
                    events[source] += count
                advance(1)
        counts = write_truth(config, people, _future(config, people, progress), out)
        _write_recipe(config, people, out)
    return SimulationSummary(
        out, out / "recipe.yaml", config.days, events, counts["customers"], counts["churned"], counts["life_events"]
    )


def _one_day(config: SimulateConfig, day: int, out: Path, progress: Progress) -> SimulationSummary:
    with progress.task("Simulating a day", total=1) as advance:
        people = population(config, day)
        events = write_day(config, people, day, out)
        _write_recipe(config, people, out)
        advance(1)
    return SimulationSummary(out, out / "recipe.yaml", 1, events, config.customers_by(day), None, None)


def _write_recipe(config: SimulateConfig, people: Population, out: Path) -> None:
    # one that stands may carry the user's own changes
    if not (out / "recipe.yaml").exists():
        write_atomic(out / "recipe.yaml", recipe(config, people))


def _future(config: SimulateConfig, people: Population, progress: Progress) -> Floats:
    """What everybody spends in the days after the end [n]: the very amounts that a longer run would write."""
    total = np.zeros(people.size())
    with progress.task("Looking ahead", total=FUTURE) as advance:
        for day in range(config.days, config.days + FUTURE):
            spent = spend_of(today(config, people, day))
            total[: spent.size] += spent
            advance(1)
    return total


def _claim(config: SimulateConfig, out: Path) -> None:
    """Take `out` for this bank: a new or empty folder, or one that holds the same bank with no more days."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give a folder for the simulated bank")
    bank = config.model_dump(mode="json", exclude={"days", "day"})
    note, days = out / NOTE, 0
    if note.exists():
        try:
            held = json.loads(note.read_text(encoding="utf-8"))
            same, days = held["bank"] == bank, int(held["days"])
        except (ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise ConflictError(f"{out}: holds a bank made with other settings or seed; choose an empty or new folder")
        if config.day is None and config.days < days:
            raise ConflictError(
                f"{out}: holds {days} days of this bank; ask for as many or more, or choose a new folder"
            )
    elif out.exists() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise ConflictError(f"{out}: is not empty and holds no simulated bank; choose an empty or new folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileNotFoundError, NotADirectoryError, FileExistsError):
        raise InputError(f"{out}: no folder can be made here; give one in an existing folder") from None
    if config.day is None:
        days = config.days
    write_atomic(note, json.dumps({"bank": bank, "days": days}, indent=1, sort_keys=True) + "\n")
