"""The profile card of a segment as one HTML page: no script, nothing from elsewhere, works offline."""

import html
from pathlib import Path

import numpy as np

from cluster.card import NO_DEFINITION, NO_DRIVERS, NOTE, Card, Doubles, capital, density_of, rows_of
from cluster.palette import UNASSIGNED

BINS = (96, 60)
STEPS = 5
"""Strengths of colour on the map."""
TREND = (300, 110)

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>
body {{ margin: 2rem auto; max-width: 68rem; padding: 0 1.5rem; font-family: sans-serif; line-height: 1.4 }}
h1 {{ margin: 0; font-size: 1.7rem; overflow-wrap: anywhere }}
h2 {{ margin: 1.4rem 0 .5rem; font-size: 1.1rem }}
.faint {{ color: #555 }} .note {{ color: #555; font-size: .8rem }}
hr {{ border: 0; border-top: 4px solid {colour}; margin: 1rem 0 0 }}
ul {{ margin: .3rem 0; padding-left: 1.3rem }}
.sides {{ display: flex; flex-wrap: wrap; gap: 0 2.5rem; align-items: flex-start }}
.sides > :first-child {{ flex: 3 1 26rem; min-width: 0 }} .sides > :nth-child(2) {{ flex: 1 1 18rem; max-width: 26rem }}
table {{ border-collapse: collapse; width: 100% }}
th {{ font-weight: normal; color: #555; font-size: .85rem; text-align: right; padding: 0 0 .3rem .8rem }}
th:first-child {{ text-align: left; padding-left: 0 }}
td {{ padding: .25rem 0 .45rem .8rem; text-align: right; vertical-align: top; white-space: nowrap }}
td:first-child {{ width: 100%; padding-left: 0; text-align: left; white-space: normal; overflow-wrap: anywhere }}
.bar {{ display: flex; align-items: center; gap: .4rem; font-size: .8rem; line-height: 1.1; white-space: nowrap;
  padding-right: 5rem }}
.bar > i {{ display: block; height: .7rem; flex: none; max-width: 100% }}
.mine {{ background: {colour} }} .all {{ background: #a8a8a8 }}
.key {{ display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; vertical-align: -.05rem }}
.key + span {{ margin-right: 1.2rem }}
svg {{ width: 100%; height: auto; display: block }}
.ends {{ display: flex; justify-content: space-between; font-size: .85rem }}
</style>
</head>
<body>
<h1>{name}</h1>
<div class="faint">{figures}</div>
<hr>
<h2>Who is in it</h2>
{definition}
<div class="sides">
<section>
<h2>What sets it apart</h2>
{drivers}
</section>
{aside}
</div>
{typical}
</body>
</html>
"""


def write_card(path: Path, card: Card, typical: bool = False) -> None:
    """Write the card as a page, with the ids of `typical` customers only if asked to; same input, same bytes."""
    density, trend = density_of(card, BINS), card.trend if len(card.trend) > 1 else ()
    beside = (_map(density, card.colour) if density is not None else "") + (_trend(card) if trend else "")
    page = PAGE.format(
        name=html.escape(card.name),
        colour=card.colour,
        figures=html.escape(card.figures),
        definition=_definition(card),
        drivers=_drivers(card),
        aside=f"<aside>\n{beside}</aside>" if beside else "",
        typical=_typical(card) if typical and card.typical else "",
    )
    path.write_text(page, encoding="utf-8")


def _definition(card: Card) -> str:
    if card.definition is None:
        return f"<p>{NO_DEFINITION}</p>"
    items = "".join(f"<li>{html.escape(capital(one.text))}</li>\n" for one in card.definition.conditions)
    return f'<ul>\n{items}</ul>\n<div class="faint">{html.escape(card.how_well)}</div>'


def _drivers(card: Card) -> str:
    rows = rows_of(card)
    if not rows:
        return f"<p>{NO_DRIVERS}</p>"
    keys = '<i class="key mine"></i><span>this segment</span><i class="key all"></i><span>everybody</span>'
    lines = [f"<table>\n<tr><th>{keys}</th><th>lift</th><th>z</th></tr>"]
    for row in rows:
        bars = "".join(
            f'<div class="bar"><i class="{of}" style="width: {100 * length:.1f}%"></i>{html.escape(value)}</div>'
            for of, length, value in zip(("mine", "all"), row.lengths, (row.segment, row.everybody), strict=True)
        )
        lines.append(f"<tr><td>{html.escape(row.label)}{bars}</td><td>{row.lift}</td><td>{row.z}</td></tr>")
    return "\n".join([*lines, "</table>", f'<p class="note">{NOTE}</p>'])


def _map(density: tuple[Doubles, Doubles], colour: str) -> str:
    """Everybody in grey and the segment over them, as squares of a few strengths."""
    wide, high = BINS
    paths = []
    for dense, fill in zip(density, (UNASSIGNED, colour), strict=True):
        strength = np.ceil(dense * STEPS).astype(np.int64)
        for step in range(1, STEPS + 1):
            ys, xs = np.nonzero(strength == step)
            squares = "".join(f"M{x} {high - 1 - y}h1v1h-1z" for y, x in zip(ys.tolist(), xs.tolist(), strict=True))
            if squares:
                opacity = 0.35 + 0.65 * step / STEPS
                paths.append(f'<path d="{squares}" fill="{fill}" fill-opacity="{opacity:.2f}"/>')
    frame = f'<rect width="{wide}" height="{high}" fill="none" stroke="#dddddd" stroke-width=".6"/>'
    picture = "\n".join(paths)
    label = "Map of all customers with the segment in colour"
    return (
        f'<h2>Where it lies</h2>\n<svg viewBox="0 0 {wide} {high}" role="img" aria-label="{label}" '
        f'shape-rendering="crispEdges">\n{picture}\n{frame}\n</svg>\n'
    )


def _trend(card: Card) -> str:
    """The segment's size over snapshots as a line from zero."""
    wide, high = TREND
    sizes = [size for _, size in card.trend]
    full = max(*sizes, 1)
    across = (wide - 10) / (len(sizes) - 1)
    points = [(5 + i * across, high - 2 - (high - 8) * size / full) for i, size in enumerate(sizes)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{card.colour}">'
        f"<title>{html.escape(when)}: {size:,}</title></circle>"
        for (x, y), (when, size) in zip(points, card.trend, strict=True)
    )
    ends = [f"<span>{size:,}<br>{html.escape(when)}</span>" for when, size in (card.trend[0], card.trend[-1])]
    return (
        f'<h2>Customers over snapshots</h2>\n<svg viewBox="0 0 {wide} {high}" role="img" aria-label="Size over '
        f'snapshots">\n<path d="M0 {high - 1}H{wide}" stroke="#bbbbbb"/>\n<polyline points="{line}" fill="none" '
        f'stroke="{card.colour}" stroke-width="2"/>\n{dots}\n</svg>\n<div class="ends faint">{"".join(ends)}</div>\n'
    )


def _typical(card: Card) -> str:
    ids = "".join(f"<li>{html.escape(str(one))}</li>" for one in card.typical)
    return f"<h2>Typical customers</h2>\n<ul>{ids}</ul>"
