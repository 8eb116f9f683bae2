"""The register of customers who objected to marketing profiling."""

from pathlib import Path
from typing import Annotated

import typer

from serve.commands.shared import WORKSPACE, JsonOption, WorkspaceOption, open_workspace, print_json, print_table

HELP = "Customers who objected to marketing profiling: neither scored, nor seeds, nor in any audience."
app = typer.Typer(no_args_is_help=True, help=HELP, rich_markup_mode=None)
FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="CSV or Parquet file with a column customer_id: whom it is about.")
]
ACTOR = "cli"


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    root.add_typer(app, name="objections")


@app.command()
def add(file: FileArgument, workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """Note that customers object, also such as are in no snapshot yet."""
    _note(file, True, workspace, json)


@app.command()
def withdraw(file: FileArgument, workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """Note that customers do not object any more."""
    _note(file, False, workspace, json)


@app.command("list")
def list_objections(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV or Parquet file to write: customer_id, since, noted_by.")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Tell how many customers object, and write who they are where a file is named."""
    import polars as pl

    from index.files import write_table
    from serve.audience_files import SUFFIXES
    from serve.catalogues import open_catalogue
    from serve.outputs import check_output, output
    from store.objections import Objections

    if out is not None:
        check_output(out, SUFFIXES)
    place = open_workspace(workspace, need="notes", write="no" if out is None else "notes")
    with open_catalogue(place) as catalogue:
        standing = Objections(catalogue).standing()
        if out is not None:
            catalogue.audit(ACTOR, "objections.export", "objections", {"size": len(standing)})
    if out is not None:
        rows = [(o.customer, o.at.isoformat(timespec="seconds"), o.actor) for o in standing]
        table = pl.DataFrame(rows, schema=dict.fromkeys(("customer_id", "since", "noted_by"), pl.String), orient="row")
        with output(out) as path:
            write_table(table, path, out.suffix)
    if json:
        print_json({"standing": len(standing)})
    else:
        typer.echo(f"{len(standing):,} customers object{'' if out is None else f'; they are in {out}'}.")


def _note(file: Path, objects: bool, workspace: str, json: bool) -> None:
    from configs.errors import NotFoundError
    from index.files import read_ids
    from serve.catalogues import open_catalogue
    from serve.objections import as_noted
    from serve.objections import note as note_in
    from serve.snapshot import Snapshot
    from store.objections import Objections

    opened, ids = open_workspace(workspace, write="notes"), read_ids(file)
    try:
        snapshot = Snapshot.load(opened)
    except NotFoundError:  # nothing is published yet
        snapshot = None
    noted = as_noted(ids, snapshot)
    with open_catalogue(opened) as catalogue:
        objections = Objections(catalogue)
        new = note_in(noted, objects, objections, snapshot, actor=ACTOR)
        standing = len(objections.standing())
    told = {"given": len(set(noted)), "new": new, "standing": standing}
    if json:
        print_json(told)
    else:
        print_table(("", ""), [("customers given", told["given"]), ("of them new", new), ("objecting now", standing)])
