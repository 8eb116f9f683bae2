"""Using a snapshot: similar customers, lookalike audiences, segments, exports."""

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
    from index.audience import AudienceReport
    from index.expect import Estimate

app = typer.Typer(no_args_is_help=True, help="Write what a snapshot holds to a Parquet file.", rich_markup_mode=None)
FLAG = "below four fifths"
SHOWN = 6
"""Behaviours that set an audience apart, in the terminal; the JSON has all."""
OutArgument = Annotated[Path, typer.Argument(metavar="OUT.parquet", help="Parquet file to write.")]


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    root.command()(audience)
    root.command()(similar)
    root.command()(why)
    root.command()(segments)
    root.add_typer(app, name="export")


def audience(
    seeds: Annotated[
        Path, typer.Option(metavar="FILE", help="CSV or Parquet file with a column customer_id: whom to find more of.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="CSV or Parquet file to write: customer_id, score, rank, reasons, best first."
        ),
    ],
    size: Annotated[int | None, typer.Option(metavar="N", help="How many: so many customers.")] = None,
    share: Annotated[
        float | None,
        typer.Option(metavar="S", help="How many: a share of the customers who may be in it, above 0, up to 1."),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="How many: as many as keep the expected share of members like the seeds at P; needs --base-rate.",
        ),
    ] = None,
    base_rate: Annotated[
        float | None,
        typer.Option(
            "--base-rate",
            metavar="R",
            help="Share of everybody who is like the seeds, where it is known; the report then tells the precision.",
        ),
    ] = None,
    nested: Annotated[
        str,
        typer.Option(metavar="N,N", help="Sizes of smaller audiences inside it; a column `within` tells the smallest."),
    ] = "",
    segments: Annotated[str, typer.Option(metavar="ID,ID", help="Segments that members must be in; -1: in none.")] = "",
    not_segments: Annotated[
        str, typer.Option("--not-segments", metavar="ID,ID", help="Segments that members must not be in.")
    ] = "",
    hold_out: Annotated[
        float,
        typer.Option(
            "--hold-out",
            metavar="S",
            help="Share of the members, drawn at random, to keep out of the file, so that the effect can be measured.",
        ),
    ] = 0.0,
    all_scores: Annotated[
        Path | None,
        typer.Option(
            "--all-scores", metavar="FILE", help="CSV or Parquet file to write: customer_id, score of everybody."
        ),
    ] = None,
    suppress: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV or Parquet file with a column customer_id: who must not be in it."),
    ] = None,
    include_seeds: Annotated[bool, typer.Option("--include-seeds", help="Let seeds be members themselves.")] = False,
    make_up: Annotated[
        Path | None,
        typer.Option(
            "--make-up",
            metavar="FILE",
            help="CSV or Parquet file with customer_id and attributes: the report compares members with everybody by "
            "them, and nothing else sees them.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Seed of all that is drawn at random.")] = 0,
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
    json: JsonOption = False,
) -> None:
    """Build a lookalike audience, and tell what to expect of it before anything is sent."""
    from index.files import read_attributes, read_ids
    from index.request import AudienceRequest
    from serve.audience_files import AudienceFiles, make_audience
    from serve.audiences import Asked

    suppressed = () if suppress is None else read_ids(suppress)
    request = AudienceRequest.checked(
        seeds=read_ids(seeds),
        size=size,
        share=share,
        precision=precision,
        base_rate=base_rate,
        nested=nested,
        include_seeds=include_seeds,
        suppress=suppressed,
        segments=segments,
        not_segments=not_segments,
        hold_out=hold_out,
        seed=seed,
    )
    files = AudienceFiles(out, all_scores, inputs=tuple(file for file in (seeds, suppress, make_up) if file))
    asked = Asked(request, None if make_up is None else read_attributes(make_up))
    made = make_audience(open_workspace(workspace), asked, files, snapshot)
    if json:
        print_json({"id": made.stored.id, **made.stored.report})
    else:
        _tell(made.audience.report, out)


def _tell(report: "AudienceReport", out: Path) -> None:
    seeds = report.seeds
    shown = f" ({', '.join(seeds.unmatched[:3])}{', …' if len(seeds.unmatched) > 3 else ''})" if seeds.unmatched else ""
    rows = [
        ("members", f"{report.size:,} of {report.eligible:,} eligible customers, in {out}"),
        *(
            [("held out", f"{report.held_out:,} of them, kept in the workspace and not in the file")]
            * bool(report.held_out)
        ),
        (
            "seeds",
            f"{seeds.matched:,} matched, {len(seeds.unmatched):,} unknown{shown}, {seeds.duplicates:,} duplicates",
        ),
        ("scorer", " + ".join(scorer.name for scorer in report.scorers if scorer.used)),
        ("expected recall", _share(report.recall)),
        ("expected lift", f"{report.lift.value:.2f} ({report.lift.low:.2f} to {report.lift.high:.2f})"),
        *([("expected precision", _share(report.precision))] if report.precision else []),
        ("ranks seeds", f"AUROC {report.auroc.value:.3f} ({report.auroc.low:.3f} to {report.auroc.high:.3f})"),
    ]
    print_table(("", ""), rows)
    print_table(
        ("scorer", "AUROC", "recall", "used"),
        [(s.name, s.auroc, s.recall, s.used) for s in report.scorers],
        title="Scorers, cross-validated on held-out seeds",
    )
    if report.audience_drivers:
        print_table(
            ("behaviour", "members", "everybody", "lift"),
            [(d.words, d.group_mean, d.population_mean, d.lift) for d in report.audience_drivers[:SHOWN]],
            title="What sets the audience apart",
        )
    if report.make_up:
        print_table(
            ("attribute", "group", "may be members", "members", "rate", "ratio", ""),
            [
                (
                    g.attribute,
                    g.group,
                    g.eligible,
                    g.members,
                    f"{g.rate:.1%}",
                    g.ratio and _ratio(g.ratio),
                    FLAG * g.flagged,
                )
                for g in report.make_up
            ],
            title="Make-up: selection rates, over that of the group selected most",
        )
    if report.reasons_fidelity is not None:
        typer.echo(
            f"Each member has reasons in the file; reasons account for {report.reasons_fidelity:.0%} of the score."
        )
    for warning in report.warnings:
        typer.echo(f"Warning: {warning}", err=True)


def _ratio(estimate: "Estimate") -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _share(estimate: "Estimate") -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"


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
    """List the customers most like one."""
    from serve.snapshot import Snapshot

    opened = Snapshot.load(open_workspace(workspace), snapshot)
    only, never = numbers("--segments", segments), numbers("--not-segments", not_segments)
    found = list(zip(*opened.neighbours(opened.row(customer), k, only, never), strict=True))
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
        profile = opened.segment_of(row)
        table.append((str(opened.customer(row)), value, profile and profile.name))
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

    opened = open_workspace(workspace)
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


def segments(workspace: WorkspaceOption = WORKSPACE, snapshot: SnapshotOption = None, json: JsonOption = False) -> None:
    """List the segments: size, stability, and the behaviours that set each apart."""
    from dataclasses import asdict

    from cluster.artifact import Segments

    opened = Segments.load(open_workspace(workspace).snapshot_folder(snapshot) / "segments")
    if json:
        print_json([{**asdict(profile), "standing": profile.standing} for profile in opened.profiles])
        return
    rows = [(p.id, p.name, p.size, f"{p.share:.1%}", f"{p.stability:.2f} {p.standing}") for p in opened.profiles]
    print_table(("segment", "name", "customers", "share", "stability"), rows)
    if opened.message:
        typer.echo(opened.message)
    typer.echo(f"{opened.unassigned_share:.1%} of {len(opened.labels):,} customers are in no segment.")
    typer.echo(f"The map is {opened.page}.")


@app.command("embeddings")
def export_embeddings(
    out: OutArgument, workspace: WorkspaceOption = WORKSPACE, snapshot: SnapshotOption = None
) -> None:
    """Write customer_id (as in the source) and vector (list of float32)."""
    from serve.console_progress import console_progress
    from serve.export import export_embeddings as export

    with console_progress() as progress:
        count = export(open_workspace(workspace), out, snapshot, progress)
    typer.echo(f"{count:,} customers are in {out}.")


@app.command("segments")
def export_segments(out: OutArgument, workspace: WorkspaceOption = WORKSPACE, snapshot: SnapshotOption = None) -> None:
    """Write customer_id, segment (-1: in none) and strength (0 to 1)."""
    from serve.export import export_segments as export

    count = export(open_workspace(workspace), out, snapshot)
    typer.echo(f"{count:,} customers are in {out}.")
