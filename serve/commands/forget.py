"""Erasing customers, and the receipts of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serve.commands.shared import WORKSPACE, JsonOption, WorkspaceOption, open_workspace, print_json, print_table

if TYPE_CHECKING:
    from index.request import CustomerId


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(forget)
    app.command()(erasures)


def forget(
    customers: Annotated[
        list[str] | None, typer.Argument(metavar="CUSTOMER", help="Ids of the customers to erase.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="CSV or Parquet file with a column customer_id: whom to erase."),
    ] = None,
    allowed: Annotated[
        bool, typer.Option("--allow", help="Erase nobody, but let these customers come back as new ones.")
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Erase customers from logs, vectors, segments, audiences and every kept snapshot; cannot be undone."""
    from index.files import read_ids
    from serve.console_progress import console_progress
    from serve.forget import allow
    from serve.forget import forget as erase

    ids: list[CustomerId] = [*(customers or ()), *(read_ids(file) if file is not None else ())]
    opened = open_workspace(workspace)
    if allowed:
        count = allow(opened, ids)
        told = f"{count:,} of {len(set(map(str, ids))):,} customers were in the register and may come back."
        print_json({"allowed": count}) if json else typer.echo(told)
        return
    with console_progress() as progress:
        receipt = erase(opened, ids, progress)
    if json:
        print_json(receipt)
    else:
        _print(receipt)
    if receipt["search"]["found"]:
        from configs.errors import ArtifactError

        raise ArtifactError(
            f"receipt {receipt['receipt']}: customers were erased, but these files of the workspace still name them: "
            f"{', '.join(receipt['search']['found'])}; delete those that are not kinfolk's, and start again"
        )


def erasures(workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """List the receipts of erasures, oldest first."""
    from store.erasures import receipts

    found = receipts(open_workspace(workspace).root)
    if json:
        print_json(found)
    elif not found:
        typer.echo("Nobody was erased yet.")
    else:
        columns = ("receipt", "at", "actor", "asked", "known", "unknown")
        rows = [(*(one[name] for name in columns), _closing(one)) for one in found]
        print_table((*columns, "search"), rows)


def _closing(receipt: dict[str, Any]) -> str:
    """What the closing search said."""
    if receipt["search"] is None:
        return "not done"
    return "nothing left" if not receipt["search"]["found"] else f"{len(receipt['search']['found'])} files left"


def _print(receipt: dict[str, Any]) -> None:
    typer.echo(
        f"Receipt {receipt['receipt']}: {receipt['known']:,} customers erased; {receipt['unknown']:,} ids were unknown "
        "and are registered, so that they stay out."
    )
    rows = [
        (one["artifact"], ", ".join(f"{count:,} {what}" for what, count in one.items() if what != "artifact" and count))
        for one in receipt["removed"]
    ]
    if rows:
        print_table(("artifact", "removed"), rows)
    print_table(("untouched", "why"), [(one["what"], one["why"]) for one in receipt["untouched"]])
    search = receipt["search"]
    typer.echo(f"Searched {search['files']:,} files, {search['bytes']:,} bytes: {_closing(receipt)}.")
    typer.echo(
        f"The receipt is kept as erasures/{receipt['receipt']}.json. Models were trained with these customers: "
        "run the next retraining soon."
    )
