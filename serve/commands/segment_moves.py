"""Moves between segments: from one snapshot to another, and along one customer's way."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve.commands.segment_names import ACTOR, PictureArgument
from serve.commands.shared import WORKSPACE, JsonOption, WorkspaceOption, open_workspace, print_json, print_table

if TYPE_CHECKING:
    from serve.moves import Comparison
    from store.catalogue import Catalogue
    from store.workspace import Workspace

FromOption = Annotated[
    str | None, typer.Option("--from", metavar="NAME", help="The earlier snapshot; the one before if left out.")
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="NAME", help="The later snapshot; the one being served if left out.")
]
LARGEST_STREAMS = 30
WIDEST = 14
"""A matrix of more columns does not fit a terminal."""


def register(app: typer.Typer) -> None:
    """Add the commands to `kinfolk segments`."""
    for command in (moves, history, flow):
        app.command()(command)


def moves(
    earlier: FromOption = None,
    later: ToOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or Parquet file to write: who moved, from where to where, and why, without customers who "
            "objected to marketing profiling. Audited.",
        ),
    ] = None,
    segment: Annotated[
        int | None, typer.Option(metavar="ID", help="Only customers who left or entered this segment.")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Tell how many customers went from where to where between two snapshots, and what happened to segments."""
    from serve.audience_files import SUFFIXES
    from serve.catalogues import open_catalogue
    from serve.moves import facts
    from serve.outputs import check_output

    if out is not None:
        check_output(out, SUFFIXES)
    place = open_workspace(workspace, need="kept", write="no" if out is None else "notes")
    with open_catalogue(place) as catalogue:
        found = _compared(place, catalogue, earlier, later)
        written = None if out is None else _write(found, out, segment, catalogue)
    if json:
        print_json(facts(found, segment))
        return
    _print(found, segment)
    if written is not None:
        typer.echo(f"{written:,} customers who moved are in {out}.")


def _compared(place: "Workspace", catalogue: "Catalogue", earlier: str | None, later: str | None) -> "Comparison":
    from serve.moves import Comparison, pick
    from serve.segment_names import names_in_force

    first, last = pick(place, earlier, later)
    names = names_in_force(first.segments, catalogue), names_in_force(last.segments, catalogue)
    return Comparison(first, last, names)


def _write(found: "Comparison", out: Path, segment: int | None, catalogue: "Catalogue") -> int:
    from index.files import write_table
    from serve.objections import still_exported
    from serve.outputs import output
    from store.objections import Objections

    table = still_exported(found.movers(segment), Objections(catalogue))
    told = {"from": found.earlier.name, "segment": segment, "size": len(table)}
    with output(out) as path:
        write_table(table, path, out.suffix)
        catalogue.audit(ACTOR, "segments.moves", found.later.name, told)
    return len(table)


def _print(found: "Comparison", segment: int | None) -> None:
    from serve.moves import APART, facts, told

    all_facts = facts(found, segment)
    if segment is None and len(found.matrix.after) <= WIDEST:
        heads = [str(end["segment"]) if end["segment"] is not None else end["name"] for end in all_facts["columns"]]
        rows = [
            (str(end["segment"]) if end["segment"] is not None else "", end["name"], *counts)
            for end, counts in zip(all_facts["rows"], all_facts["counts"], strict=True)
        ]
        print_table(("from", "name", *heads), rows, title=f"From {found.earlier.name} (rows) to {found.later.name}")
    else:
        streams = [(s["from_name"], s["to_name"], s["customers"]) for s in all_facts["streams"]]
        told_of = "The largest streams" if segment is None else f"Into and out of segment {segment}"
        title = f"{told_of}, from {found.earlier.name} to {found.later.name}"
        print_table(("from", "to", "customers"), streams[:LARGEST_STREAMS], title=title)
        if len(streams) > LARGEST_STREAMS:
            typer.echo(f"There are {len(streams) - LARGEST_STREAMS:,} smaller ones; --json has all, and the matrix.")
    if not found.one_lineage:
        typer.echo(APART)
        return
    both = found.matrix.moved + found.matrix.stayed
    typer.echo(
        f"{found.matrix.moved:,} of {both:,} customers moved, {all_facts['new']:,} are new, {all_facts['gone']:,} gone."
    )
    for event in found.events:
        if segment is None or segment in (event.segment, *event.others):
            typer.echo(told(event, {**found.names[0], **found.names[1]}))


def history(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Customer id.")],
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """List the segments that one customer was in, in every kept snapshot of the served one's line, oldest first."""
    from dataclasses import asdict

    from serve.catalogues import open_catalogue
    from serve.lineage import Kept, lineage_up_to, stays
    from serve.segment_names import names_in_force

    place = open_workspace(workspace, need="kept")
    lineage = lineage_up_to(place, Kept.load(place))
    found = stays(lineage, customer)
    with open_catalogue(place) as catalogue:
        names = [names_in_force(kept.segments, catalogue) for kept in lineage]
    called = [None if s.segment is None else of[s.segment] for s, of in zip(found, names, strict=True)]
    if json:
        told = [{**asdict(stay), "published": stay.published.isoformat()} for stay in found]
        print_json([{**facts, "name": name} for facts, name in zip(told, called, strict=True)])
        return
    rows = [
        (
            f"{stay.published:%Y-%m-%d %H:%M}",
            stay.snapshot,
            stay.segment,
            name or ("in no segment" if stay.there else "not there"),
            stay.strength,
        )
        for stay, name in zip(found, called, strict=True)
    ]
    print_table(("published", "snapshot", "segment", "name", "strength"), rows)


def flow(
    out: PictureArgument, earlier: FromOption = None, later: ToOption = None, workspace: WorkspaceOption = WORKSPACE
) -> None:
    """Draw where customers went between two snapshots, as a PNG or as a page that works offline."""
    from serve.catalogues import open_catalogue
    from serve.outputs import check_output, output
    from serve.pictures import PICTURES, draw_comparison

    check_output(out, PICTURES)
    place = open_workspace(workspace, need="kept")
    with open_catalogue(place) as catalogue:
        found = _compared(place, catalogue, earlier, later)
    with output(out) as path:
        draw_comparison(found, path)
    typer.echo(f"The flow from {found.earlier.name} to {found.later.name} is in {out}.")
