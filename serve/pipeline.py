"""The whole line: check, prepare, train, embed, index, segment, publish.

Every stage is keyed by what goes into it and finds its own finished work again, so that a line that was killed at any
point, started again, goes on where it stopped and ends with the same bytes.
"""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cluster.artifact
import cluster.run
import embed.artifact
import embed.ray_engine
import embed.run
import eventlog.ray_engine
import eventlog.run
import index.artifact
import index.run
import train.ray_engine
import train.run
from cluster.artifact import Segments
from configs.errors import ArtifactError, KinfolkError
from configs.progress import SILENT, Progress
from embed.artifact import Embeddings
from eventlog.artifact import BEHAVIOUR_KIND, BEHAVIOUR_VERSION
from eventlog.behaviour import Behaviour, behaviour, load_behaviour, write_behaviour
from eventlog.sequences import EventLog
from index.artifact import load_index
from index.search import SearchIndex
from serve.catalogues import open_catalogue
from serve.recipe import Recipe
from serve.weeks import EventWeeks
from store.artifact import Manifest, key_of, stands
from store.catalogue import Catalogue
from store.erasures import Erasures
from store.history import publish
from store.records import RunStatus
from store.workspace import SNAPSHOT_VERSION, Workspace
from train.artifact import Model

ACTOR = "cli"
Engine = Literal["local", "ray"]


@dataclass(frozen=True)
class PublishedLine:
    """What a line made; `Snapshot.load(workspace, line.snapshot)` opens the rest."""

    snapshot: str
    """Name of the published snapshot."""
    previous: str | None
    """Name of the snapshot served before; None where there was none."""
    log: EventLog
    model: Model
    manifest: Manifest
    """The snapshot's manifest: parents, counts, figures."""
    seconds: Mapping[str, float]
    """Wall-clock seconds of every stage in this run; a stage whose work was there already took next to none."""


def run_line(
    recipe: Recipe,
    workspace: Workspace,
    progress: Progress = SILENT,
    actor: str = ACTOR,
    engine: Engine = "local",
) -> PublishedLine:
    """Run the whole line of `recipe` and serve what it made; `engine` changes no byte of it.

    Raises ConflictError where another job holds the workspace, and what the stages raise: DataError, ArtifactError,
    StorageError. Whatever happens, the snapshot that was served before stays served until the new one is complete.
    """
    with workspace.lock(), open_catalogue(workspace) as catalogue:
        catalogue.interrupt_runs()
        with recorded(catalogue, recipe) as noted:
            line = _Line(recipe, workspace, progress, Erasures(catalogue), engine)
            log, model, key, before = line.made()
            parents = {"eventlog": log.key, "model": model.key} | ({"snapshot": before} if before else {})
            with line.timed("publish"), progress.task("Publishing", total=None):
                publication = publish(
                    workspace,
                    catalogue,
                    key,
                    parents=parents,
                    counts={"customers": log.n_customers, "events": log.n_events},
                    figures={"audience": recipe.audience.model_dump(mode="json")},
                    actor=actor,
                    run_id=noted.run,
                )
            name = publication.snapshot
            noted.notes = {"eventlog_key": log.key, "model_key": model.key, "snapshot": name}
            noted.notes["figures"] = {"seconds": {stage: round(took, 3) for stage, took in line.seconds.items()}}
            return PublishedLine(name, publication.previous, log, model, workspace.manifest(name), line.seconds)


@dataclass
class NotedRun:
    """A run as the catalogue knows it, and what to note at its end."""

    run: int
    notes: dict[str, Any] = field(default_factory=dict)


@contextmanager
def recorded(catalogue: Catalogue, recipe: Recipe, command: str = "run") -> Iterator[NotedRun]:
    """Note a run of a command in the catalogue, however it ends."""
    run = NotedRun(catalogue.record_run(command, recipe_hash=recipe.fingerprint()).id)
    try:
        yield run
    except BaseException as error:
        with suppress(KinfolkError):  # a full disk takes no note either; the error itself is what matters
            status: RunStatus = "failed" if isinstance(error, Exception) else "interrupted"
            catalogue.finish_run(run.run, status, figures={"error": type(error).__name__})
        raise
    catalogue.finish_run(run.run, "succeeded", **run.notes)


class _Line:
    """One run over a workspace whose lock is held."""

    def __init__(
        self, recipe: Recipe, workspace: Workspace, progress: Progress, erasures: Erasures, engine: Engine
    ) -> None:
        self.recipe, self.workspace, self.progress = recipe, workspace, progress
        self.erasures, self.engine = erasures, engine
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Time one stage."""
        started = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - started

    def made(self) -> tuple[EventLog, Model, str, str | None]:
        """Make what is not there yet, up to the parts of the snapshot; returns the keys of that and the one before."""
        with self.timed("prepare"):
            log = self.log()
        with self.timed("train"):
            trainer, served = trainer_of(self.engine), served_model(self.workspace)
            model = train.run.run(self.recipe.train, log, self.workspace, self.progress, served, trainer)
        before = self.before(log, model)
        key = snapshot_key(self.recipe, log, model, before)
        if not stands(self.workspace.snapshots / f"s-{key}", "snapshot", SNAPSHOT_VERSION, key):
            self.parts(log, model, before, self.workspace.staging / key)
            sweep_hidden(self.workspace.staging / key)
        return log, model, key, before

    def log(self) -> EventLog:
        """The prepared log."""
        config = self.recipe.eventlog
        if self.engine == "local":
            return eventlog.run.run(config, self.workspace, self.progress, erased=self.erasures.mask)
        erased = self.erasures.now()
        reader = eventlog.ray_engine.over_ray(erased.key)
        return eventlog.run.run(config, self.workspace, self.progress, erased=erased, engine=reader)

    def before(self, log: EventLog, model: Model) -> str | None:
        """The key of the snapshot that this one goes on from: the served one, or what that went on from where it is
        the very one that is to be made."""
        name = self.workspace.current()
        if name is None:
            return None
        served = self.workspace.manifest(name)
        again = served.parents.get("snapshot")
        return again if snapshot_key(self.recipe, log, model, again) == served.key else served.key

    def parts(self, log: EventLog, model: Model, before: str | None, folder: Path) -> None:
        """Make the parts of a snapshot in `folder`, each a finished artifact, going on from those of `before`."""
        old = None if before is None else self.workspace.snapshots / f"s-{before}"
        with self.timed("embed"):
            place = folder / "embeddings"
            embeddings = embed.run.run(
                self.recipe.embed, model, log, place, self.progress, filler_of(self.engine, place)
            )
        with self.timed("behaviour"):
            behaviours = behaviour_of(log, folder / "behaviour", self.progress)
        with self.timed("index"):
            index.run.run(self.recipe.index, embeddings, folder / "index", self.progress, index_of(old))
        with self.timed("segment"):
            cluster.run.run(
                self.recipe.segments,
                embeddings,
                behaviours,
                folder / "segments",
                self.progress,
                segments_of(old),
                EventWeeks(self.recipe.embed, model, log),
            )


def trainer_of(engine: Engine) -> train.run.Engine | None:
    """How an engine trains; None for this process."""
    return train.ray_engine.over_ray if engine == "ray" else None


def filler_of(engine: Engine, place: Path) -> embed.run.Fill | None:
    """How an engine embeds everybody at a folder; None for this process."""
    return embed.ray_engine.over_ray(place) if engine == "ray" else None


def index_of(snapshot: Path | None) -> SearchIndex | None:
    """The index of the snapshot at a folder, which the next one goes on from."""
    if snapshot is None:
        return None
    return load_index(snapshot / "index", Embeddings.load(snapshot / "embeddings", deep=False), deep=False)


def segments_of(snapshot: Path | None) -> cluster.run.Earlier | None:
    """The segments of the snapshot at a folder, which the next one goes on from."""
    if snapshot is None:
        return None
    segments = Segments.load(snapshot / "segments", deep=False)
    return cluster.run.Earlier(segments, Embeddings.load(snapshot / "embeddings", deep=False))


def served_model(workspace: Workspace) -> Model | None:
    """The model of the served snapshot; None where nothing is served, or that model cannot be read any more."""
    with suppress(ArtifactError):
        name = workspace.current()
        key = workspace.manifest(name).parents.get("model") if name else None
        return Model.load(workspace.models / key, deep=False) if key else None
    return None


def sweep_hidden(folder: Path) -> None:
    """Remove what stages that were killed left beside their finished work: it must not get into the snapshot."""
    for leftover in folder.glob(".*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def snapshot_key(recipe: Recipe, log: EventLog, model: Model, before: str | None = None) -> str:
    """The key of the snapshot that `recipe` makes of a log and a model, going on from the one with the key `before`.

    It holds everything that its bytes depend on.
    """
    formats = [embed.artifact.VERSION, BEHAVIOUR_VERSION, index.artifact.VERSION, cluster.artifact.VERSION]
    sections = recipe.model_dump(mode="json", include={"embed", "index", "audience", "segments"})
    return key_of("snapshot", SNAPSHOT_VERSION, formats, sections, log.key, model.key, *filter(None, [before]))


def behaviour_of(log: EventLog, folder: Path, progress: Progress = SILENT) -> Behaviour:
    """The hand-made features of every customer at `folder`; made where they are not there yet."""
    key = key_of(BEHAVIOUR_KIND, BEHAVIOUR_VERSION, log.key)
    if stands(folder, BEHAVIOUR_KIND, BEHAVIOUR_VERSION, key):
        return load_behaviour(folder)
    with progress.task("Describing behaviour", total=None):
        write_behaviour(behaviour(log), key, folder, {"eventlog": log.key})
    return load_behaviour(folder)
