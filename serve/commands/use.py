"""Using a snapshot: similar customers, why a vector is as it is, exports."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve.commands.shared import (
    WORKSPACE,
    JsonOption,
    SnapshotOption,
    WorkspaceOption,
    numbers,
    open_workspace,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from store.workspace import Workspace

app = typer.Typer(no_args_is_help=True, help="Write what a snapshot holds to a Parquet file.", rich_markup_mode=None)
OutArgument = Annotated[Path, typer.Argument(metavar="OUT.parquet", help="Parquet file to write.")]


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    root.command()(similar)
    root.command()(why)
    root.add_typer(app, name="export")


def similar(
    customer: Annotated[str, typer.Argument(help="Customer id.")],
    k: Annotated[int, typer.Option("--k", "-k", metavar="N", min=1, help="How many.")] = 10,
    segments: Annotated[
        str, typer.Option(metavar="ID,ID", help="Only customers of these segments; -1: those in none.")
    ] = "",
    not_segments: Annotated[
        str, typer.Option("--not-segments", metavar="ID,ID", help="No customers of these segments.")
    ] = "",
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
    json: JsonOption = False,
) -> None:
    """List the customers most like one, without those who objected to marketing profiling."""
    from serve.catalogues import open_catalogue
    from serve.objections import objected_in
    from serve.segment_names import names_in_force
    from serve.snapshot import Snapshot
    from store.objections import Objections

    place = open_workspace(workspace, snapshot)
    opened = Snapshot.load(place, snapshot)
    with open_catalogue(place) as catalogue:
        objected = objected_in(opened, Objections(catalogue))
        names = names_in_force(opened.segments, catalogue)
    only, never = numbers("--segments", segments), numbers("--not-segments", not_segments)
    found = list(zip(*opened.neighbours(opened.row(customer), k, only, never, objected), strict=True))
    if json:
        print_json(
            [
                {"customer_id": opened.customer(row), "similarity": value, "segment": opened.label(row)}
                for row, value in found
            ]
        )
        return
    table = []
    for row, value in found:
        label = opened.label(row)
        table.append((str(opened.customer(row)), value, None if label is None else names[label]))
    print_table(("customer", "similarity", "segment"), table)


def why(
    customer: Annotated[str, typer.Argument(help="Customer id.")],
    days: Annotated[
        float, typer.Option(metavar="D", min=0.1, max=36_500, help="Days up to the customer's last event.")
    ] = 30,
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
    json: JsonOption = False,
) -> None:
    """Tell which fields and habits make a customer's vector, and which recent events moved it most."""
    from dataclasses import asdict

    from serve.attribution import moment
    from serve.attribution import why as ask
    from serve.snapshot import Snapshot

    opened = open_workspace(workspace, snapshot, need="line")
    found = ask(opened, Snapshot.load(opened, snapshot), customer, days)
    told = found.told
    if json:
        events = [
            {"time": moment(event.time).isoformat(), "moved": event.moved, "fields": fields}
            for event, fields in zip(told.events, found.events, strict=True)
        ]
        print_json({**asdict(told), "since": moment(told.since).isoformat(), "events": events})
        return
    lately = {share.name: share.share for share in told.moved_fields}
    both = [(share.name, share.share, lately.get(share.name, 0.0)) for share in told.fields]
    shown = [row for row in both if max(abs(row[1]), abs(row[2])) >= 0.005]
    rest = [row for row in both if row not in shown]
    if rest:
        shown.append((f"{len(rest)} others", sum(row[1] for row in rest), sum(row[2] for row in rest)))
    rows = [(name, f"{of_vector:.1%}", f"{of_move:.1%}") for name, of_vector, of_move in shown]
    print_table(("field", "of the vector", f"of what moved in {days:g} days"), rows, title="Fields")
    print_table(
        ("habit", "compared with most", "of the vector"),
        [(habit.name, "more" if habit.more else "less", f"{habit.share:.1%}") for habit in told.habits],
        title="Habits that add most",
    )
    print_table(
        ("event", "moved", "what"),
        [
            (
                f"{moment(event.time):%Y-%m-%d %H:%M}",
                f"{event.moved:.2g}",
                ", ".join(f"{k} {v}" for k, v in fields.items()),
            )
            for event, fields in list(zip(told.events, found.events, strict=True))[:5]
        ],
        title="Events that moved it most (1 - cosine with and without each)",
    )
    if told.moved is None:
        typer.echo(f"The customer was not there before the last {days:g} days.")
    else:
        typer.echo(f"In {days:g} days the vector moved by {told.moved:.2g} (1 - cosine; 0: not at all).")


@app.command("embeddings")
def export_embeddings(
    out: OutArgument, workspace: WorkspaceOption = WORKSPACE, snapshot: SnapshotOption = None
) -> None:
    """Write customer_id (as in the source) and vector (list of float32)."""
    from serve.console_progress import console_progress
    from serve.export import export_embeddings as export

    opened = open_workspace(workspace, snapshot, write="notes")
    with console_progress() as progress:
        count = export(opened, out, snapshot, progress, partial(_note, opened, "embeddings.export", snapshot))
    typer.echo(f"{count:,} customers are in {out}.")


@app.command("segments")
def export_segments(out: OutArgument, workspace: WorkspaceOption = WORKSPACE, snapshot: SnapshotOption = None) -> None:
    """Write customer_id, segment (-1: in none), strength (0 to 1), second (next best), second_strength, part."""
    from serve.export import export_segments as export

    opened = open_workspace(workspace, snapshot, write="notes")
    count = export(opened, out, snapshot, partial(_note, opened, "segments.export", snapshot))
    typer.echo(f"{count:,} customers are in {out}.")


def _note(opened: "Workspace", action: str, snapshot: str | None, count: int) -> None:
    """Tell the audit log what was taken out."""
    from serve.catalogues import open_catalogue

    with open_catalogue(opened) as catalogue:
        catalogue.audit("cli", action, snapshot or opened.current() or "", {"size": count})
