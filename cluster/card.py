"""The profile card of a segment: everything about it on one picture.

No customer's id is on the picture: pictures are passed on.
"""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cluster.definition import Definition
from cluster.map import window_of
from cluster.neighbours import Floats
from cluster.palette import COLOURS, UNASSIGNED
from cluster.profile import Driver
from cluster.stability import word
from cluster.words import about, figure, number, subject_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT, DPI = 1600, 1200, 160
LEFT, RIGHT = 0.04, 0.96
LINE = 0.03
LONGEST = 150
"""Letters of a line beyond which it is wider than any part of the sheet."""
MOST_DRIVERS = 8
BINS = (110, 80)
DARK, FAINT, EVERYBODY = "#111111", "#555555", "#a8a8a8"
NO_DEFINITION = "No rule of few conditions says who is in it."
NO_DRIVERS = "No behaviour differs clearly from everybody's."
NOTE = "lift: segment over everybody; z: the difference in (robust) standard deviations of everybody"

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Card:
    """What a card shows of one segment; n customers."""

    name: str
    size: int
    share: float
    """Of all customers."""
    stability: float
    definition: Definition | None
    drivers: tuple[Driver, ...]
    """The behaviours that set it apart, strongest first."""
    typical: tuple[int | str, ...] = ()
    """Ids of typical customers, which only a page shows, and only when asked to."""
    trend: tuple[tuple[str, int], ...] = ()
    """Snapshots in words, such as their dates, with the segment's size then, oldest first."""
    positions: Floats | None = None
    """float32 [n, 2], the map; None for a card without one."""
    members: npt.NDArray[np.bool_] | None = None
    """bool [n], who is in the segment; beside `positions`."""
    colour: str = COLOURS[0]
    """The segment's colour on the map."""

    @property
    def figures(self) -> str:
        """Size, share and stability in one line."""
        customers = f"{self.size:,} customer{'' if self.size == 1 else 's'}"
        share = figure("share", self.share)
        return f"{customers}, {share} of all · stability {self.stability:.2f}, {word(self.stability)}"

    @property
    def how_well(self) -> str:
        """Precision and recall of the definition in one line."""
        if self.definition is None:
            return ""
        precision, recall = (f"{round(100 * x)} %" for x in (self.definition.precision, self.definition.recall))
        return f"Of the customers whom this fits, {precision} are members; it fits {recall} of the members."


@dataclass(frozen=True)
class Row:
    """A driver as it is shown."""

    label: str
    segment: str
    everybody: str
    lift: str
    z: str
    lengths: tuple[float, float]
    """Of the bars of segment and everybody, 0 to 1; the longer is 1."""


def rows_of(card: Card) -> list[Row]:
    """The strongest drivers as they are shown."""
    out = []
    for driver in card.drivers[:MOST_DRIVERS]:
        kind, values = driver.kind, (driver.segment, driver.everybody)
        longest = max(abs(values[0]), abs(values[1]))
        lengths = (abs(values[0]) / longest, abs(values[1]) / longest) if longest > 0 else (0.0, 0.0)
        mine, theirs = (_share(value) if kind == "share" else number(value, 3) for value in values)
        label = capital(about(subject_of(driver)))
        out.append(Row(label, mine, theirs, _lift(driver.lift), _signed(driver.z), lengths))
    return out


def _share(value: float) -> str:
    return "under 0.1 %" if 0 < value < 0.0005 else f"{number(round(100 * value, 1), 3)} %"


def _lift(lift: float | None) -> str:
    if lift is None:
        return "–"
    return "under ×0.01" if 0 < lift < 0.005 else f"×{number(round(lift, 2), 2)}"


def _signed(z: float) -> str:
    sign = "+" if z > 0 else "−" if z < 0 else ""
    return sign + (f"{abs(z):.1f}" if abs(z) < 100 else number(abs(z), 3))


def capital(text: str) -> str:
    """The text with a capital at its start."""
    return text[:1].upper() + text[1:]


def density_of(card: Card, bins: tuple[int, int]) -> tuple[Doubles, Doubles] | None:
    """How dense everybody and the segment lie on the map, 0 to 1 each, [y, x] from below; None without a map."""
    if card.positions is None or card.members is None or len(card.positions) == 0:
        return None
    left, right, bottom, top = window_of(card.positions)
    out = []
    for rows in (card.positions, card.positions[card.members]):
        counts = np.histogram2d(rows[:, 0], rows[:, 1], bins=bins, range=[[left, right], [bottom, top]])[0].T
        full = float(np.quantile(counts[counts > 0], 0.95)) if (counts > 0).any() else 1.0
        out.append(np.minimum(np.log1p(counts) / np.log1p(full), 1.0))
    return out[0], out[1]


def draw_card(path: Path, card: Card) -> None:
    """Write the card as a PNG of 1600 × 1200 pixels; same input, same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor="white")
    canvas: Any = FigureCanvasAgg(sheet)
    bottom = _head(sheet, card)
    density, trend = density_of(card, BINS), card.trend if len(card.trend) > 1 else ()
    aside = density is not None or bool(trend)
    _bars(sheet, canvas.get_renderer(), rows_of(card), card.colour, bottom, 0.645 if aside else RIGHT)
    height, place = min((bottom - 0.07) / 2, 0.36), bottom
    if density is not None:
        _map(sheet, density, card.colour, (0.69, place - height, RIGHT - 0.69, height))
        place -= height + 0.02
    if trend:
        _trend(sheet, trend, card.colour, (0.69, place - height, RIGHT - 0.69, height))
    # without this, matplotlib writes its own version into the file
    sheet.savefig(path, metadata={"Software": None})


def _write(sheet: "Figure", x: float, y: float, text: str, size: float, **how: Any) -> None:
    """Text whose top is at y, from x to the right."""
    sheet.text(x, y, text, fontsize=size, parse_math=False, **{"va": "top", "color": DARK, **how})


def _head(sheet: "Figure", card: Card) -> float:
    """Name, size and definition from the top; gives where the rest may begin."""
    from matplotlib.patches import Rectangle

    y = 0.965
    size, width = (17.0, 58) if len(card.name) <= 58 else (13.0, 78)
    for line in textwrap.wrap(card.name, width, max_lines=2, placeholder=" …"):
        _write(sheet, LEFT, y, line, size, weight="bold")
        y -= 0.0024 * size
    y -= 0.008
    _write(sheet, LEFT, y, card.figures, 9.5, color=FAINT)
    y -= 0.045
    sheet.add_artist(Rectangle((LEFT, y - 0.002), RIGHT - LEFT, 0.004, color=card.colour, linewidth=0))
    y -= 0.022
    _write(sheet, LEFT, y, "Who is in it", 11, weight="bold")
    y -= 0.04
    conditions = [capital(one.text) for one in card.definition.conditions] if card.definition else [NO_DEFINITION]
    for text in conditions:
        for i, line in enumerate(textwrap.wrap(text, 110, max_lines=2, placeholder=" …")):
            bullet = "•  " if card.definition and i == 0 else "    " if card.definition else ""
            _write(sheet, LEFT, y, bullet + line, 9.5)
            y -= LINE
    if card.how_well:
        y -= 0.006
        _write(sheet, LEFT, y, card.how_well, 8.5, color=FAINT)
        y -= LINE
    return y - 0.03


def _bars(sheet: "Figure", renderer: Any, rows: "list[Row]", colour: str, top: float, right: float) -> None:
    """A block a driver, from `top` down: what it is, and a bar each for the segment and for everybody."""
    from matplotlib.patches import Rectangle

    _write(sheet, LEFT, top, "What sets it apart", 11, weight="bold")
    if not rows:
        _write(sheet, LEFT, top - 0.045, NO_DRIVERS, 9.5)
        return
    z, lift = right, right - 0.075
    start, end = LEFT, right - 0.245
    y = top - 0.045
    for x, colour_of, label in ((LEFT, colour, "this segment"), (LEFT + 0.14, EVERYBODY, "everybody")):
        sheet.add_artist(Rectangle((x, y - 0.0155), 0.012, 0.013, color=colour_of, linewidth=0))
        _write(sheet, x + 0.018, y, label, 8, color=FAINT)
    for x, label in ((lift, "lift"), (z, "z")):
        _write(sheet, x, y, label, 8, color=FAINT, ha="right")
    y -= 0.036
    step = min((y - 0.045) / len(rows), 0.085)
    size = 8.5 if step > 0.062 else 7.5
    for row in rows:
        _write(sheet, start, y, _fitted(renderer, row.label, size, right - 0.15 - start), size)
        for x, text in ((lift, row.lift), (z, row.z)):
            _write(sheet, x, y, text, size, ha="right")
        of_bars = ((0, row.segment, row.lengths[0], colour), (1, row.everybody, row.lengths[1], EVERYBODY))
        thick = (step - 0.0027 * size) * 0.36
        for i, value, length, fill in of_bars:
            low = y - 0.0027 * size - (i + 1) * thick
            wide = (end - start) * length
            sheet.add_artist(Rectangle((start, low), wide, thick * 0.86, color=fill, linewidth=0))
            _write(sheet, start + wide + 0.006, low + thick * 0.43, value, 6.5, va="center")
        y -= step
    _write(sheet, LEFT, 0.034, NOTE, 6.5, color=FAINT)


def _fitted(renderer: Any, text: str, size: float, width: float) -> str:
    """The text, cut where it is wider than this part of the sheet."""
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=size)
    most = width * WIDTH
    kept = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    while kept and renderer.get_text_width_height_descent(kept, font, ismath=False)[0] > most:
        kept = kept[:-1] if kept == text else kept[:-2]
        kept = kept.rstrip() + "…"
    return kept


def _map(
    sheet: "Figure", density: tuple[Doubles, Doubles], colour: str, box: tuple[float, float, float, float]
) -> None:
    """Where the segment lies: everybody in grey, its members over them."""
    from matplotlib.colors import to_rgb

    x, y, width, height = box
    _write(sheet, x, y + height, "Where it lies", 11, weight="bold")
    axes = sheet.add_axes((x, y + 0.02, width, height - 0.065))
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color("#dddddd")
    for dense, fill, least in ((density[0], UNASSIGNED, 0.3), (density[1], colour, 0.45)):
        alpha = np.where(dense > 0, least + (1 - least) * dense, 0.0)
        picture = np.dstack([np.broadcast_to(to_rgb(fill), (*dense.shape, 3)), alpha])
        axes.imshow(picture, origin="lower", aspect="auto", interpolation="nearest")


def _trend(
    sheet: "Figure", trend: tuple[tuple[str, int], ...], colour: str, box: tuple[float, float, float, float]
) -> None:
    """The segment's size over snapshots; the first and the last are named."""
    x, y, width, height = box
    _write(sheet, x, y + height, "Customers over snapshots", 11, weight="bold")
    axes: Axes = sheet.add_axes((x + 0.01, y + 0.015, width - 0.02, height - 0.105))
    sizes = [size for _, size in trend]
    axes.plot(
        range(len(trend)), sizes, color=colour, linewidth=1.8, marker="o" if len(trend) <= 30 else "", markersize=3.5
    )
    axes.set_xlim(-0.4, len(trend) - 0.6)
    axes.set_ylim(0, max(*sizes, 1) * 1.12)
    axes.set_yticks([])
    axes.set_xticks([])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#bbbbbb")
    for at, edge, where in ((0, x, "left"), (-1, x + width, "right")):
        when = textwrap.shorten(trend[at][0], 18, placeholder="…")
        _write(sheet, edge, y + height - 0.043, f"{sizes[at]:,}", 8.5, ha=where)
        _write(sheet, edge, y + 0.003, when, 7, ha=where, color=FAINT)
