"""Events: checking and preparing them, and simulating a bank's."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve.commands.shared import (
    WORKSPACE,
    JsonOption,
    RecipeArgument,
    WorkspaceOption,
    counted,
    open_workspace,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from eventlog.report import CheckReport

app = typer.Typer(no_args_is_help=True, help="Check and prepare events.", rich_markup_mode=None)


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    root.add_typer(app, name="data")
    root.command()(simulate)


@app.command()
def check(recipe: RecipeArgument, json: JsonOption = False) -> None:
    """Read a recipe's events and tell what is wrong with them; writes nothing. Exit code 2 where nothing is usable."""
    from configs.errors import DataError
    from eventlog.run import check as check_events
    from serve.console_progress import console_progress
    from serve.recipe import load_recipe

    loaded = load_recipe(recipe)
    with console_progress() as progress:
        report = check_events(loaded.eventlog, progress)
    if json:
        print_json(report.to_json())
    else:
        _tell(report)
    if report.faults:
        raise DataError("\n".join(report.faults))


@app.command()
def prepare(recipe: RecipeArgument, workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """Check a recipe's events and write them as a sequence store; rows that break the contract go to quarantine."""
    from eventlog.run import read_report, run
    from eventlog.sequences import QUARANTINE
    from serve.catalogues import open_catalogue
    from serve.console_progress import console_progress
    from serve.recipe import load_recipe
    from store.erasures import Erasures

    loaded = load_recipe(recipe)
    opened = open_workspace(workspace, need="line", write="yes", create=True)
    with opened.lock(), open_catalogue(opened) as catalogue, console_progress() as progress:
        log = run(loaded.eventlog, opened, progress, erased=Erasures(catalogue).mask)
    report = read_report(log)
    if json:
        print_json({"eventlog": log.key, "folder": str(log.folder), **report.to_json()})
        return
    _tell(report)
    typer.echo(f"The log is in {log.folder}.")
    if report.quarantined:
        typer.echo(f"Quarantined rows, each with its reason, are in {log.folder / QUARANTINE}.")


def _tell(report: "CheckReport") -> None:
    from eventlog.report import field_rows, reason_rows, source_rows

    titles = ("Sources", "Quarantined", "Fields")
    for title, rows in zip(titles, (source_rows(report), reason_rows(report), field_rows(report)), strict=True):
        if rows:
            print_table(list(rows[0]), [list(row.values()) for row in rows], title=title)
    for note in report.notes:
        typer.echo(f"Note: {note}")
    typer.echo(f"{report.customers:,} customers, {report.kept:,} events.")


def simulate(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the bank; the same bank there is added to.")
    ] = Path("bank"),
    customers: Annotated[int, typer.Option(metavar="N", help="Customers on the first day.")] = 10_000,
    days: Annotated[int, typer.Option(metavar="D", help="Days to generate.")] = 180,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of everything random.")] = 0,
    start: Annotated[
        datetime, typer.Option(metavar="YYYY-MM-DD", formats=["%Y-%m-%d"], help="The first day (UTC).")
    ] = datetime(2025, 1, 1),
    day: Annotated[
        int | None,
        typer.Option(
            metavar="D", help="Generate this day alone, counted from 0, with the bytes it has in a whole run."
        ),
    ] = None,
    attrition: Annotated[float, typer.Option(metavar="SHARE", help="Share of customers who leave in a year.")] = 0.1,
    joins: Annotated[
        float, typer.Option(metavar="SHARE", help="Customers who join in a year, as a share of `--customers`.")
    ] = 0.08,
    life_events: Annotated[
        float, typer.Option(metavar="TIMES", help="How many times the usual rate of life events; 0: none.")
    ] = 1.0,
    activity: Annotated[
        float, typer.Option(metavar="TIMES", help="How many times the usual number of payments, logins, calls, visits.")
    ] = 1.0,
    id_type: Annotated[str, typer.Option(metavar="TYPE", help="Type of customer_id: integer or string.")] = "integer",
    no_noise: Annotated[bool, typer.Option("--no-noise", help="Leave out the columns of pure noise.")] = False,
    json: JsonOption = False,
) -> None:
    """Simulate a bank's customers with a known truth, as date-partitioned Parquet with a recipe that reads it."""
    from eventlog.simulate.config import SimulateConfig
    from eventlog.simulate.run import run
    from serve.console_progress import console_progress

    config = SimulateConfig.checked(
        customers=customers,
        days=days,
        seed=seed,
        start=start.date(),
        day=day,
        attrition=attrition,
        joins=joins,
        life_events=life_events,
        activity=activity,
        id_type=id_type,
        noise=not no_noise,
    )
    with console_progress() as progress:
        summary = run(config, out, progress)
    if json:
        facts = {"days": summary.days, "customers": summary.customers, "events": summary.events}
        print_json({"folder": str(summary.folder), "recipe": str(summary.recipe), **facts})
        return
    print_table(["source", "events"], [*summary.events.items(), ("all", summary.total)])
    who = counted(summary.customers, "customer")
    if day is not None:  # a day alone leaves the truth as it is, and is seldom all that a model is to learn from
        typer.echo(f"Day {day} of {who} is in {summary.folder}.")
        return
    typer.echo(
        f"{who} over {counted(summary.days, 'day')} are in {summary.folder}; go on with "
        f"`kinfolk run {summary.recipe} --workspace DIR`. What is true of them is in {summary.folder / 'truth'}."
    )
