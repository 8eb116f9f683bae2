"""Names of segments, and the map that shows them."""

from pathlib import Path
from typing import Annotated

import typer

from serve.commands.shared import (
    WORKSPACE,
    JsonOption,
    SnapshotOption,
    WorkspaceOption,
    open_workspace,
    print_json,
    print_table,
)

ACTOR = "cli"
PictureArgument = Annotated[Path, typer.Argument(metavar="OUT.png|OUT.html", help="PNG or HTML file to write.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `kinfolk segments`."""
    for command in (rename, names):
        app.command()(command)
    app.command("map")(draw)


def rename(
    segment: Annotated[int, typer.Argument(metavar="ID", help="Number of a segment.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name from now on, 1 to 72 characters.")],
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Give a segment a name, which holds in every snapshot of the line, also in later ones. Audited."""
    from serve.catalogues import open_catalogue
    from serve.lineage import Kept
    from serve.segment_names import rename as give

    place = open_workspace(workspace, write="notes")
    opened = Kept.load(place)
    with open_catalogue(place) as catalogue:
        given = give(opened.segments, segment, name, catalogue, ACTOR)
    typer.echo(f"Segment {segment} is called {given.name!r}.")


def names(workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """List every name that was given to segments of the served snapshot's line, oldest first, and what is in force."""
    from serve.catalogues import open_catalogue
    from serve.lineage import Kept
    from store.segment_names import SegmentNames

    place = open_workspace(workspace)
    opened = Kept.load(place)
    with open_catalogue(place) as catalogue:
        register = SegmentNames(catalogue)
        lineage = opened.segments.lineage
        history, given = register.history(lineage), register.given(lineage)
    made = {profile.id: profile.name for profile in opened.segments.profiles}
    rows = [
        {
            "segment": one.segment,
            "name": one.name,
            "in_force": given[one.segment] == one,
            "at": one.at.isoformat(timespec="seconds"),
            "by": one.actor,
            "made_name": made.get(one.segment),
        }
        for one in history
    ]
    if json:
        print_json(rows)
    elif not rows:
        typer.echo("Nobody has named a segment yet; `kinfolk segments rename ID NAME` does.")
    else:
        columns = ("segment", "name", "in force", "at", "by", "made from behaviour")
        print_table(columns, [tuple(row.values()) for row in rows])


def draw(out: PictureArgument, workspace: WorkspaceOption = WORKSPACE, snapshot: SnapshotOption = None) -> None:
    """Draw the map of everybody, with the names in force, as a PNG or as a page that works offline."""
    from serve.catalogues import open_catalogue
    from serve.lineage import Kept
    from serve.outputs import check_output, output
    from serve.pictures import PICTURES, draw_map
    from serve.segment_names import names_in_force

    check_output(out, PICTURES)
    place = open_workspace(workspace, snapshot)
    opened = Kept.load(place, snapshot)
    with open_catalogue(place) as catalogue:
        called = names_in_force(opened.segments, catalogue)
    with output(out) as path:
        draw_map(opened.segments, called, path)
    typer.echo(f"The map of {len(opened.segments.labels):,} customers is in {out}.")
