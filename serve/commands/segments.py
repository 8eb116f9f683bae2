"""Segments: what they are, and what is known of each."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from serve.commands import segment_moves, segment_names
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
    from collections.abc import Sequence

    from cluster.artifact import SegmentProfile
    from serve.lineage import SizeThen

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
SPARKS = "▁▂▃▄▅▆▇█"
LONGEST_TREND = 12


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    app.command()(show)
    segment_names.register(app)
    segment_moves.register(app)
    root.add_typer(app, name="segments")


@app.callback()
def segments(
    context: typer.Context,
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
    json: JsonOption = False,
) -> None:
    """List the segments: size, how it changed, stability, and the behaviours that set each apart."""
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from cluster.artifact import Segments
    from serve.catalogues import open_catalogue
    from serve.lineage import Kept, change, lineage_up_to, trends
    from serve.segment_names import named, names_in_force

    place = open_workspace(workspace)
    opened = Segments.load(place.snapshot_folder(snapshot) / "segments")
    with open_catalogue(place) as catalogue:
        names = names_in_force(opened, catalogue)
    sizes = trends(lineage_up_to(place, Kept.load(place, snapshot)))
    profiles = [named(profile, names) for profile in opened.profiles]
    if json:
        print_json([{**asdict(p), "standing": p.standing, **_trend_facts(sizes[p.id])} for p in profiles])
        return
    rows = [
        (p.id, p.name, p.size, f"{p.share:.1%}", _trend(change(sizes[p.id]), sizes[p.id]), _stability(p))
        for p in profiles
    ]
    print_table(("segment", "name", "customers", "share", "trend", "stability"), rows)
    if opened.message:
        typer.echo(opened.message)
    typer.echo(f"{opened.unassigned_share:.1%} of {len(opened.labels):,} customers are in no segment.")
    typer.echo(f"The map is {opened.page}; `kinfolk segments map` draws it with names that were given since.")


def show(
    segment: Annotated[int, typer.Argument(metavar="ID", help="Number of a segment.")],
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
    json: JsonOption = False,
) -> None:
    """Show one segment: what sets it apart, its size over time, what happened to it, its names, typical customers."""
    from dataclasses import asdict

    from serve.catalogues import open_catalogue
    from serve.lineage import Kept, lineage_up_to, trends
    from serve.moves import event_facts, told
    from serve.segment_names import named, names_in_force, profile_of
    from store.segment_names import SegmentNames

    place = open_workspace(workspace)
    opened = Kept.load(place, snapshot)
    found = profile_of(opened.segments, segment)
    with open_catalogue(place) as catalogue:
        names = names_in_force(opened.segments, catalogue)
        given = [n for n in SegmentNames(catalogue).history(opened.segments.lineage) if n.segment == segment]
    profile = named(found, names)
    sizes = trends(lineage_up_to(place, opened))[segment]
    events = [event for event in opened.segments.events if segment in (event.segment, *event.others)]
    if json:
        facts = {**asdict(profile), "standing": profile.standing, **_trend_facts(sizes)}
        names_given = [{"name": n.name, "at": n.at.isoformat(), "by": n.actor} for n in given]
        happened = [event_facts(event, names) for event in events]
        print_json(
            {**facts, "snapshot": opened.name, "made_name": found.name, "names": names_given, "events": happened}
        )
        return
    rows: list[tuple[str, Any]] = [
        ("name", profile.name),
        ("customers", f"{profile.size:,} ({profile.share:.1%})"),
        ("stability", _stability(profile)),
        ("mean strength", profile.strength),
        ("typical customers", ", ".join(map(str, profile.typical))),
    ]
    if given:
        rows.insert(1, ("made from behaviour", found.name))
    print_table(("", ""), rows, title=f"Segment {segment}")
    print_table(
        ("behaviour", "segment", "everybody", "lift", "robust z"),
        [(d.words, d.segment, d.everybody, d.lift, d.z) for d in profile.drivers],
        title="What sets it apart",
    )
    if len(sizes) > 1:
        rows_then = [(f"{then.published:%Y-%m-%d %H:%M}", then.snapshot, then.size) for then in sizes]
        print_table(("published", "snapshot", "customers"), rows_then, title="Size")
    for line in [told(event, names) for event in events]:
        typer.echo(line)
    for one in given:
        typer.echo(f"Called {one.name!r} on {one.at:%Y-%m-%d %H:%M} by {one.actor}.")


def _stability(profile: "SegmentProfile") -> str:
    return f"{profile.stability:.2f} {profile.standing}"


def _trend(grown: int | None, sizes: "Sequence[SizeThen]") -> str:
    """The change since the snapshot before, and the sizes as small bars; empty where there is nothing before."""
    if grown is None:
        return ""
    last = [then.size for then in sizes[-LONGEST_TREND:]]
    bars = "".join(SPARKS[round(size / max(*last, 1) * (len(SPARKS) - 1))] for size in last)
    return f"{grown:+,} {bars}"


def _trend_facts(sizes: "Sequence[SizeThen]") -> dict[str, Any]:
    from dataclasses import asdict

    from serve.lineage import change

    facts = [{**asdict(then), "published": then.published.isoformat()} for then in sizes]
    return {"change": change(tuple(sizes)), "sizes": facts}
