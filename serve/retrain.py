"""Training anew on the events that are served, and publishing the new space through the same gates.

The events are those of the served snapshot, none added: whatever is different afterwards is the model's doing, and the
report says so. What customers did is in the reports of the nights.
"""

from collections.abc import Collection
from pathlib import Path

import cluster.artifact
import cluster.run
import embed.artifact
import embed.run
import eventlog.sequences
import index.artifact
import index.run
import train.run
from configs.progress import SILENT, Progress
from eventlog.artifact import BEHAVIOUR_VERSION
from eventlog.compact import compact
from eventlog.drift import sketch
from eventlog.sequences import EventLog
from serve.aftermath import Made, Setting, Stopwatch, judged, leftover
from serve.catalogues import open_catalogue
from serve.night_facts import KIND, VERSION, load_facts, write_facts
from serve.night_gates import check_accepted
from serve.night_measure import Pair, retraining_facts
from serve.night_report import Report
from serve.nightly import Served, parts_at
from serve.pipeline import (
    ACTOR,
    Engine,
    behaviour_of,
    filler_of,
    index_of,
    recorded,
    segments_of,
    sweep_hidden,
    trainer_of,
)
from serve.recipe import Recipe
from serve.watch import Watch
from serve.webhook_config import secret_of
from serve.weeks import EventWeeks
from store.artifact import key_of, stands
from store.workspace import SNAPSHOT_VERSION, Workspace
from train.artifact import Model


def run_retraining(
    recipe: Recipe,
    workspace: Workspace,
    progress: Progress = SILENT,
    *,
    actor: str = ACTOR,
    accept: Collection[str] = (),
    engine: Engine = "local",
) -> Report:
    """Train the recipe's model on the served events, turn its space on to the served one, and publish what follows.

    `engine` trains and embeds; it changes no byte.
    Started again after a kill, it goes on where it stopped. Where a model of these settings and events is served
    already, nothing is done. Raises what `serve.nightly.run_night` does.
    """
    check_accepted(accept)
    if recipe.night.webhook is not None:
        secret_of(recipe.night.webhook)  # a missing one is told before the work, not after it
    with workspace.lock(), open_catalogue(workspace) as catalogue:
        catalogue.interrupt_runs()
        with recorded(catalogue, recipe, "retrain") as noted, Watch() as watch:
            around = Setting(recipe, workspace, catalogue, actor, watch, progress)
            leftover(around)
            served = Served.load(workspace)
            with around.watch("prepare"):
                log = plain(served.log, workspace, progress)
            with around.watch("train"):
                model = train.run.run(recipe.train, log, workspace, progress, served.model, trainer_of(engine))
            if model.key == served.model.key:
                return _nothing_new(served, around.watch)
            name = _made(around, served, log, model, engine)
            report = judged(Made(name, served.name, noted.run), around, accept)
            noted.notes = {"eventlog_key": log.key, "model_key": model.key, "snapshot": name}
            noted.notes["figures"] = {"status": report.status, "seconds": dict(report.timings)}
            return report


def plain(log: EventLog, workspace: Workspace, progress: Progress) -> EventLog:
    """The log as one without layers, its dictionaries ranked anew; itself where it has none."""
    if not log.layered:
        return log
    key = key_of(eventlog.sequences.KIND, eventlog.sequences.VERSION, "compact", log.key)
    return compact(log, workspace.eventlogs / key, key, progress)


def as_of(served: Served) -> str:
    """The day that the served events reach up to."""
    facts = load_facts(served.folder)
    return facts.as_of if facts else served.last.date().isoformat()


def _nothing_new(served: Served, watch: Stopwatch) -> Report:
    reason = f"A model of these settings and events is served already; {served.name} stays served."
    model, day = served.model.key, as_of(served)
    return Report("retrain", "nothing_new", day, reason, None, served.name, model, model, timings=watch.told())


def _made(around: Setting, served: Served, log: EventLog, model: Model, engine: Engine) -> str:
    """Make the snapshot of the new model, or find it; returns its name. It is not served yet."""
    recipe, workspace = around.recipe, around.workspace
    key = retraining_key(recipe, log, model, served)
    if not stands(workspace.snapshots / f"s-{key}", "snapshot", SNAPSHOT_VERSION, key):
        staged = workspace.staging / key
        _parts(around, served, log, model, staged, engine)
        with around.watch("measure"):
            facts = load_facts(served.folder)
            pair = Pair(served.parts, parts_at(staged, log))
            found = retraining_facts(pair, model, as_of(served), facts.volumes if facts else ())
            parents = {"eventlog": log.key, "snapshot": served.manifest.key}
            write_facts(found, sketch(log).to_json(), staged / "night", key_of(KIND, VERSION, key), parents)
        sweep_hidden(staged)
    with around.watch("seal"), around.progress.task("Sealing the snapshot", total=None):
        return workspace.finish(
            key,
            {"eventlog": log.key, "model": model.key, "snapshot": served.manifest.key},
            {"customers": log.n_customers, "events": log.n_events},
            {"audience": recipe.audience.model_dump(mode="json"), "night": {"as_of": as_of(served)}},
        )


def _parts(around: Setting, served: Served, log: EventLog, model: Model, folder: Path, engine: Engine) -> None:
    recipe, watch, progress, old = around.recipe, around.watch, around.progress, served.folder
    with watch("embed"):
        place = folder / "embeddings"
        vectors = embed.run.run(recipe.embed, model, log, place, progress, filler_of(engine, place))
    with watch("behaviour"):
        described = behaviour_of(log, folder / "behaviour", progress)
    with watch("index"):
        index.run.run(recipe.index, vectors, folder / "index", progress, index_of(old))
    with watch("segment"):
        weeks = EventWeeks(recipe.embed, model, log)
        cluster.run.run(recipe.segments, vectors, described, folder / "segments", progress, segments_of(old), weeks)


def retraining_key(recipe: Recipe, log: EventLog, model: Model, served: Served) -> str:
    """The key of the snapshot that a retraining makes: everything that its bytes depend on."""
    formats = [embed.artifact.VERSION, BEHAVIOUR_VERSION, index.artifact.VERSION, cluster.artifact.VERSION, VERSION]
    sections = recipe.model_dump(mode="json", include={"embed", "index", "audience", "segments"})
    return key_of("snapshot", SNAPSHOT_VERSION, "retrain", formats, sections, log.key, model.key, served.manifest.key)
