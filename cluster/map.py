"""The map as a PNG: customers as points, or as density where there are many; segments coloured and named in place."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cluster.clusters import Labels
from cluster.labels import spread_out
from cluster.neighbours import Floats
from cluster.palette import colour_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT, DPI = 1600, 1200, 160
POINTS = 30_000
BINS = (800, 600)
MARGIN = 0.06
MOST_NAMES = 40


def members_of(labels: Labels, ids: Sequence[int]) -> list[npt.NDArray[np.int64]]:
    """The rows of each of some segments, ascending; `labels` [n] are everybody's."""
    order = np.argsort(labels, kind="stable")
    bounds = labels[order]
    return [order[slice(*np.searchsorted(bounds, [id, id + 1]))] for id in ids]


def anchors_of(positions: Floats, members: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.float64]:
    """Where each segment's name points to: the member nearest to the median of its members, [segments, 2]."""
    anchors = np.zeros((len(members), 2))
    for segment, rows in enumerate(members):
        mine = positions[rows].astype(np.float64)
        anchors[segment] = mine[np.argmin(((mine - np.median(mine, axis=0)) ** 2).sum(axis=1))]
    return anchors


def window_of(positions: Floats) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of the map, a margin around all but the outermost thousandth of customers."""
    low = np.quantile(positions, 0.001, axis=0).astype(float)
    high = np.quantile(positions, 0.999, axis=0).astype(float)
    pad = np.maximum(high - low, 1e-3) * MARGIN
    return low[0] - pad[0], high[0] + pad[0], low[1] - pad[1], high[1] + pad[1]


def draw(
    path: Path, positions: Floats, labels: Labels, names: Sequence[str], title: str, ids: Sequence[int] | None = None
) -> None:
    """Write the map of positions [n, 2] as a PNG of 1600 × 1200 pixels; same input, same bytes.

    `ids` [s] are the segments' numbers in the labels, in order of their names [s]: 0 to s - 1 where they are left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.92))
    axes.set_axis_off()
    axes.set_title(title, fontsize=11, loc="left", color="#222222", parse_math=False)
    window = window_of(positions)
    axes.set_xlim(*window[:2])
    axes.set_ylim(*window[2:])
    ids = range(len(names)) if ids is None else ids
    members = members_of(labels, ids)
    if len(positions) <= POINTS:
        _scatter(axes, positions, labels, members, ids)
    else:
        picture = density(positions, labels, window)
        axes.imshow(picture, extent=window, origin="lower", aspect="auto", interpolation="nearest")
    tops = np.array([np.quantile(positions[rows, 1], 0.95) for rows in members])
    colours = [colour_of(id) for id in ids]
    _name(figure, axes, anchors_of(positions, members), tops, names, colours, canvas.get_renderer())
    # without this, matplotlib writes its own version into the file
    figure.savefig(path, metadata={"Software": None})


def _scatter(
    axes: "Axes",
    positions: Floats,
    labels: Labels,
    members: Sequence[npt.NDArray[np.int64]],
    ids: Sequence[int],
) -> None:
    size = float(np.clip(60_000 / len(positions), 1.5, 14))
    rest = positions[labels < 0]
    axes.scatter(rest[:, 0], rest[:, 1], s=size * 0.6, c=colour_of(-1), linewidths=0)
    for id, rows in zip(ids, members, strict=True):
        mine = positions[rows]
        axes.scatter(mine[:, 0], mine[:, 1], s=size, c=colour_of(id), alpha=0.7, linewidths=0)


def density(
    positions: Floats, labels: Labels, window: tuple[float, float, float, float], bins: tuple[int, int] = BINS
) -> npt.NDArray[np.float64]:
    """The map as a picture [height, width, RGBA], its first row at the bottom, of `bins` (width, height) elements.

    An element takes the colour of the segment with most customers there, the stronger the more there are.
    """
    width, height = bins
    low, span = np.array(window)[[0, 2]], np.array([window[1] - window[0], window[3] - window[2]])
    places = np.floor((positions - low) / span * bins).astype(np.int64)
    inside = ((places >= 0) & (places < bins)).all(axis=1)
    cells, of = (places[:, 1] * width + places[:, 0])[inside], labels[inside]
    most, total = np.zeros(width * height), np.zeros(width * height)
    colour = np.ones((width * height, 3))
    for id, rows in zip(found := np.unique(of).tolist(), members_of(of, found), strict=True):
        here = np.bincount(cells[rows], minlength=width * height)
        ahead = here > most
        most[ahead] = here[ahead]
        colour[ahead] = [int(colour_of(id)[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        total += here
    full = max(float(np.quantile(total[total > 0], 0.98)), 1.0) if total.any() else 1.0
    alpha = np.where(total > 0, 0.25 + 0.75 * np.minimum(np.log1p(total) / np.log1p(full), 1.0), 0.0)
    return np.column_stack([colour, alpha]).reshape(height, width, 4)


def _name(
    figure: "Figure",
    axes: "Axes",
    anchors: npt.NDArray[np.float64],
    tops: npt.NDArray[np.float64],
    names: Sequence[str],
    colours: Sequence[str],
    renderer: Any,
) -> None:
    """Write the names of the largest segments beside their anchors, none over another, with a line to its place."""
    from matplotlib.patheffects import withStroke

    shown = min(len(names), MOST_NAMES)
    if shown == 0:
        return
    size = 8.0 if shown <= 14 else 6.5 if shown <= 26 else 5.5
    halo = [withStroke(linewidth=2.5, foreground="white")]
    texts = [
        figure.text(
            0, 0, "\n".join(textwrap.wrap(names[i], 26)), fontsize=size, ha="center", va="center", color="#111111",
            path_effects=halo, parse_math=False, zorder=5,
        )
        for i in range(shown)
    ]  # fmt: skip
    boxes = [text.get_window_extent(renderer) for text in texts]
    sizes = np.array([[box.width + 8, box.height + 6] for box in boxes])
    points = axes.transData.transform(anchors[:shown])
    # a name would hide a small segment: it goes above that, and into the middle of a large one
    edges = axes.transData.transform(np.column_stack([anchors[:shown, 0], tops[:shown]]))[:, 1]
    above = np.where(edges - points[:, 1] < sizes[:, 1], edges + sizes[:, 1] / 2, points[:, 1])
    wanted = np.column_stack([points[:, 0], above])
    frame = axes.get_window_extent(renderer)
    places = spread_out(wanted, sizes, (frame.x0, frame.y0, frame.x1, frame.y1))
    for i, text in enumerate(texts):
        x, y = figure.transFigure.inverted().transform(places[i])
        text.set_position((x, y))
        if np.hypot(*(places[i] - wanted[i])) > sizes[i, 1] * 0.8:
            axes.annotate(
                "", xy=tuple(anchors[i]), xytext=tuple(axes.transData.inverted().transform(places[i])),
                arrowprops={"arrowstyle": "-", "color": colours[i], "lw": 1.2}, zorder=4,
            )  # fmt: skip
