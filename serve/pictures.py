"""Pictures of segments under the names in force: the map, the flow between two snapshots, and profile cards."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.artifact import SegmentProfile, Segments
from cluster.card import Card, draw_card
from cluster.card_page import write_card
from cluster.flow import flow_of
from cluster.flow_picture import draw_flow, write_flow_page
from cluster.map import draw
from cluster.page import write_page
from cluster.palette import colour_of
from serve.lineage import Kept, trends
from serve.moves import Comparison
from serve.segment_names import Names, named

PICTURES = (".png", ".html")
REMEMBERED = 40


def draw_map(segments: Segments, names: Names, path: Path) -> None:
    """Write the map of everybody at `path`, as a PNG or a page, whichever its name ends in."""
    profiles = [named(profile, names) for profile in segments.profiles]
    n, count = len(segments.labels), len(profiles)
    title = f"{n:,} customers, {count} segment{'' if count == 1 else 's'}, {segments.unassigned_share:.0%} in none"
    called, ids = [profile.name for profile in profiles], [profile.id for profile in profiles]
    if path.suffix.lower() == ".png":
        draw(path, segments.positions, segments.labels, called, title, ids)
        return
    notes = [f"{p.size:,} customers ({p.share:.1%}), {p.standing}" for p in profiles]
    write_page(path, segments.positions, segments.labels, called, notes, title, ids)


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Write the flow between two snapshots at `path`, as a PNG or a page, whichever its name ends in."""
    counts, one = comparison.matrix, comparison.one_lineage
    flow = flow_of(counts, *comparison.names, one)
    both = int(counts.counts[:-1, :-1].sum())
    moved = (
        f"{counts.moved:,} of {both:,} customers moved" if one else "segments of two lines: equal names mean nothing"
    )
    heads = tuple(f"{kept.name}, {kept.at:%Y-%m-%d}" for kept in (comparison.earlier, comparison.later))
    write = draw_flow if path.suffix.lower() == ".png" else write_flow_page
    write(path, flow, moved, (heads[0], heads[1]))


def draw_profile(
    lineage: Sequence[Kept], segment: SegmentProfile, names: Names, path: Path, typical: Sequence[int | str] = ()
) -> None:
    """Write the profile card of a segment of the last snapshot at `path`, as a PNG or a page, as its name ends.

    A page lists the `typical` customers that are given; a PNG lists none.
    """
    last, called = lineage[-1], named(segment, names)
    card = Card(
        name=called.name,
        size=called.size,
        share=called.share,
        stability=called.stability,
        definition=called.definition,
        drivers=called.drivers,
        typical=tuple(typical),
        trend=tuple((f"{then.published:%Y-%m-%d}", then.size) for then in trends(list(lineage))[segment.id]),
        positions=last.segments.positions,
        members=last.segments.labels == segment.id,
        colour=colour_of(segment.id),
    )
    if path.suffix.lower() == ".png":
        draw_card(path, card)
    else:
        write_card(path, card, typical=bool(typical))


class Pictures:
    """Pictures that were drawn lately; drawn one at a time, since a map of millions takes seconds."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, key: tuple[str, ...], suffix: str, write: Callable[[Path], None]) -> bytes:
        """The picture known by `key`, made by `write` at a path with this suffix where it is not known yet."""
        key = (*key, suffix)
        with self._lock:
            if key not in self._kept:
                with tempfile.TemporaryDirectory(prefix="kinfolk-") as folder:
                    path = Path(folder) / f"picture{suffix}"
                    write(path)
                    self._kept[key] = path.read_bytes()
            self._kept.move_to_end(key)
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
            return self._kept[key]
