"""The line and its longest stage: run, train, evaluate."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serve.commands.shared import (
    WORKSPACE,
    EngineOption,
    JsonOption,
    RecipeArgument,
    SnapshotOption,
    WorkspaceOption,
    open_workspace,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from train.artifact import Model


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(run)
    app.command()(train)
    app.command()(evaluate)


def run(
    recipe: RecipeArgument,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            metavar="DATE",
            formats=["%Y-%m-%d"],
            help="The last day whose events are read (UTC), in place of the recipe's `until`.",
        ),
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    engine: EngineOption = "local",
    json: JsonOption = False,
) -> None:
    """Run the whole line: check, prepare, train, embed, index, segment, publish. Started again, it resumes."""
    from serve.console_progress import console_progress
    from serve.recipe import load_recipe

    loaded = load_recipe(recipe)
    if as_of is not None:
        loaded = loaded.model_copy(update={"until": as_of.replace(tzinfo=UTC) + timedelta(days=1)})
    from serve.pipeline import run_line  # after the recipe's faults are told: this loads torch

    opened = open_workspace(workspace, need="line", write="yes", create=True)
    with console_progress() as progress:
        line = run_line(loaded, opened, progress, engine=engine)
    counts = {"customers": line.log.n_customers, "events": line.log.n_events}
    if json:
        seconds = {stage: round(value, 3) for stage, value in line.seconds.items()}
        about = {"snapshot": line.snapshot, "previous": line.previous, **counts, "seconds": seconds}
        print_json(about | {"space": space_of(line.model)})
        return
    print_table(("stage", "seconds"), [(stage, f"{value:.1f}") for stage, value in line.seconds.items()])
    typer.echo(
        f"Snapshot {line.snapshot} is served: {counts['customers']:,} customers, {counts['events']:,} events. Go on "
        f"with `kinfolk segments`, `kinfolk audience` or `kinfolk serve`, each with `--workspace {workspace}`."
        + told_space(line.model)
    )


def space_of(model: "Model") -> dict[str, Any] | None:
    """How a model's space lies to that of the one before it; None where there was none to turn it on to."""
    names = ("rotated_onto", "cosine", "cosine_before", "neighbours_kept")
    figures = model.manifest.figures
    return {name: figures[name] for name in names} if "rotated_onto" in figures else None


def told_space(model: "Model") -> str:
    """The same as a sentence, empty where there is nothing to tell."""
    space = space_of(model)
    if space is None:
        return ""
    return (
        f" Its space was turned on to that of model {space['rotated_onto']}: mean cosine {space['cosine']:.2f}, "
        f"{space['neighbours_kept']:.0%} of the ten nearest neighbours are the same."
    )


def train(recipe: RecipeArgument, workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """Prepare the events and train the model of a recipe, without publishing anything. Started again, it resumes."""
    from serve.console_progress import console_progress
    from serve.recipe import load_recipe

    loaded = load_recipe(recipe)
    import eventlog.run
    import train.run as training
    from serve.catalogues import open_catalogue
    from serve.pipeline import served_model
    from store.erasures import Erasures

    opened = open_workspace(workspace, need="line", write="yes", create=True)
    with opened.lock(), open_catalogue(opened) as catalogue, console_progress() as progress:
        log = eventlog.run.run(loaded.eventlog, opened, progress, erased=Erasures(catalogue).mask)
        model = training.run(loaded.train, log, opened, progress, served_model(opened))
    if json:
        about = {"model": model.key, "folder": str(model.folder), "width": model.width, "metrics": model.metrics}
        print_json(about | {"space": space_of(model)})
        return
    epochs = [{"epoch": at, **losses} for at, losses in enumerate(model.metrics, start=1)]
    if epochs:
        print_table(list(epochs[0]), [list(epoch.values()) for epoch in epochs])
    typer.echo(f"Model {model.key} is in {model.folder}; vectors are {model.width} wide.{told_space(model)}")


def evaluate(
    labels: Annotated[
        Path, typer.Option(metavar="FILE", help="CSV or Parquet file: customer_id and one column a label.")
    ],
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="PNG picture to write.")] = None,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Seed of the folds and intervals.")] = 0,
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
    json: JsonOption = False,
) -> None:
    """Compare the frozen vectors with hand-made features on labels that you have, cross-validated."""
    from serve.console_progress import console_progress
    from serve.evaluation import evaluate_snapshot
    from serve.outputs import check_output, output
    from train.evaluate import to_json
    from train.picture import draw

    if picture is not None:
        check_output(picture, (".png",), inputs=(labels,))
    opened = open_workspace(workspace, snapshot, need="line")
    with console_progress() as progress:
        evaluation = evaluate_snapshot(opened, labels, snapshot, seed, progress)
    if picture is not None:
        with output(picture) as path:
            draw(evaluation.results, path)
    known = {"matched": evaluation.labels.matched, "unknown": evaluation.labels.unknown}
    if json:
        print_json({"snapshot": evaluation.snapshot, **known, "results": to_json(evaluation.results)})
        return
    columns = ("label", "input", "metric", "customers", "score", "95 % interval")
    rows = [
        (r.label, r.input, r.metric, r.customers, r.score.value, f"{r.score.low:.3f} to {r.score.high:.3f}")
        for r in evaluation.results
    ]
    print_table(columns, rows)
    typer.echo(f"{known['matched']:,} labelled customers are known, {known['unknown']:,} are not.")
