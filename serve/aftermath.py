"""What follows once a night's snapshot stands: judge it, serve it or hold it, and tell everybody.

Every step finds its own work again, so that a night that was killed after the pointer moved is brought to its end by
the next one (`leftover`). What goes wrong once the snapshot is served is a warning: the night is done.
"""

import json
import time
import traceback
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from configs.errors import ArtifactError, KinfolkError, storage_errors
from configs.progress import Progress
from eventlog.sequences import EventLog
from serve.editions import refresh
from serve.moves import Comparison
from serve.night_changes import Changes, news
from serve.night_changes import described as with_habits
from serve.night_events import Cause, write_events
from serve.night_facts import Facts, load_facts
from serve.night_files import ASIDE, DELIVERY, EVENTS, PAGE, REPORT
from serve.night_gates import failed, gates_of
from serve.night_gates import told as told_gate
from serve.night_page import write_page
from serve.night_report import Report
from serve.night_segments import compared, flows, happened, segments_then
from serve.objections import objecting
from serve.recipe import Recipe
from serve.retention import prune
from serve.saved import saved_names
from serve.snapshot import Snapshot
from serve.webhook import deliver, wanted
from serve.webhook_aside import counted_aside, put_aside, told_aside
from store.artifact import read_manifest, write_atomic
from store.catalogue import Catalogue
from store.history import serve
from store.objections import Objections
from store.workspace import Workspace


class Stopwatch(Protocol):
    """Times stages, see `serve.watch.Watch`."""

    def __call__(self, stage: str) -> AbstractContextManager[None]:
        """Time one stage."""
        ...

    def told(self) -> dict[str, float]:
        """Seconds by stage so far."""
        ...


@dataclass(frozen=True, eq=False)
class Setting:
    """Everything around a night that its last steps need."""

    recipe: Recipe
    workspace: Workspace
    catalogue: Catalogue
    actor: str
    watch: Stopwatch
    progress: Progress


@dataclass(frozen=True)
class Made:
    """A snapshot that is finished, and the one that it goes on from."""

    name: str
    previous: str
    run: int | None = None
    sealed_now: bool = False
    """Whether this process has just read every byte of it."""


def judged(made: Made, around: Setting, accept: Collection[str]) -> Report:
    """Put a snapshot before its gates; serve it, or hold it with a report that says why. Audited."""
    comparison = compared(around.workspace, around.catalogue, made.previous, made.name)
    report = described(made, comparison, around, accept)
    if faults := failed(report.gates):
        reason = f"{made.name} is held, and {made.previous} stays served: {'; '.join(map(told_gate, faults))}."
        figures = {gate.name: gate.figure for gate in faults}
        around.catalogue.audit(around.actor, "night.held", made.name, {"gates": figures})
        report = replace(report, status="held", reason=reason, timings=around.watch.told())
        write_report(report, folder_of(around.workspace, report))
        return report
    if overruled := {gate.name: gate.figure for gate in report.gates if not gate.met}:
        around.catalogue.audit(around.actor, "night.accept", made.name, {"gates": overruled})
    with around.watch("publish"), around.progress.task("Publishing", total=None):
        deep = not made.sealed_now
        serve(around.workspace, around.catalogue, made.name, actor=around.actor, run_id=made.run, deep=deep)
    return finished(report, comparison, around)


def leftover(around: Setting) -> Report | None:
    """Bring a night to its end that was killed after its snapshot was served; None where none was."""
    name = around.workspace.current()
    facts = None if name is None else load_facts(around.workspace.snapshot_folder(name))
    if name is None or facts is None or _is_told(around.workspace, facts, name):
        return None
    previous = f"s-{around.workspace.manifest(name).parents['snapshot']}"
    comparison = compared(around.workspace, around.catalogue, previous, name)
    # whoever served it accepted what it failed
    gates = gates_of(facts.kind, around.recipe.night.gates, facts.figures, ())
    report = described(Made(name, previous), comparison, around, [gate.name for gate in gates if not gate.met])
    return finished(report, comparison, around)


def described(made: Made, comparison: Comparison, around: Setting, accept: Collection[str]) -> Report:
    """The report of a snapshot as far as it follows from what stands; its status is yet to be decided."""
    folders = [around.workspace.snapshot_folder(name) for name in (made.previous, made.name)]
    models = [read_manifest(folder).parents["model"] for folder in folders]
    facts = load_facts(folders[1])
    if facts is None:
        raise ArtifactError(f"{folders[1]}: holds no facts of a night; remove the folder and run the command again")
    return Report(
        kind=facts.kind,
        status="held",
        as_of=facts.as_of,
        reason="",
        snapshot=made.name,
        previous=made.previous,
        model=models[1],
        previous_model=models[0],
        sources=facts.sources,
        events=facts.events,
        customers=facts.customers,
        gates=tuple(gates_of(facts.kind, around.recipe.night.gates, facts.figures, accept)),
        drift=facts.drift,
        vectors=facts.vectors,
        segments=segments_then(comparison),
        flows=flows(comparison),
        happened=happened(comparison),
        model_change=facts.model_change,
    )


def finished(report: Report, comparison: Comparison, around: Setting) -> Report:
    """Do what is left once a snapshot is served: events, saved audiences, pruning; the report comes last."""
    folder, warnings = folder_of(around.workspace, report), []
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    alerts: dict[str, int] = {}

    def tell() -> list[str]:
        cause: Cause = "model" if report.kind == "retrain" else "customer"
        options: dict[str, Any] = {"shift_z": around.recipe.night.shift_z, "cause": cause}
        weeks = changed_weeks(report, comparison, around)
        told = write_events(comparison, report.as_of, folder / EVENTS, weeks=weeks, **options)
        alerts.update(told)
        return []

    pruned: list[str] = []

    def clear() -> list[str]:
        pruned.extend(prune(around.workspace, around.catalogue, around.recipe.night.keep, around.actor))
        return []

    steps: list[tuple[str, str, Callable[[], list[str]]]] = [
        ("events", "Telling who moved", tell),
        ("audiences", "Refreshing saved audiences", lambda: refreshed_audiences(around)),
        ("webhook", "Delivering events", lambda: delivered(around, folder)),
        ("prune", "Removing old snapshots", clear),
    ]
    for stage, words, step in steps:
        with around.watch(stage), around.progress.task(words, total=None):
            warnings += _tried(stage, step)
    report = replace(report, status="published", reason=f"{report.snapshot} is served.", alerts=alerts)
    report = replace(report, pruned=tuple(pruned), warnings=tuple(warnings), timings=around.watch.told())
    write_report(report, folder)
    return report


def changed_weeks(report: Report, comparison: Comparison, around: Setting) -> Changes | None:
    """Who has lived differently for four weeks and is news, where a week has ended since the night before."""
    found = None if report.kind == "retrain" else news(comparison)
    if found is None:
        return None
    log = EventLog.load(
        around.workspace.eventlogs / read_manifest(comparison.later.folder).parents["eventlog"], deep=False
    )
    return with_habits(found, log, comparison.later.segments.manifest.figures.get("set_aside", ()))


def _tried(stage: str, step: Callable[[], list[str]]) -> list[str]:
    try:
        return step()
    except KinfolkError as error:
        return [f"{stage}: {error}"]
    except Exception as error:
        # its text may hold an id or a secret
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return [f"{stage}: not done, by a fault of kinfolk ({type(error).__name__} at {where}); tell us"]


def refreshed_audiences(around: Setting) -> list[str]:
    """A new edition of every saved audience; returns what went wrong, a sentence for each that could not be made."""
    names, told = saved_names(around.workspace), []
    if not names:
        return []
    snapshot = Snapshot.load(around.workspace, deep=False)
    for name in names:
        try:
            refresh(name, snapshot, around.workspace, around.catalogue, around.actor)
        except KinfolkError as error:
            told.append(f"saved audience {name}: {error}")
    return told


def delivered(around: Setting, folder: Path) -> list[str]:
    """Send the events of the night in `folder`, and what earlier ones could not, oldest first; returns why it fails.

    Nights from before there was a webhook, whose delivery never began, stay unsent.
    """
    config, workspace = around.recipe.night.webhook, around.workspace
    if config is None:
        return []
    if (folder / EVENTS).exists():
        wanted(folder / EVENTS, folder / DELIVERY)
    objected = objecting(Objections(around.catalogue))
    begun = time.monotonic()
    for events in sorted(workspace.nights.glob(f"[!.]*/{EVENTS}")):
        left = config.budget_seconds - (time.monotonic() - begun)
        state = events.with_name(DELIVERY)
        if events.parent != folder and not state.exists():
            continue
        before, aside = counted_aside(events.parent), partial(put_aside, events.with_name(ASIDE))
        found = deliver(events, config, state, around.progress, objected=objected, budget=max(left, 0.0), aside=aside)
        if refused := counted_aside(events.parent) - before:
            around.catalogue.audit(around.actor, "webhook.set_aside", events.parent.name, {"events": refused})
        if not found.done:
            return [f"webhook: {found.reason}", *told_aside(workspace)]
    return told_aside(workspace)


def folder_of(workspace: Workspace, report: Report) -> Path:
    """Where the report of a night is."""
    return workspace.nights / f"{report.as_of}-{report.snapshot}"


def write_report(report: Report, folder: Path) -> None:
    """Write the page and then the report, which says that the night is told."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_page(report, folder / PAGE)
        write_atomic(folder / REPORT, json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n")


def _is_told(workspace: Workspace, facts: Facts, name: str) -> bool:
    path = workspace.nights / f"{facts.as_of}-{name}" / REPORT
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["status"] == "published")
    except (OSError, ValueError, KeyError):
        return False
