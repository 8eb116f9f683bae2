"""The map as one HTML page that works offline: plotly.js and the data are inside it."""

import base64
import html
import io
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cluster.clusters import Labels
from cluster.labels import spread_out
from cluster.map import MOST_NAMES, anchors_of, density, window_of
from cluster.neighbours import Floats
from cluster.palette import colour_of

POINTS = 20_000
SEED = 0
SCREEN = (1000.0, 700.0)
"""Picture elements that the map is reckoned to have when names are placed."""
LINE, LETTER, HIGH = 24, 6.0, 14.0
"""Letters in a line of a name, and the width and height of one in picture elements."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ margin: 0; font-family: sans-serif }} #map {{ width: 100vw; height: 100vh }}</style>
<script>{library}</script>
</head>
<body>
<div id="map"></div>
<script>
Plotly.newPlot("map", {data}, {layout}, {{displaylogo: false, responsive: true, scrollZoom: true}});
</script>
</body>
</html>
"""


def write_page(
    path: Path,
    positions: Floats,
    labels: Labels,
    names: Sequence[str],
    notes: Sequence[str],
    title: str,
    ids: Sequence[int] | None = None,
) -> None:
    """Write the interactive map of positions [n, 2]; `notes` [segments] stand below each name. Same input, same bytes.

    `ids` [segments] are their numbers in the labels, 0 to segments - 1 where they are left out. At most 20,000
    customers are points that can be pointed at, a fixed sample; where there are more, a picture of all of them lies
    beneath. No customer id is in the page.
    """
    shown = np.arange(len(positions))
    if len(shown) > POINTS:
        shown = np.sort(np.random.default_rng(SEED).choice(len(shown), POINTS, replace=False))
    window = window_of(positions)
    known = list(range(len(names)) if ids is None else ids)
    traces = [_trace(positions[shown[labels[shown] < 0]], "unassigned", "in no segment", colour_of(-1))]
    for id, name, note in zip(known, names, notes, strict=True):
        traces.append(_trace(positions[shown[labels[shown] == id]], name, note, colour_of(id)))
    hidden = {"visible": False}
    layout = {
        "title": {"text": html.escape(title)},
        "xaxis": {**hidden, "range": [round(x, 3) for x in window[:2]]},
        "yaxis": {**hidden, "range": [round(y, 3) for y in window[2:]]},
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "legend": {"itemsizing": "constant"},
        "annotations": _names(positions, labels, known, names, window),
        "images": [] if len(shown) == len(positions) else [_beneath(positions, labels, window)],
    }
    path.write_text(offline(title, traces, layout), encoding="utf-8")


def _names(
    positions: Floats,
    labels: Labels,
    ids: Sequence[int],
    names: Sequence[str],
    window: tuple[float, float, float, float],
) -> list[dict[str, object]]:
    """The names of the largest segments where these lie, none over another on a screen of usual size."""
    ids = ids[:MOST_NAMES]
    if not ids:
        return []
    left, right, bottom, top = window
    members = [np.flatnonzero(labels == id) for id in ids]
    anchors = anchors_of(positions, members)
    lines = [textwrap.wrap(name, LINE) for name in names[: len(ids)]]
    sizes = np.array([[LETTER * max(map(len, text)) + 8.0, HIGH * len(text) + 6.0] for text in lines])
    scale = np.array([SCREEN[0] / (right - left), SCREEN[1] / (top - bottom)])
    points = (anchors - [left, bottom]) * scale
    # a name would hide a small segment: it goes above that, and into the middle of a large one
    edges = (np.array([np.quantile(positions[rows, 1], 0.95) for rows in members]) - bottom) * scale[1]
    wanted = points.copy()
    wanted[:, 1] = np.where(edges - points[:, 1] < 2 * sizes[:, 1], edges + sizes[:, 1], points[:, 1])
    offsets = spread_out(wanted, sizes, (0.0, 0.0, *SCREEN)) - points
    return [
        {
            "x": round(float(x), 3),
            "y": round(float(y), 3),
            "ax": round(float(right), 1),
            "ay": round(float(-up), 1),
            "text": "<br>".join(html.escape(line) for line in text),
            "font": {"size": 11, "color": "#222222"},
            "bgcolor": "rgba(255, 255, 255, 0.7)",
            "arrowhead": 0,
            "arrowwidth": 1,
            "arrowcolor": colour_of(id),
        }
        for (x, y), (right, up), text, id in zip(anchors, offsets, lines, ids, strict=True)
    ]


def offline(title: str, traces: Sequence[dict[str, object]], layout: dict[str, object]) -> str:
    """A page with one plot of plotly.js that needs nothing from anywhere."""
    from plotly.offline import get_plotlyjs

    return PAGE.format(title=html.escape(title), library=get_plotlyjs(), data=_json(traces), layout=_json(layout))


def _beneath(positions: Floats, labels: Labels, window: tuple[float, float, float, float]) -> dict[str, object]:
    """Everybody as a picture that lies beneath the points and goes with them when the map is zoomed."""
    from matplotlib.image import imsave

    content = io.BytesIO()
    unsigned: Any = {"Software": None}  # without this, matplotlib writes its own version into the picture
    imsave(content, density(positions, labels, window), format="png", origin="lower", metadata=unsigned)
    left, right, bottom, top = window
    return {
        "source": "data:image/png;base64," + base64.b64encode(content.getvalue()).decode(),
        "xref": "x",
        "yref": "y",
        "x": left,
        "y": top,
        "sizex": right - left,
        "sizey": top - bottom,
        "sizing": "stretch",
        "layer": "below",
        "opacity": 0.6,
    }


def _trace(positions: Floats, name: str, note: str, colour: str) -> dict[str, object]:
    text = f"<b>{html.escape(name)}</b><br>{html.escape(note)}"
    return {
        "type": "scattergl",
        "mode": "markers",
        "name": html.escape(name),
        "x": [round(float(x), 3) for x in positions[:, 0]],
        "y": [round(float(y), 3) for y in positions[:, 1]],
        "marker": {"size": 4, "color": colour, "opacity": 0.7},
        "hovertemplate": text + "<extra></extra>",
    }


def _json(value: object) -> str:
    """JSON that cannot close the script element that it stands in."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
