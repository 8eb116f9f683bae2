"""A flow between two snapshots as a PNG, and as an HTML page that works offline."""

import html
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cluster.flow import AFTER, BEFORE, MIDDLE, Flow, Node
from cluster.labels import spread_out
from cluster.page import offline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT, DPI = 1600, 1200, 160
TOP, BOTTOM = 1120, 30
LEFT, RIGHT, BAR = 420, 1180, 16
"""Pixels: the bars' places, and their thickness; names stand outside."""
GAP = 12
LETTERS = 40

Spans = dict[int, tuple[float, float]]
"""By node: the bottom and the top of its bar, pixels."""


def draw_flow(path: Path, flow: Flow, title: str, heads: tuple[str, str]) -> None:
    """Write the flow as a PNG of 1600 × 1200 pixels; `heads` stand above its sides. Same input, same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(0, HEIGHT)
    axes.text(24, HEIGHT - 34, title, fontsize=11, va="center", color="#222222", parse_math=False)
    for x, head, anchor in ((LEFT + BAR, heads[0], "right"), (RIGHT, heads[1], "left")):
        axes.text(x, HEIGHT - 68, head, fontsize=8, ha=anchor, va="center", color="#555555", parse_math=False)
    spans = spans_of(flow)
    _ribbons(axes, flow, spans)
    for i, (low, high) in spans.items():
        corner = _left_of(flow.nodes[i].side), low
        axes.add_patch(Rectangle(corner, BAR, high - low, facecolor=flow.nodes[i].colour, linewidth=0, zorder=3))
    for side in (BEFORE, AFTER):
        _names(axes, flow, side, spans, canvas.get_renderer())
    for i in flow.places(MIDDLE):
        axes.text(
            WIDTH / 2, spans[i][0] - 12, _label(flow.nodes[i]), fontsize=6.5, ha="center", va="center", parse_math=False
        )
    # without this, matplotlib writes its own version into the file
    figure.savefig(path, metadata={"Software": None})


def _label(node: Node) -> str:
    return f"{node.name} ({node.size:,})"


def _left_of(side: int) -> float:
    return {BEFORE: LEFT, MIDDLE: (WIDTH - BAR) / 2, AFTER: RIGHT}[side]


def spans_of(flow: Flow) -> Spans:
    """Where the bars stand: heights go by customers; what meets in the middle stands below all else."""
    outer = {side: flow.places(side) for side in (BEFORE, AFTER)}
    total = max(sum(flow.nodes[i].size for i in outer[BEFORE]), 1)
    bundle = sum(flow.nodes[i].size for i in flow.places(MIDDLE))
    gaps = GAP * (max(len(places) for places in outer.values()) - 1)
    strip = 60 if bundle else 0
    scale = (TOP - BOTTOM - gaps - strip) / (total + bundle)
    spans = {}
    for places in outer.values():
        top = float(TOP)
        for i in places:
            spans[i] = top - flow.nodes[i].size * scale, top
            top = spans[i][0] - GAP
    for i in flow.places(MIDDLE):
        spans[i] = BOTTOM + 10, BOTTOM + 10 + flow.nodes[i].size * scale
    return spans


def _ribbons(axes: "Axes", flow: Flow, spans: Spans) -> None:
    from matplotlib.patches import PathPatch

    out, into = ({i: high for i, (_, high) in spans.items()} for _ in range(2))
    scale = {i: (high - low) / max(flow.nodes[i].size, 1) for i, (low, high) in spans.items()}
    # at each bar from above to below in the order of the other ends, so that ribbons cross as little as can be
    starts, ends = {}, {}
    for ribbon in sorted(flow.ribbons, key=lambda r: (r.source, -spans[r.target][1])):
        high = out[ribbon.source]
        out[ribbon.source] = low = high - ribbon.size * scale[ribbon.source]
        starts[ribbon.source, ribbon.target] = low, high
    for ribbon in sorted(flow.ribbons, key=lambda r: (r.target, -spans[r.source][1])):
        high = into[ribbon.target]
        into[ribbon.target] = low = high - ribbon.size * scale[ribbon.target]
        ends[ribbon.source, ribbon.target] = low, high
    for ribbon in sorted(flow.ribbons, key=lambda r: (-r.size, r.source, r.target)):
        ends_at = _left_of(flow.nodes[ribbon.source].side) + BAR, _left_of(flow.nodes[ribbon.target].side)
        key = ribbon.source, ribbon.target
        # with an edge, so that a hair is seen too
        outline, colour = _band(*ends_at, starts[key], ends[key]), ribbon.colour
        patch = PathPatch(outline, facecolor=colour, edgecolor=colour, alpha=0.45, linewidth=0.4)
        axes.add_patch(patch)


def _band(left: float, right: float, start: tuple[float, float], end: tuple[float, float]) -> Any:
    """A ribbon from one bar to another: two cubic curves and the bars between them."""
    from matplotlib.path import Path as Outline

    middle = (left + right) / 2
    points = [
        (left, start[1]), (middle, start[1]), (middle, end[1]), (right, end[1]),
        (right, end[0]), (middle, end[0]), (middle, start[0]), (left, start[0]), (left, start[1]),
    ]  # fmt: skip
    move, line, curve = Outline.MOVETO, Outline.LINETO, Outline.CURVE4
    return Outline(points, [move, curve, curve, curve, line, curve, curve, curve, Outline.CLOSEPOLY])


def _names(axes: "Axes", flow: Flow, side: int, spans: Spans, renderer: Any) -> None:
    """Write the names beside the bars of a side, none over another, with a line to its bar where it had to move."""
    places = flow.places(side)
    size = 7.5 if len(places) <= 14 else 6.5 if len(places) <= 20 else 5.5
    edge, turn = (LEFT - 10, -1) if side == BEFORE else (RIGHT + BAR + 10, 1)
    texts = [
        axes.text(
            0, 0, "\n".join(textwrap.wrap(_label(flow.nodes[i]), LETTERS)), fontsize=size,
            ha="right" if side == BEFORE else "left", va="center", color="#111111", parse_math=False, linespacing=1.05,
        )
        for i in places
    ]  # fmt: skip
    heights = [text.get_window_extent(renderer).height + 3 for text in texts]
    room = float(LEFT - 40)
    boxes = np.array([[room, height] for height in heights])
    middles = np.array([[edge + turn * room / 2, sum(spans[i]) / 2] for i in places])
    frame = (min(edge, edge + turn * room), 4.0, max(edge, edge + turn * room), float(HEIGHT - 80))
    found: npt.NDArray[np.float64] = spread_out(middles, boxes, frame)
    for i, text, at, wanted in zip(places, texts, found[:, 1].tolist(), middles[:, 1].tolist(), strict=True):
        moved = abs(at - wanted) > 4
        text.set_position((edge + turn * (14 if moved else 0), at))
        if moved:
            line = ([edge - turn * 6, edge + turn * 12], [wanted, at])
            axes.plot(*line, color=flow.nodes[i].colour, linewidth=0.8, solid_capstyle="butt")


def write_flow_page(path: Path, flow: Flow, title: str, heads: tuple[str, str]) -> None:
    """Write the flow as a page to hover and drag in; no customer id is in it. Same input, same bytes."""
    count = max(len(flow.places(side)) for side in (BEFORE, AFTER))
    trace: dict[str, object] = {
        "type": "sankey",
        "arrangement": "snap",
        "valueformat": ",d",
        "node": {
            "label": [html.escape(node.name) for node in flow.nodes],
            "color": [node.colour for node in flow.nodes],
            "pad": 18,
            "thickness": BAR,
            "hovertemplate": "%{label}<br>%{value} customers<extra></extra>",
        },
        "link": {
            "source": [ribbon.source for ribbon in flow.ribbons],
            "target": [ribbon.target for ribbon in flow.ribbons],
            "value": [ribbon.size for ribbon in flow.ribbons],
            "color": [_faint(ribbon.colour) for ribbon in flow.ribbons],
            "hovertemplate": "%{source.label} → %{target.label}<br>%{value} customers<extra></extra>",
        },
    }
    layout: dict[str, object] = {
        "title": {"text": f"{html.escape(title)}<br><sub>{html.escape(heads[0])} → {html.escape(heads[1])}</sub>"},
        "font": {"size": 11},
        "height": max(640, 44 * count),
    }
    path.write_text(offline(title, [trace], layout), encoding="utf-8")


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.45)"
