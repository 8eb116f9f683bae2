"""The command line: `kinfolk`. Commands import inside their bodies, so that `kinfolk --help` loads no torch.

Exit codes: 0 done; 2 the user can mend it (one clear sentence on stderr); 1 a fault of kinfolk; 130 Ctrl-C.
"""

from typing import Annotated

import typer

from serve.commands import (
    audiences,
    data,
    forget,
    keys,
    line,
    night,
    objections,
    publications,
    saved,
    segments,
    service,
    use,
)
from serve.commands.shared import Group

app = typer.Typer(
    name="kinfolk",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kinfolk {version('kinfolk')}")
        raise typer.Exit


@app.callback()
def kinfolk(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            envvar="KINFOLK_THREADS",
            help="Threads to compute with; all available cores if left out.",
        ),
    ] = None,
) -> None:
    """Turn each customer's history of events into one vector, and act on it.

    Start with `kinfolk demo`, or with your own events: `kinfolk data check RECIPE`, then `kinfolk run RECIPE`.
    """
    from store.threads import set_threads

    set_threads(threads)


for commands in (line, night, data, audiences, saved, segments, use, publications, objections, forget, keys, service):
    commands.register(app)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
