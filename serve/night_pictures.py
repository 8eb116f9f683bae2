"""Pictures of the page of a night, in HTML and SVG made by hand: bars, and who went from where to where.

Widths follow the screen, heights are picture elements, and every figure that is drawn is also written.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.palette import colour_of
from serve.night_report import Flow

MOST_FLOWS = 14
HIGHEST, A_BAR = 420.0, 32.0
"""Picture elements of the flow's bars together, and of each where they are few; the slots of names come on top."""
SLOT, BAR, WIDE = 36.0, 5.0, 100.0
"""Height that a name of two lines needs; thickness of a bar and width of the drawing in units of it."""

Namer = Callable[[int], str]


@dataclass(frozen=True)
class Bar:
    """One row: a name, a figure in words, and how long its bar is, beside the one of before if there is one."""

    name: str
    figure: str
    value: float
    before: float | None = None
    note: str = ""


def bars(rows: Sequence[Bar], longest: float, limit: float | None = None) -> str:
    """Rows of bars, as long as their share of `longest`; a dashed line stands at the limit."""
    return f'<div class="bars">{"".join(_bar(row, longest, limit) for row in rows)}</div>'


def _bar(row: Bar, longest: float, limit: float | None) -> str:
    note = f' <small class="faint">{html.escape(row.note)}</small>' if row.note else ""
    return (
        f'<span class="name">{html.escape(row.name)}{note}</span>{strip(row, longest, limit)}'
        f'<span class="figure">{html.escape(row.figure)}</span>'
    )


def strip(row: Bar, longest: float, limit: float | None = None) -> str:
    """The bar of a row alone."""
    strips = f'<i style="width:{_percent(row.value, longest)}"></i>'
    if row.before is not None:
        strips += f'<i class="was" style="width:{_percent(row.before, longest)}"></i>'
    if limit is not None:
        strips += f'<b style="left:{_percent(limit, longest)}"></b>'
    two = " two" if row.before is not None else ""
    return f'<span class="track{two}">{strips}</span>'


def _percent(value: float, longest: float) -> str:
    return f"{100 * min(max(value / longest, 0.0), 1.0) if longest > 0 else 0:.2f}%"


@dataclass(frozen=True)
class _Node:
    """One end of streams: its segment, how many customers, where its bar begins and where its slot's middle is."""

    segment: int
    customers: int
    top: float
    middle: float


def flow_picture(flows: Sequence[Flow], before: Namer, after: Namer) -> str:
    """The largest streams between segments as ribbons from left to right, names beside them."""
    shown = sorted(flows, key=lambda flow: (-flow.customers, flow.source, flow.target))[:MOST_FLOWS]
    ends = len({flow.source for flow in shown}) + len({flow.target for flow in shown})
    scale = min(HIGHEST, A_BAR * ends) / max(sum(flow.customers for flow in shown), 1)
    left = _nodes([(flow.source, flow.customers) for flow in shown], scale)
    right = _nodes([(flow.target, flow.customers) for flow in shown], scale)
    height = max(_end(left, scale), _end(right, scale))
    drawing = _ribbons(shown, left, right, scale) + "".join(
        f'<rect x="{x:g}" y="{node.top:.1f}" width="{BAR * 0.4:g}" height="{max(node.customers * scale, 1):.1f}" '
        f'fill="{colour_of(node.segment)}"/>'
        for x, nodes in ((0, left), (WIDE - BAR * 0.4, right))
        for node in nodes.values()
    )
    label = f"The largest {len(shown)} streams of customers between segments; the same figures stand in the table below"
    return (
        f'<div class="flow" style="height:{height:.0f}px">{_names(left, before)}'
        f'<svg viewBox="0 0 {WIDE:g} {height:.0f}" height="{height:.0f}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{drawing}</svg>{_names(right, after)}</div>'
    )


def _nodes(ends: Sequence[tuple[int, int]], scale: float) -> dict[int, _Node]:
    """The bars of one side, the largest first, each in a slot that has room for its name."""
    totals: dict[int, int] = {}
    for segment, customers in ends:
        totals[segment] = totals.get(segment, 0) + customers
    out, at = {}, 0.0
    for segment, customers in sorted(totals.items(), key=lambda item: (-item[1], item[0])):
        slot = max(customers * scale + 8, SLOT)
        out[segment] = _Node(segment, customers, at + (slot - customers * scale) / 2, at + slot / 2)
        at += slot
    return out


def _end(nodes: dict[int, _Node], scale: float) -> float:
    return sum(max(node.customers * scale + 8, SLOT) for node in nodes.values())


def _names(nodes: dict[int, _Node], name: Namer) -> str:
    spans = "".join(
        f'<span style="top:{node.middle:.1f}px"><b>{node.customers:,}</b> {html.escape(name(node.segment))}</span>'
        for node in nodes.values()
    )
    return f"<div>{spans}</div>"


def _ribbons(flows: Sequence[Flow], left: dict[int, _Node], right: dict[int, _Node], scale: float) -> str:
    """At each bar from above to below in the order of the other ends, so that ribbons cross as little as can be."""
    starts, ends = {}, {}
    at = {segment: node.top for segment, node in left.items()}
    for flow in sorted(flows, key=lambda flow: (flow.source, right[flow.target].top)):
        starts[flow.source, flow.target] = at[flow.source]
        at[flow.source] += flow.customers * scale
    at = {segment: node.top for segment, node in right.items()}
    for flow in sorted(flows, key=lambda flow: (flow.target, left[flow.source].top)):
        ends[flow.source, flow.target] = at[flow.target]
        at[flow.target] += flow.customers * scale
    return "".join(
        _ribbon(starts[flow.source, flow.target], ends[flow.source, flow.target], flow, scale) for flow in flows
    )


def _ribbon(start: float, end: float, flow: Flow, scale: float) -> str:
    thick, x0, x1, middle = max(flow.customers * scale, 1.0), BAR * 0.4, WIDE - BAR * 0.4, WIDE / 2
    path = (
        f"M{x0:g} {start:.1f}C{middle:g} {start:.1f} {middle:g} {end:.1f} {x1:g} {end:.1f}V{end + thick:.1f}"
        f"C{middle:g} {end + thick:.1f} {middle:g} {start + thick:.1f} {x0:g} {start + thick:.1f}Z"
    )
    return f'<path d="{path}" fill="{colour_of(flow.source)}" fill-opacity=".5"/>'
