"""Lookalike audiences: made, and measured afterwards by who was held out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from index.audience import AudienceReport
    from index.expect import Estimate

FLAG = "below four fifths"
SHOWN = 6
"""Behaviours that set an audience apart, in the terminal; the JSON has all."""


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    root.command()(audience)
    root.command()(effect)


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
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Condition that members must meet, attribute=value|value or attribute!=value; may be given several "
            "times; needs --attributes.",
        ),
    ] = None,
    attributes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="CSV or Parquet file with customer_id and attributes, for --where and --spread."
        ),
    ] = None,
    spread: Annotated[
        str | None,
        typer.Option(
            metavar="ATTRIBUTE",
            help="Spread the members over its groups as the eligible customers; needs --attributes.",
        ),
    ] = None,
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
    save: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Save it under this name: `kinfolk saved refresh` brings it up to date."),
    ] = None,
    churn_cap: Annotated[
        float | None,
        typer.Option("--churn-cap", metavar="S", help="Share of the members that may leave when it is refreshed."),
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
    json: JsonOption = False,
) -> None:
    """Build a lookalike audience, and tell what to expect of it before anything is sent."""
    from configs.errors import InputError
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
        where=tuple(where or ()),
        spread=spread,
        churn_cap=churn_cap,
        hold_out=hold_out,
        seed=seed,
    )
    files = AudienceFiles(
        out, all_scores, inputs=tuple(file for file in (seeds, suppress, make_up, attributes) if file)
    )
    tables = {"make_up": make_up, "attributes": attributes}
    asked = Asked(request, **{name: read_attributes(file) for name, file in tables.items() if file is not None})
    if churn_cap is not None and save is None:
        raise InputError("--churn-cap is about a saved audience; name it with --save")
    place = open_workspace(workspace, snapshot, need="kept" if save else "served", write="yes")
    made = make_audience(place, asked, files, snapshot, save)
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
            f"{seeds.matched:,} matched, {len(seeds.unmatched):,} unknown{shown}, {seeds.duplicates:,} duplicates"
            + (f", {seeds.objected:,} who objected" if seeds.objected else ""),
        ),
        *([("objected", f"{report.objected:,} customers, left out of everything")] * bool(report.objected)),
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


def effect(
    audience: Annotated[str, typer.Argument(metavar="AUDIENCE", help="Id of an audience that was made with hold_out.")],
    outcomes: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="CSV or Parquet file with a column customer_id: who did what the campaign was for."
        ),
    ],
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Tell what a campaign caused: members who got it beside those who were held out."""
    from dataclasses import asdict

    from index.files import read_ids
    from serve.audience_files import ACTOR
    from serve.audiences import load_audience, measure
    from serve.catalogues import open_catalogue

    place = open_workspace(workspace, need="notes", write="notes")
    found = measure(load_audience(place, audience), read_ids(outcomes))
    with open_catalogue(place) as catalogue:
        catalogue.audit(ACTOR, "audience.effect", audience, {"outcomes": found.listed_with_outcome})
    if json:
        print_json({"audience": audience, "told": found.told, **asdict(found)})
        return
    rows = [
        ("in the list", found.listed, found.listed_with_outcome, _share(found.listed_rate)),
        ("held out", found.held_out, found.held_out_with_outcome, _share(found.held_out_rate)),
    ]
    print_table(("members", "customers", "with outcome", "rate"), rows)
    caused = f"{found.caused.value:,.0f} ({found.caused.low:,.0f} to {found.caused.high:,.0f})"
    typer.echo(f"The campaign added {_share(found.difference)} to the rate: {caused} outcomes among those in the list.")
    if not found.told:
        typer.echo(
            "This may be chance: the interval holds nought. A larger hold-out, or more members, would tell more."
        )
