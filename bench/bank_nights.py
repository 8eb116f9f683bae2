"""A simulated bank night after night, as kinfolk sees it: vectors, behaviours and true personas of each night, on disk.

The model is trained once on the first days; after that each night refreshes the vectors with the day's events, as a
bank does. Everything is kept in a folder and made once, so that ways to segment can be compared on it again and again.

    HOME/bank               the simulated bank, its truth included
    HOME/workspace          the prepared log, the model, the embeddings of the last night made
    HOME/nights/NN          ids.npy int64 [n], vectors.npy float32 [n, d], behaviour/, changed.npy (rows), truth.npy
                            (int16 [n], the persona of that day, -1 for who has left the bank)
    HOME/nights/facts.json  what was asked for

The log is prepared once with all its days and cut at midnight, so that the dictionaries of categories are those of the
whole time; what a model learns and what a vector holds comes from before the cut alone.
"""

import json
import shutil
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

import embed.refresh
import embed.run
import eventlog.run
import train.run
from bench.retrain import until
from configs.errors import ConflictError
from embed.artifact import Embeddings
from embed.config import EmbedConfig
from eventlog.behaviour import Behaviour, behaviour, load_behaviour, write_behaviour
from eventlog.sequences import DAY, EventLog
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.personas import NAMES
from eventlog.simulate.run import run as simulate
from eventlog.simulate.truth import personas_at
from serve.recipe import load_recipe
from serve.weeks import EventWeeks
from store.artifact import write_atomic
from store.workspace import Workspace
from train.artifact import Model

Ints = npt.NDArray[np.int64]
FACTS = "facts.json"


@dataclass(frozen=True, eq=False)
class Night:
    """What a segmenter is given of one night; row i is the same customer everywhere."""

    ids: Ints
    """int64 [n], ascending."""
    vectors: npt.NDArray[np.float32]
    """[n, d], of unit length."""
    behaviour: Behaviour
    """[n, f]"""
    changed: Ints
    """Rows whose vector is new or other than the night before; on the first night all."""
    weeks: EventWeeks
    """What whole weeks tell."""


@dataclass(frozen=True)
class BankNights:
    """Nights on disk; night 0 is the one of the first fit."""

    home: Path
    first: int
    """The last day, counted from 0, whose events are in night 0."""
    nights: int
    """How many nights follow night 0."""

    def folder(self, number: int) -> Path:
        """Where a night lies."""
        return self.home / "nights" / f"{number:02d}"

    def night(self, number: int) -> Night:
        """One night, its arrays mapped from disk."""
        arrays = {name: np.load(self.folder(number) / f"{name}.npy") for name in ("ids", "vectors", "changed")}
        log, model, midnight = self.made
        cut = log_until(log, midnight + number * DAY, self.first + 1 + number)
        behaviour = load_behaviour(self.folder(number) / "behaviour")
        return Night(behaviour=behaviour, weeks=EventWeeks(EmbedConfig(), model, cut), **arrays)

    @cached_property
    def made(self) -> tuple[EventLog, Model, int]:
        """The log with all days, the model, and the first midnight after the days that the model saw."""
        recipe, workspace = load_recipe(self.home / "bank" / "bench.yaml"), Workspace.create(self.home / "workspace")
        log = eventlog.run.run(recipe.eventlog, workspace)
        start = date.fromisoformat(json.loads((self.home / "nights" / FACTS).read_text(encoding="utf-8"))["start"])
        midnight = (start - date(1970, 1, 1)).days * DAY + (self.first + 1) * DAY
        return log, train.run.run(recipe.train, log_until(log, midnight, self.first + 1), workspace), midnight

    def personas(self, number: int) -> npt.NDArray[np.int16]:
        """The code of every customer's persona on that day, -1 for who has left; int16 [n]."""
        return np.asarray(np.load(self.folder(number) / "truth.npy"))

    def changes(self) -> pl.DataFrame:
        """True changes of persona: customer_id, night (the first with events of that day; before it <= 0), from, to."""
        told = pl.read_parquet(self.home / "bank" / "truth" / "life_events.parquet", hive_partitioning=False)
        start = json.loads((self.home / "nights" / FACTS).read_text(encoding="utf-8"))["start"]
        day = (pl.col("date") - pl.lit(start).str.to_date()).dt.total_days()
        names = {name: code for code, name in enumerate(NAMES)}
        codes = {to: pl.col(f"{to}_persona").cast(pl.String).replace_strict(names) for to in ("from", "to")}
        return (
            told.select("customer_id", (day - self.first).alias("night"), **codes)
            .filter(pl.col("from") != pl.col("to"))
            .sort("night", "customer_id")
        )


def bank_nights(home: Path, customers: int, days: int, nights: int, seed: int, sections: str = "") -> BankNights:
    """The nights at `home`, made where they are missing: trained on `days` days, `nights` nights after them.

    `sections` are added to the recipe.
    """
    made = BankNights(home, days - 1, nights)
    config = SimulateConfig.checked(customers=customers, days=days + nights, seed=seed)
    facts = {"start": config.start.isoformat(), "customers": customers, "days": days, "nights": nights, "seed": seed}
    facts |= {"sections": sections} if sections else {}
    note = home / "nights" / FACTS
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")) != facts:
        raise ConflictError(f"{home}: holds other nights ({note.read_text(encoding='utf-8')}); choose another folder")
    if made.folder(nights).is_dir():
        return made
    summary = simulate(config, home / "bank")
    note.parent.mkdir(exist_ok=True)
    write_atomic(note, json.dumps(facts))
    recipe_file = home / "bank" / "bench.yaml"
    recipe_file.write_text(summary.recipe.read_text(encoding="utf-8") + sections, encoding="utf-8")
    recipe = load_recipe(recipe_file)
    log, model, midnight = made.made
    places = [home / "workspace" / f"night-{number:02d}" for number in range(nights + 1)]
    # a run that was stopped goes on from the last night whose states are still there
    begin = max((n for n, place in enumerate(places) if place.is_dir() and made.folder(n).is_dir()), default=0)
    held: Embeddings | None = None
    for number in range(begin, nights + 1):
        cut = log_until(log, midnight + number * DAY, days + number)
        if number == 0:
            new = embed.run.run(recipe.embed, model, cut, places[0])
        elif held is None:
            new = Embeddings.load(places[number], deep=False)
        else:
            new = embed.refresh.run(recipe.embed, model, cut, held, places[number])
        if not made.folder(number).is_dir():
            day = config.start + timedelta(days=days - 1 + number)
            _keep(made, number, cut, new, personas_at(home / "bank" / "truth", day))
        if number > 1 and places[number - 1].is_dir():
            shutil.rmtree(places[number - 1])
        held = new
        print(json.dumps({"night": number, "customers": held.n_customers, **held.manifest.figures}), flush=True)
    return made


def log_until(log: EventLog, time: int, days: int) -> EventLog:
    """The log as it was before a time, known by how many days it holds."""
    return replace(until(log, time), key=f"{log.key}-{days}")


def _keep(
    made: BankNights,
    number: int,
    log: EventLog,
    held: Embeddings,
    personas: pl.DataFrame,
) -> None:
    """Write a night: into a folder beside it, renamed when it is whole."""
    scratch = made.home / "nights" / f".{number:02d}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    ids = held.customers.to_numpy().astype(np.int64)
    changed = np.arange(len(ids))
    if number:
        was_ids = np.load(made.folder(number - 1) / "ids.npy")
        was = np.load(made.folder(number - 1) / "vectors.npy", mmap_mode="r")
        at = np.minimum(np.searchsorted(was_ids, ids), len(was_ids) - 1)
        same = (was_ids[at] == ids) & (np.asarray(was)[at] == held.vectors).all(axis=1)
        changed = np.flatnonzero(~same)
    codes = {name: code for code, name in enumerate(NAMES)}
    told = personas.with_columns(code=pl.col("persona").cast(pl.String).replace_strict(codes))
    truth = (
        held.customers.rename("customer_id")
        .to_frame()
        .join(told, on="customer_id", how="left", maintain_order="left")["code"]
    )
    np.save(scratch / "ids.npy", ids)
    np.save(scratch / "vectors.npy", np.ascontiguousarray(held.vectors))
    np.save(scratch / "changed.npy", changed)
    np.save(scratch / "truth.npy", truth.fill_null(-1).to_numpy().astype(np.int16))
    write_behaviour(behaviour(log), log.key, scratch / "behaviour", {"eventlog": log.key})
    scratch.rename(made.folder(number))
