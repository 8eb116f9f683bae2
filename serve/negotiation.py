"""Which media type an answer takes (RFC 9110, 12.5.1)."""

from collections.abc import Mapping

from serve.problems import NotAcceptableError

MEMBERS: Mapping[str, str] = {
    "application/json": "json",
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
    "application/vnd.apache.arrow.stream": "arrow",
}
"""Media type -> format, in order of our preference where the client has none."""


def choose(accept: str | None, offered: Mapping[str, str] = MEMBERS) -> tuple[str, str]:
    """The (media type, format) that the client likes best; the first one offered where it does not mind.

    Raises NotAcceptableError where it takes none of them.
    """
    wanted = _parse(accept) if accept and accept.strip() else [("*/*", 1.0)]
    best: tuple[float, str] | None = None
    for media_type in offered:
        quality = _quality(media_type, wanted)
        if quality > 0 and (best is None or quality > best[0]):
            best = quality, media_type
    if best is None:
        raise NotAcceptableError(f"none of the media types in Accept can be given; there are: {', '.join(offered)}")
    return best[1], offered[best[1]]


def _parse(accept: str) -> list[tuple[str, float]]:
    ranges = []
    for part in accept.split(","):
        media_range, *parameters = [piece.strip().lower() for piece in part.split(";")]
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = min(max(float(parameter[2:]), 0.0), 1.0)
                except ValueError:
                    quality = 0.0
        if media_range:
            ranges.append((media_range, quality))
    return ranges


def _quality(media_type: str, wanted: list[tuple[str, float]]) -> float:
    """The quality of the most specific range that covers `media_type`; 0 where none does."""
    family = media_type.split("/")[0] + "/*"
    for pattern in (media_type, family, "*/*"):
        for media_range, quality in wanted:
            if media_range == pattern:
                return quality
    return 0.0
