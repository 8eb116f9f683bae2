"""A segment as the registry knows it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """A segment that stands."""

    id: int
    born: int
    """The generation that it is first in."""
    stability: float
    """Mean best Jaccard over refits on subsamples, 0 to 1; over the generations, the latest counting a third."""
    parts: tuple[float, ...] = ()
    """Stability of its parts, which are numbered from 1."""
