"""The night: yesterday's events to a published snapshot, or to a sentence why the one before stays served.

    served snapshot ─► its log ─► new events ─► log in layers ─► changed customers embedded ─► index, segments
                                                                                                    │
                          report, events, saved audiences, pruning ◄── pointer ◄── gates ◄── facts ◄┘

Everything up to the facts follows from the served snapshot, the recipe and the new events, and is found again by its
key: killed anywhere and started again, a night ends with the same bytes.
"""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import cluster.artifact
import cluster.run
import embed.artifact
import embed.refresh
import eventlog.night
import index.artifact
import index.run
from cluster.artifact import Segments, day_along_line
from cluster.registry import days_to_shadow
from configs.errors import ConflictError, InputError
from configs.progress import SILENT, Progress
from embed.artifact import Embeddings
from eventlog.artifact import BEHAVIOUR_KIND, BEHAVIOUR_VERSION
from eventlog.behaviour import Behaviour, load_behaviour, refreshed, write_refreshed
from eventlog.drift import Sketch, sketch
from eventlog.recode import recoded
from eventlog.sequences import SECOND, EventLog
from index.artifact import load_index
from serve.aftermath import Made, Setting, judged, leftover, write_report
from serve.beside import Check, checked_beside
from serve.catalogues import open_catalogue
from serve.night_facts import KIND, VERSION, load_facts, load_sketch, write_facts
from serve.night_files import quiet_until
from serve.night_gates import check_accepted
from serve.night_measure import Pair, Parts, night_facts
from serve.night_report import Report
from serve.pipeline import ACTOR, recorded, segments_of, sweep_hidden
from serve.recipe import Recipe
from serve.watch import Watch
from serve.webhook_config import secret_of
from serve.weeks import EventWeeks
from store.artifact import Manifest, key_of, stands
from store.erasures import Erasures
from store.threads import set_threads
from store.workspace import SNAPSHOT_VERSION, Workspace
from train.artifact import Model


@dataclass(frozen=True, eq=False)
class Served:
    """The snapshot that a night goes on from."""

    name: str
    folder: Path
    manifest: Manifest
    log: EventLog
    model: Model

    @classmethod
    def load(cls, workspace: Workspace, *, deep: bool = True) -> "Served":
        """Open what is served; not `deep`: its own bytes are left to `checked_beside`.

        Raises NotFoundError where nothing is, ArtifactError where it or a parent is damaged.
        """
        folder = workspace.snapshot_folder()
        manifest = workspace.verify_snapshot(folder.name, deep=deep)
        log = EventLog.load(workspace.eventlogs / manifest.parents["eventlog"])
        return cls(folder.name, folder, manifest, log, Model.load(workspace.models / manifest.parents["model"]))

    @property
    def last(self) -> datetime:
        """When its last event happened, UTC."""
        return datetime.fromtimestamp(self.log.end / SECOND, UTC)

    @cached_property
    def parts(self) -> Parts:
        """What it is made of."""
        return parts_at(self.folder, self.log)


def days_of(recipe: Recipe, workspace: Workspace, as_of: date) -> list[date]:
    """The nights that one up to `as_of` is made of: itself, and before it each day since the last on which new segments
    are looked for, so that what becomes of segments does not hang on how often there were nights.

    Raises NotFoundError where nothing is served yet, InputError for a day that is still to come.
    """
    _check_clock(as_of, datetime.now(UTC))
    folder = workspace.snapshot_folder()
    if (line := day_along_line(folder / "segments")) is None:
        return [as_of]
    log = workspace.eventlogs / workspace.manifest(folder.name).parents["eventlog"]
    last = _last_day(folder, EventLog.load(log, deep=False))
    day, every = last + timedelta(days=days_to_shadow(line, recipe.segments)), recipe.segments.shadow_every
    begin = max(day.isoformat(), quiet_until(workspace, folder.name) or "")
    looks = []
    while day < as_of:
        looks.append(day)
        day += timedelta(days=every)
    return [*(look for look in looks if look.isoformat() >= begin), as_of]


def run_night(
    recipe: Recipe,
    workspace: Workspace,
    as_of: date,
    progress: Progress = SILENT,
    *,
    actor: str = ACTOR,
    accept: Collection[str] = (),
    now: datetime | None = None,
) -> Report:
    """Take the events up to the end of the day `as_of` (UTC), and publish what comes of them if every gate passes.

    Gates in `accept` may fail. Raises BusyError where another job holds the workspace, NotFoundError where nothing is
    served yet, InputError and DataError where day, recipe or events cannot be used, ArtifactError, StorageError;
    whatever is raised, the snapshot that was served stays so.
    """
    check_accepted(accept)
    if recipe.night.webhook is not None:
        secret_of(recipe.night.webhook)  # a missing one is told before the work, not after it
    clock = now or datetime.now(UTC)
    _check_clock(as_of, clock)
    until = datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC) + timedelta(days=1)
    with workspace.lock(), open_catalogue(workspace) as catalogue:
        catalogue.interrupt_runs()
        with recorded(catalogue, recipe, "nightly") as noted, Watch() as watch:
            around = Setting(recipe, workspace, catalogue, actor, watch, progress)
            left = leftover(around)
            if left is not None and left.as_of == as_of.isoformat():
                return left
            served = Served.load(workspace, deep=False)
            _check_day(served, until)
            with checked_beside(served.folder, served.manifest) as check:
                with around.watch("prepare"):
                    mask = Erasures(catalogue).mask
                    grown = eventlog.night.run(
                        recipe.eventlog, served.log, workspace, until, progress, erased=mask, now=clock
                    )
                if grown.log.key == served.log.key:
                    return _nothing_new(served, as_of, around)
                name, sealed = _Night(around, served, as_of, check).made(grown)
            report = judged(Made(name, served.name, noted.run, sealed), around, accept)
            noted.notes = {"eventlog_key": grown.log.key, "model_key": served.model.key, "snapshot": name}
            noted.notes["figures"] = {"status": report.status, "seconds": dict(report.timings)}
            return report


def _check_clock(as_of: date, clock: datetime) -> None:
    if as_of > clock.date():
        raise InputError(
            f"--as-of {as_of}: by this machine's clock ({clock:%Y-%m-%d %H:%M} UTC) that day is still to come; "
            "name a day that has begun, or set the clock right"
        )


def _last_day(folder: Path, log: EventLog) -> date:
    """The day up to which a snapshot's events were taken."""
    facts = load_facts(folder)
    return date.fromisoformat(facts.as_of) if facts else datetime.fromtimestamp(log.end / SECOND, UTC).date()


def _check_day(served: Served, until: datetime) -> None:
    """Refuse a day before what is served: events are never taken back."""
    last = served.last
    if until <= last:
        raise ConflictError(
            f"{served.name}, which is served, holds events up to {last:%Y-%m-%d %H:%M} UTC, later than the day asked "
            f"for; name {last:%Y-%m-%d} or a later day, or go back with `kinfolk rollback`"
        )


def _nothing_new(served: Served, as_of: date, around: Setting) -> Report:
    """The report of a night without events: written where the day is a new one, so that it is not missed later."""
    reason = f"No new events up to the end of {as_of}; {served.name} stays served."
    model, day = served.model.key, as_of.isoformat()
    timings = around.watch.told()
    report = Report("night", "nothing_new", day, reason, None, served.name, model, model, timings=timings)
    if as_of > _last_day(served.folder, served.log):
        write_report(report, around.workspace.nights / f"{day}-{served.name}")
    return report


class _Night:
    """The making of one snapshot; the workspace's lock is held."""

    def __init__(self, around: Setting, served: Served, as_of: date, check: Check) -> None:
        self.check = check
        self.recipe, self.workspace, self.watch = around.recipe, around.workspace, around.watch
        self.progress, self.served, self.as_of = around.progress, served, as_of
        self.quiet = quiet_until(around.workspace, served.name)

    def made(self, grown: eventlog.night.Grown) -> tuple[str, bool]:
        """Make the snapshot of a log that has grown, or find it; returns its name, and whether it was sealed now.

        It is not served yet.
        """
        key = night_key(self.recipe, grown.log, self.served, self.quiet)
        there = stands(self.workspace.snapshots / f"s-{key}", "snapshot", SNAPSHOT_VERSION, key)
        if not there:
            staged = self.workspace.staging / key
            self.check.guard(staged)
            parts = self._parts(grown, staged)
            with self.watch("measure"):
                self._measured(parts, grown, staged / "night", key)
            with self.watch("check"):
                self.check.passed()
            sweep_hidden(staged)
        with self.watch("seal"), self.progress.task("Sealing the snapshot", total=None):
            name = self.workspace.finish(
                key,
                {"eventlog": grown.log.key, "model": self.served.model.key, "snapshot": self.served.manifest.key},
                {"customers": grown.log.n_customers, "events": grown.log.n_events},
                {"audience": self.recipe.audience.model_dump(mode="json"), "night": {"as_of": self.as_of.isoformat()}},
            )
        return name, not there

    def _parts(self, grown: eventlog.night.Grown, folder: Path) -> Parts:
        recipe, model, old = self.recipe, self.served.model, self.served.folder
        before = self.served.parts
        with self.watch("embed"):
            vectors = embed.refresh.run(
                recipe.embed, model, grown.log, before.embeddings, folder / "embeddings", self.progress
            )
        # neither needs the other, and neither keeps two cores busy all the time
        with ThreadPoolExecutor(1, "index") as beside:
            indexed = beside.submit(self._index, vectors, folder / "index")
            with self.watch("behaviour"), self.progress.task("Describing behaviour", total=None):
                described = _behaviour(grown, model, before, vectors, folder / "behaviour")
            with self.watch("segment"):
                weeks = EventWeeks(recipe.embed, model, grown.log)
                place, before_it = folder / "segments", segments_of(old)
                days = max((self.as_of - _last_day(old, self.served.log)).days, 0)
                cluster.run.run(recipe.segments, vectors, described, place, self.progress, before_it, weeks, days)
            indexed.result()
        return parts_at(folder, grown.log)

    def _index(self, vectors: Embeddings, folder: Path) -> None:
        set_threads()  # each thread of a process has its own number
        with self.watch("index"):
            index.run.run(self.recipe.index, vectors, folder, self.progress, self.served.parts.index)

    def _measured(self, parts: Parts, grown: eventlog.night.Grown, folder: Path, key: str) -> None:
        """Measure the parts and write what is found as one more."""
        before = load_facts(self.served.folder)
        looked = self._sketch()
        facts = night_facts(
            Pair(self.served.parts, parts),
            grown,
            self.served.model,
            looked,
            self.as_of,
            _days(before.as_of if before else None, self.as_of, self.quiet),
            before.volumes if before else (),
        )
        parents = {"eventlog": grown.log.key, "snapshot": self.served.manifest.key}
        write_facts(facts, looked.to_json(), folder, key_of(KIND, VERSION, key), parents)

    def _sketch(self) -> Sketch:
        """What the events of the model's training looked like: carried from night to night, read from its log once."""
        carried = load_sketch(self.served.folder)
        if carried is not None:
            return Sketch.from_json(carried)
        return sketch(recoded(self.served.log, self.served.model.schema))


def _days(before: str | None, as_of: date, quiet: str | None) -> int:
    """Days that a night's events are of, those without `quiet` ones; a first night is taken for one."""
    return 1 if before is None else max((as_of - date.fromisoformat(max(before, quiet or before))).days, 1)


def night_key(recipe: Recipe, log: EventLog, served: Served, quiet: str | None = None) -> str:
    """The key of the snapshot that a night makes: everything that its bytes depend on. Limits are no part of it.

    `quiet` is the last day without events since the served one, if there was any.
    """
    formats = [embed.artifact.VERSION, BEHAVIOUR_VERSION, index.artifact.VERSION, cluster.artifact.VERSION, VERSION]
    sections = recipe.model_dump(mode="json", include={"embed", "index", "audience", "segments"})
    made_of = [formats, sections, log.key, served.model.key, served.manifest.key, *([quiet] if quiet else [])]
    return key_of("snapshot", SNAPSHOT_VERSION, "night", *made_of)


def parts_at(folder: Path, log: EventLog) -> Parts:
    """The parts of a snapshot of a log, finished or staged."""
    embeddings = Embeddings.load(folder / "embeddings", deep=False)
    return Parts(
        log,
        embeddings,
        load_behaviour(folder / "behaviour", deep=False),
        load_index(folder / "index", embeddings, deep=False),
        Segments.load(folder / "segments", deep=False),
    )


def _behaviour(
    grown: eventlog.night.Grown, model: Model, before: Parts, vectors: Embeddings, folder: Path
) -> Behaviour:
    """Behaviour of everybody, in the terms of the model's dictionaries, read anew of those with new events alone."""
    # the same numbers lie in other layers on top of other files
    made_of = [grown.log.key, "as known to", model.key, before.behaviour.digest]
    key = key_of(BEHAVIOUR_KIND, BEHAVIOUR_VERSION, *made_of)
    if not stands(folder, BEHAVIOUR_KIND, BEHAVIOUR_VERSION, key):
        rows = before.embeddings.rows_of(vectors.customers)
        described = refreshed(recoded(grown.log, model.schema), before.behaviour, rows, grown.changed)
        write_refreshed(described, key, folder, {"eventlog": grown.log.key, "model": model.key})
    return load_behaviour(folder, deep=False)
