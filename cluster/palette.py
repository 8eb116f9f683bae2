"""Colours that people with colour blindness can tell apart: Okabe and Ito (2008) and Tol's muted scheme (2021)."""

COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#882255", "#999933", "#332288", "#44aa99",
    "#661100", "#ddcc77",
)  # fmt: skip
UNASSIGNED = "#c8c8c8"
SHADES = (("#000000", 0.0), ("#000000", 0.4), ("#ffffff", 0.5))
"""What a colour is mixed with, and how much, the first, second and third time round: lightness is seen by everybody."""


def colour_of(segment: int) -> str:
    """The colour of a segment by its id, so that it keeps it from one snapshot to the next; grey for none (below 0).

    Colours come back after 36 ids.
    """
    if segment < 0:
        return UNASSIGNED
    colour, (other, part) = COLOURS[segment % len(COLOURS)], SHADES[segment // len(COLOURS) % len(SHADES)]
    mixed = (round((1 - part) * one + part * two) for one, two in zip(_rgb(colour), _rgb(other), strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
