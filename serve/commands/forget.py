"""Erasing customers, and the receipts of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serve.commands.places import is_remote, open_mirror
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
    from contextlib import nullcontext

    from index.files import read_ids
    from serve.console_progress import console_progress
    from serve.forget import allow, finish_in_store
    from serve.forget import forget as erase

    ids: list[CustomerId] = [*(customers or ()), *(read_ids(file) if file is not None else ())]
    remote = open_mirror(workspace, need="everything", write="yes") if is_remote(workspace) else None
    opened = open_workspace(workspace) if remote is None else remote.local
    if allowed:
        count = allow(opened, ids)
        told = f"{count:,} of {len(set(map(str, ids))):,} customers were in the register and may come back."
        print_json({"allowed": count}) if json else typer.echo(told)
        return
    with console_progress() as progress, nullcontext() if remote is None else remote.alone():
        receipt = erase(opened, ids, progress)
        if remote is not None:
            finish_in_store(remote, ids, receipt, progress)
    if json:
        print_json(receipt)
    else:
        _print(receipt)
    if found := _found(receipt):
        from configs.errors import ArtifactError

        raise ArtifactError(
            f"receipt {receipt['receipt']}: customers were erased, but these files of the workspace still name them: "
            f"{', '.join(found)}; delete those that are not kinfolk's, and start again"
        )


def erasures(workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """List the receipts of erasures, oldest first."""
    from store.erasures import receipts

    found = receipts(open_workspace(workspace, need="notes").root)
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
    if receipt["search"] is None or receipt.get("store", {}) is None:
        return "not done"
    return f"{len(found)} files left" if (found := _found(receipt)) else "nothing left"


def _found(receipt: dict[str, Any]) -> list[str]:
    """What still names an erased customer, here and in an object store."""
    return [*receipt["search"]["found"], *(receipt.get("store") or {}).get("found", ())]


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
    if "store" in receipt:
        store = receipt["store"]
        typer.echo(
            f"{store['url']} holds those files, by their SHA-256, and {store['others']:,} other objects, searched too."
        )
    typer.echo(
        f"The receipt is kept as erasures/{receipt['receipt']}.json. Models were trained with these customers: "
        "run the next retraining soon."
    )
