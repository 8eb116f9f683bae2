"""Saved audiences, which are refreshed with every snapshot."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serve.commands.shared import WORKSPACE, JsonOption, WorkspaceOption, open_workspace, print_json, print_table

if TYPE_CHECKING:
    from serve.saved import Edition

HELP = "Saved audiences: `kinfolk audience --save NAME` makes one, and each snapshot may bring a new edition."
app = typer.Typer(no_args_is_help=True, help=HELP, rich_markup_mode=None)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the saved audience.")]
ACTOR = "cli"


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    root.add_typer(app, name="saved")


@app.command("list")
def list_saved(workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """List the saved audiences, each with its last edition."""
    from serve.saved import load_saved, saved_names

    opened = open_workspace(workspace, need="notes")
    found = [load_saved(opened, name) for name in saved_names(opened)]
    if json:
        print_json([{"name": s.name, "last": _facts(s.editions[-1]) if s.editions else None} for s in found])
        return
    rows = [(s.name, *_row(s.editions[-1])) if s.editions else (s.name, *[None] * 5) for s in found]
    print_table(("name", "edition", "snapshot", "members", "entered", "left"), rows)


@app.command()
def show(name: NameArgument, workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """Show a saved audience: its options, and its editions with who entered and left, and why."""
    from serve.saved import load_saved

    saved = load_saved(open_workspace(workspace, need="notes"), name)
    if json:
        print_json({"name": name, "request": saved.options(), "editions": [_facts(e) for e in saved.editions]})
        return
    options = {key: value for key, value in saved.options().items() if value not in ([], None, False, 0)}
    print_table(("option", "value"), [(key, str(value)) for key, value in options.items()])
    print_table(("edition", "snapshot", "members", "entered", "left"), [_row(edition) for edition in saved.editions])
    if len(saved.editions) > 1:
        last = saved.editions[-1]
        why = sorted({*last.entered, *last.left})
        rows = [(reason, last.entered.get(reason, 0), last.left.get(reason, 0)) for reason in why]
        print_table(("why", "entered", "left"), rows, title="With the last edition")


@app.command()
def refresh(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Names of saved audiences; all if left out.")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Make the edition of saved audiences over the served snapshot; nothing happens where there is nothing new."""
    from serve.catalogues import open_catalogue
    from serve.editions import refresh as make
    from serve.saved import load_saved, saved_names
    from serve.snapshot import Snapshot

    opened = open_workspace(workspace, need="kept", write="yes")
    wanted = list(dict.fromkeys(names or saved_names(opened)))
    for name in wanted:
        load_saved(opened, name)  # all are there, or none is begun
    snapshot = Snapshot.load(opened)
    with open_catalogue(opened) as catalogue:
        made = {name: make(name, snapshot, opened, catalogue, ACTOR) for name in wanted}
    if json:
        print_json([{"name": name, "new": new, **_facts(edition)} for name, (edition, new) in made.items()])
    elif not made:
        typer.echo("There are no saved audiences; `kinfolk audience --save NAME` makes one.")
    else:
        rows = [(name, *_row(edition), "yes" if new else "no") for name, (edition, new) in made.items()]
        print_table(("name", "edition", "snapshot", "members", "entered", "left", "new"), rows)


@app.command()
def export(
    name: NameArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV or Parquet file to write: the members, best first.")
    ] = None,
    changes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV or Parquet file to write: customer_id, change (entered, left), why."),
    ] = None,
    edition: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Number of an edition; the last one if left out.")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Write the members of an edition, or who entered and left with it; without those who objected since. Audited."""
    from serve.audience_files import export_edition

    told = export_edition(open_workspace(workspace, write="notes"), name, edition, out, changes)
    for words in told:
        typer.echo(words)


@app.command()
def remove(name: NameArgument, workspace: WorkspaceOption = WORKSPACE) -> None:
    """Forget a saved audience. Audiences that were made of it stay."""
    from serve.catalogues import open_catalogue
    from serve.saved import remove as forget

    opened = open_workspace(workspace, need="notes", write="yes")
    with open_catalogue(opened) as catalogue:
        forget(name, opened, catalogue, ACTOR)
    typer.echo(f"The saved audience {name} is removed.")


def _row(edition: "Edition") -> tuple[Any, ...]:
    entered, left = sum(edition.entered.values()), sum(edition.left.values())
    return edition.number, edition.snapshot, f"{edition.size:,}", entered, left


def _facts(edition: "Edition") -> dict[str, Any]:
    return {
        "edition": edition.number,
        "audience": edition.audience,
        "snapshot": edition.snapshot,
        "definition": edition.definition,
        "members": edition.size,
        "entered": dict(edition.entered),
        "left": dict(edition.left),
    }
