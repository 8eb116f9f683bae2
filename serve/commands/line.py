"""The line and its longest stage: run, train, evaluate."""

import typer

from serve.commands.shared import WORKSPACE, JsonOption, RecipeArgument, WorkspaceOption, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(run)
    app.command()(train)


def run(recipe: RecipeArgument, workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """Run the whole line: check, prepare, train, embed, index, segment, publish. Started again, it resumes."""
    from serve.console_progress import console_progress
    from serve.recipe import load_recipe
    from store.workspace import Workspace

    loaded = load_recipe(recipe)
    from serve.pipeline import run_line  # after the recipe's faults are told: this loads torch

    with console_progress() as progress:
        line = run_line(loaded, Workspace.create(workspace), progress)
    counts = {"customers": line.log.n_customers, "events": line.log.n_events}
    if json:
        seconds = {stage: round(value, 3) for stage, value in line.seconds.items()}
        print_json({"snapshot": line.snapshot, "previous": line.previous, **counts, "seconds": seconds})
        return
    print_table(("stage", "seconds"), [(stage, f"{value:.1f}") for stage, value in line.seconds.items()])
    typer.echo(
        f"Snapshot {line.snapshot} is served: {counts['customers']:,} customers, {counts['events']:,} events. Go on "
        f"with `kinfolk segments`, `kinfolk audience` or `kinfolk serve`, each with `--workspace {workspace}`."
    )


def train(recipe: RecipeArgument, workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """Prepare the events and train the model of a recipe, without publishing anything. Started again, it resumes."""
    from serve.console_progress import console_progress
    from serve.recipe import load_recipe
    from store.workspace import Workspace

    loaded = load_recipe(recipe)
    import eventlog.run
    import train.run as training

    opened = Workspace.create(workspace)
    with opened.lock(), console_progress() as progress:
        log = eventlog.run.run(loaded.eventlog, opened, progress)
        model = training.run(loaded.train, log, opened, progress)
    if json:
        print_json({"model": model.key, "folder": str(model.folder), "width": model.width, "metrics": model.metrics})
        return
    epochs = [{"epoch": at, **losses} for at, losses in enumerate(model.metrics, start=1)]
    if epochs:
        print_table(list(epochs[0]), [list(epoch.values()) for epoch in epochs])
    typer.echo(f"Model {model.key} is in {model.folder}; vectors are {model.width} wide.")
