"""Segments: what they are, and what is known of each."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from serve.commands import segment_files, segment_moves, segment_names
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
    from collections.abc import Mapping, Sequence

    from cluster.artifact import SegmentProfile
    from serve.lineage import Kept, SizeThen
    from serve.segment_facts import Told
    from store.catalogue import Catalogue
    from store.workspace import Workspace

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
SPARKS = "▁▂▃▄▅▆▇█"
LONGEST_TREND = 12


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    app.command()(show)
    segment_names.register(app)
    segment_moves.register(app)
    segment_files.register(app)
    root.add_typer(app, name="segments")


@app.callback()
def segments(
    context: typer.Context,
    about: Annotated[
        int | None, typer.Option(metavar="N", help="Put the segments into about so many groups, for an overview.")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
    json: JsonOption = False,
) -> None:
    """List the segments: size, how it changed, stability, and what happened to segments last."""
    if context.invoked_subcommand is not None:
        return
    from serve.catalogues import open_catalogue
    from serve.lineage import Kept
    from serve.moves import briefly
    from serve.segment_groups import in_groups

    place = open_workspace(workspace, snapshot, need="kept")
    opened = Kept.load(place, snapshot, deep=True)
    with open_catalogue(place) as catalogue:
        told = _told(place, opened, catalogue)
    groups = None if about is None else in_groups(opened.segments, opened.behaviour, about, told.naming.names)
    if json:
        print_json({**told.listing(about), "groups": groups})
        return
    if groups is None:
        _print_segments(told)
    else:
        _print_groups(groups, told)
    if opened.segments.message:
        typer.echo(opened.segments.message)
    for event in told.latest:
        typer.echo(briefly(event, told.names))
    typer.echo(
        f"{opened.segments.unassigned_share:.1%} of {len(opened.segments.labels):,} customers are in no segment."
    )
    if groups is None:
        typer.echo(
            f"The map is {opened.segments.page}; `kinfolk segments map` draws it with names that were given since."
        )


def _told(place: "Workspace", opened: "Kept", catalogue: "Catalogue") -> "Told":
    from serve.lineage import lineage_up_to
    from serve.objections import objecting
    from serve.segment_facts import Told
    from serve.segment_names import naming_of
    from store.objections import Objections
    from store.segment_names import SegmentNames

    who = objecting(Objections(catalogue))
    naming = naming_of(opened.segments, SegmentNames(catalogue))
    return Told(lineage_up_to(place, opened), naming, lambda customer: not who.are(customer))


def _print_segments(told: "Told") -> None:
    from serve.lineage import change

    rows = []
    for profile in map(told.profile, told.kept.segments.profiles):
        sizes = told.trends[profile.id]
        trend, standing = _trend(change(sizes), sizes), _stability(profile.stability, profile.standing)
        rows.append((profile.id, profile.name, profile.size, f"{profile.share:.1%}", trend, standing))
    print_table(("segment", "name", "customers", "share", "trend", "stability"), rows)


def _print_groups(groups: "Sequence[Mapping[str, Any]]", told: "Told") -> None:
    """A line for each group, and under it one for each of its segments where it has several."""
    profiles = {profile.id: told.profile(profile) for profile in told.kept.segments.profiles}
    rows: list[tuple[Any, ...]] = []
    for group in groups:
        inside = [profiles[segment] for segment in group["segments"]]
        only = inside[0].id if len(inside) == 1 else None
        rows.append((only, group["name"], group["size"], f"{group['share']:.1%}"))
        if only is None:
            rows += [(p.id, f"  {p.name}", p.size, f"{p.share:.1%}") for p in sorted(inside, key=lambda p: -p.size)]
    print_table(("segment", "group, and the segments in it", "customers", "share"), rows)


def show(
    segment: Annotated[int, typer.Argument(metavar="ID", help="Number of a segment.")],
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
    json: JsonOption = False,
) -> None:
    """Show one segment: who is in it, what sets it apart, its parts, its size over time, what happened to it, names."""
    from serve.catalogues import open_catalogue
    from serve.lineage import Kept
    from serve.segment_names import profile_of
    from store.segment_names import SegmentNames

    place = open_workspace(workspace, snapshot, need="kept")
    opened = Kept.load(place, snapshot)
    found = profile_of(opened.segments, segment)
    with open_catalogue(place) as catalogue:
        told = _told(place, opened, catalogue)
        given = [n for n in SegmentNames(catalogue).history(opened.segments.lineage) if n.segment == segment]
    if json:
        names_given = [{"name": n.name, "at": n.at.isoformat(), "by": n.actor} for n in given]
        print_json({**told.one(found), "made_name": found.name, "names": names_given})
        return
    _print_segment(told, found, bool(given))
    for event in told.one(found)["events"]:
        typer.echo(event["words"])
    for one in given:
        typer.echo(f"Called {one.name!r} on {one.at:%Y-%m-%d %H:%M} by {one.actor}.")


def _print_segment(told: "Told", found: "SegmentProfile", renamed: bool) -> None:
    from cluster.card import NO_DEFINITION
    from serve.segment_facts import how_well
    from serve.segment_groups import COARSE

    profile, facts = told.profile(found), told.one(found)
    rows: list[tuple[str, Any]] = [
        ("name", profile.name),
        *([("made from behaviour", found.name)] if renamed else []),
        ("customers", f"{profile.size:,} ({profile.share:.1%})"),
        ("stability", _stability(profile.stability, profile.standing)),
        ("mean strength", profile.strength),
        ("born in generation", profile.born),
        ("typical customers", ", ".join(map(str, facts["typical"]))),
    ]
    print_table(("", ""), rows, title=f"Segment {profile.id}")
    others = [f"{other} ({told.naming.names[other]})" for other in facts["group"] or () if other != profile.id]
    if others:
        typer.echo(f"In about {COARSE} groups it is together with {', '.join(others)}.")
    typer.echo("\nWho is in it")
    if profile.definition is None:
        early = told.kept.segments.manifest.version == 1
        typer.echo("Not told: it was found before segments had definitions." if early else NO_DEFINITION)
    else:
        typer.echo(f"{profile.definition.text}\n({how_well(profile.definition)})")
    print_table(
        ("behaviour", "segment", "everybody", "lift", "robust z"),
        [(d.words, d.segment, d.everybody, d.lift, d.z) for d in profile.drivers],
        title="What sets it apart",
    )
    if profile.parts:
        parts = [
            (
                part["number"],
                part["name"],
                part["size"],
                f"{part['share']:.1%}",
                _stability(part["stability"], part["standing"]),
            )
            for part in facts["parts"]
        ]
        print_table(("part", "name", "customers", "of the segment", "stability"), parts, title="Parts")
    sizes = told.trends[profile.id]
    if len(sizes) > 1:
        rows_then = [(f"{then.published:%Y-%m-%d %H:%M}", then.snapshot, then.size) for then in sizes]
        print_table(("published", "snapshot", "customers"), rows_then, title="Size")


def _stability(stability: float, standing: str) -> str:
    return f"{stability:.2f} {standing}"


def _trend(grown: int | None, sizes: "Sequence[SizeThen]") -> str:
    """The change since the snapshot before, and the sizes as small bars; empty where there is nothing before."""
    if grown is None:
        return ""
    last = [then.size for then in sizes[-LONGEST_TREND:]]
    bars = "".join(SPARKS[round(size / max(*last, 1) * (len(SPARKS) - 1))] for size in last)
    return f"{grown:+,} {bars}"
