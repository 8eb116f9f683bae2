"""Colours that people with colour blindness can tell apart: Okabe and Ito (2008) and Tol's muted scheme (2021)."""

import numpy as np
import numpy.typing as npt

COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#882255", "#999933", "#332288", "#44aa99",
    "#661100", "#ddcc77",
)  # fmt: skip
UNASSIGNED = "#c8c8c8"


def colours_for(anchors: npt.NDArray[np.floating]) -> list[str]:
    """A colour per segment placed at `anchors` [s, 2]: equal colours, once they run out, as far apart as can be."""
    used: dict[str, list[npt.NDArray[np.floating]]] = {}
    out = []
    for anchor in anchors:
        unused = [c for c in COLOURS if c not in used]
        if unused:
            colour = unused[0]
        else:
            colour = max(COLOURS, key=lambda c: min(float(np.hypot(*(anchor - other))) for other in used[c]))
        used.setdefault(colour, []).append(anchor)
        out.append(colour)
    return out
