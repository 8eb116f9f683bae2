"""What is written of one segment: its customers and its profile card."""

from pathlib import Path
from typing import Annotated

import typer

from serve.commands.segment_names import ACTOR, PictureArgument
from serve.commands.shared import WORKSPACE, SnapshotOption, WorkspaceOption, open_workspace

SegmentArgument = Annotated[int, typer.Argument(metavar="ID", help="Number of a segment.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `kinfolk segments`."""
    for command in (members, card):
        app.command()(command)


def members(
    segment: SegmentArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT.csv|OUT.parquet", help="CSV or Parquet file to write.")],
    least_strength: Annotated[
        float, typer.Option(metavar="X", help="Only customers who are at least so strongly in it, 0 to 1: its core.")
    ] = 0.0,
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
) -> None:
    """Write a segment's customers, with strength, next best segment and part, without those who objected. Audited."""
    from index.files import write_table
    from serve.audience_files import SUFFIXES
    from serve.catalogues import open_catalogue
    from serve.lineage import Kept
    from serve.objections import still_exported
    from serve.outputs import check_output, output
    from serve.segment_members import members as members_of
    from store.objections import Objections

    check_output(out, SUFFIXES)
    place = open_workspace(workspace, snapshot, write="notes")
    opened = Kept.load(place, snapshot)
    found = members_of(opened, segment, least_strength)
    with open_catalogue(place) as catalogue:
        table = still_exported(found, Objections(catalogue))
        told = {"segment": segment, "least_strength": least_strength, "size": len(table)}
        with output(out) as path:
            write_table(table, path, out.suffix)
            catalogue.audit(ACTOR, "segments.members", opened.name, told)
    typer.echo(f"{len(table):,} customers of segment {segment} are in {out}.")


def card(
    segment: SegmentArgument,
    out: PictureArgument,
    typical: Annotated[
        bool,
        typer.Option(
            "--typical", help="Name typical customers on the page, without those who objected. Audited; not in a PNG."
        ),
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
) -> None:
    """Draw the profile card of one segment, as a PNG or as a page that works offline."""
    from configs.errors import InputError
    from serve.catalogues import open_catalogue
    from serve.lineage import Kept, lineage_up_to
    from serve.objections import objecting
    from serve.outputs import check_output, output
    from serve.pictures import PICTURES, draw_profile
    from serve.segment_names import names_in_force, profile_of
    from store.objections import Objections

    check_output(out, PICTURES)
    if typical and out.suffix.lower() == ".png":
        raise InputError(f"{out}: no customer is named on a picture; --typical needs a page (.html)")
    place = open_workspace(workspace, snapshot, need="kept", write="notes" if typical else "no")
    opened = Kept.load(place, snapshot)
    profile, lineage = profile_of(opened.segments, segment), lineage_up_to(place, opened)
    with open_catalogue(place) as catalogue:
        names, named_customers = names_in_force(opened.segments, catalogue), []
        if typical:
            who = objecting(Objections(catalogue))
            named_customers = [customer for customer in profile.typical if not who.are(customer)]
        with output(out) as path:
            draw_profile(lineage, profile, names, path, named_customers)
            if named_customers:
                told = {"segment": segment, "size": len(named_customers)}
                catalogue.audit(ACTOR, "segments.card", opened.name, told)
    typer.echo(f"The card of segment {segment} ({names[segment]}) is in {out}.")
