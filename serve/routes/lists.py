"""Lists of customers in the format that `Accept` asks for."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl
from fastapi import Response
from starlette.responses import StreamingResponse

from index.files import escaped

CHUNK = 20_000
"""Rows written at once when a list is streamed."""
BINARY: dict[str, Callable[[pl.DataFrame, io.BytesIO], None]] = {
    "parquet": lambda table, content: table.write_parquet(content),
    "arrow": lambda table, content: table.write_ipc_stream(content, compat_level=pl.CompatLevel.oldest()),
}


def headers_of(name: str, form: str, version: str = "") -> dict[str, str]:
    """Headers of a list called `name` in the format `form`; `version` tells editions of the same list apart."""
    headers = {"ETag": f'"{name}.{form}{version}"', "Vary": "Accept", "Cache-Control": "private, no-cache"}
    if form != "json":
        headers["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    return headers


def listed(
    table: pl.DataFrame, media_type: str, form: str, headers: dict[str, str], around: Mapping[str, Any], rows: str
) -> Response:
    """A table as CSV, Parquet, an Arrow stream, or as JSON: the object `around` with the member `rows` added."""
    if form in BINARY:
        content = io.BytesIO()
        BINARY[form](table, content)
        return Response(content.getvalue(), headers=headers, media_type=media_type)
    if form == "csv":
        return StreamingResponse(_csv(table), headers=headers, media_type="text/csv; charset=utf-8")
    return StreamingResponse(_json(table, around, rows), headers=headers, media_type=media_type)


def _csv(table: pl.DataFrame) -> Iterator[str]:
    for start in range(0, max(len(table), 1), CHUNK):
        yield escaped(table.slice(start, CHUNK)).write_csv(include_header=start == 0)


def _json(table: pl.DataFrame, around: Mapping[str, Any], rows: str) -> Iterator[str]:
    yield json.dumps(around, separators=(",", ":"), ensure_ascii=False)[:-1] + f',"{rows}":['
    for start in range(0, len(table), CHUNK):
        text = json.dumps(table.slice(start, CHUNK).to_dicts(), separators=(",", ":"), ensure_ascii=False)
        yield ("," if start else "") + text[1:-1]
    yield "]}"
