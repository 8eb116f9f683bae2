"""The map as one HTML page that works offline: plotly.js and the data are inside it."""

import html
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cluster.clusters import Labels
from cluster.map import anchors_of, window_of
from cluster.neighbours import Floats
from cluster.palette import UNASSIGNED, colours_for

POINTS = 20_000
SEED = 0

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
    path: Path, positions: Floats, labels: Labels, names: Sequence[str], notes: Sequence[str], title: str
) -> None:
    """Write the interactive map of positions [n, 2]; `notes` [segments] stand below each name. Same input, same bytes.

    At most 20,000 customers are drawn, a fixed sample. No customer id is in the page.
    """
    from plotly.offline import get_plotlyjs

    anchors = anchors_of(positions, labels, len(names))
    colours = colours_for(anchors)
    shown = np.arange(len(positions))
    if len(shown) > POINTS:
        shown = np.sort(np.random.default_rng(SEED).choice(len(shown), POINTS, replace=False))
    traces = [_trace(positions[shown[labels[shown] < 0]], "unassigned", "in no segment", UNASSIGNED)]
    for segment, name in enumerate(names):
        mine = shown[labels[shown] == segment]
        traces.append(_trace(positions[mine], name, notes[segment], colours[segment]))
    left, right, bottom, top = window_of(positions)
    hidden = {"visible": False}
    layout = {
        "title": {"text": html.escape(title)},
        "xaxis": {**hidden, "range": [round(left, 3), round(right, 3)]},
        "yaxis": {**hidden, "range": [round(bottom, 3), round(top, 3)]},
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "legend": {"itemsizing": "constant"},
    }
    page = PAGE.format(title=html.escape(title), library=get_plotlyjs(), data=_json(traces), layout=_json(layout))
    path.write_text(page, encoding="utf-8")


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
