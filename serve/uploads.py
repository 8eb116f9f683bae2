"""A request for an audience as it comes over HTTP, in one of three forms.

application/json      {"seeds": ["17", "42"], "size": 500}
multipart/form-data   the file `seeds`, a CSV; the options as fields; files `suppress`, `make_up`, `attributes` too
text/csv              the body is the seed list; the options are in the query
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from index.files import attributes_of_csv, ids_of_csv
from index.request import AudienceRequest
from serve.audiences import Asked
from serve.problems import FaultsError, MediaTypeError, faults_of

ACCEPTED = ("application/json", "multipart/form-data", "text/csv")
LISTS = ("seeds", "suppress")
TABLES = ("make_up", "attributes")
"""Files of attributes, only in a form."""
SEVERAL = ("where",)
"""Options that may be given several times in a form or query."""
MOST_PARTS = 20
UNWRITABLE = re.compile("[\0\ud800-\udfff]")
"""What JSON can say, and no file or database can hold."""

Parse = Callable[[], Asked]


async def receive(request: Request) -> Parse:
    """Read the whole body, and return what makes a request of it: that takes its time, and is for another thread.

    Raises MediaTypeError for a body of another type, FaultsError for a form with faults.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        content = await request.body()
        return lambda: Asked(of_json(content))
    if kind == "text/csv":
        content, options = await request.body(), list(request.query_params.multi_items())
        return lambda: of_csv({"seeds": content}, options)
    if kind == "multipart/form-data":
        files, options = await _form(request)
        return lambda: of_csv(files, options)
    raise MediaTypeError(
        f"a body of type {kind[:60] or 'none given'} is not read here; accepted: {', '.join(ACCEPTED)}",
        {"Accept-Post": ", ".join(ACCEPTED)},
    )


def of_json(content: bytes) -> AudienceRequest:
    """The request that a JSON body makes. Raises FaultsError."""
    try:
        members = json.loads(content, object_pairs_hook=_once)
    except UnicodeDecodeError:
        raise FaultsError(["body: not UTF-8"]) from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FaultsError([f"body: not valid JSON: {reason}"]) from None
    if not isinstance(members, dict):
        raise FaultsError(['body: not an object such as {"seeds": ["17", "42"], "size": 500}'])
    faults = [fault for name in LISTS for fault in _faults_of_ids(name, members.get(name, []))]
    if faults:
        raise FaultsError(faults)
    return _checked(members)


def of_csv(files: dict[str, bytes], options: Iterable[tuple[str, str]]) -> Asked:
    """What CSV files and options as text ask for. Raises FaultsError or, for a file, InputError."""
    members: dict[str, Any] = {}
    faults = []
    for name, value in options:
        if name in SEVERAL:
            members.setdefault(name, []).append(value)
            continue
        if name in members:
            faults.append(f"{name}: given twice")
        elif name in (*LISTS, *TABLES):
            faults.append(f"{name}: send the customers as a CSV file, with a column customer_id")
        members[name] = value
    if faults:
        raise FaultsError(faults)
    for name in files.keys() & set(LISTS):
        members[name] = ids_of_csv(files[name], name)
    request = _checked(members)
    tables = {name: attributes_of_csv(files[name], name) for name in TABLES if name in files}
    return Asked(request, **tables)


async def _form(request: Request) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
    files: dict[str, bytes] = {}
    options: list[tuple[str, str]] = []
    async with request.form(max_files=MOST_PARTS, max_fields=MOST_PARTS) as form:
        for name, value in form.multi_items():
            if not isinstance(value, UploadFile):
                options.append((name, value))
            elif name not in (*LISTS, *TABLES) or name in files:
                accepted = ", ".join((*LISTS, *TABLES))
                raise FaultsError([f"{name}: not a file that is accepted here; accepted: {accepted}, once each"])
            else:
                files[name] = await value.read()
    return files, options


def _checked(members: dict[str, Any]) -> AudienceRequest:
    try:
        return AudienceRequest.model_validate(members)
    except ValidationError as error:
        raise FaultsError(faults_of(error.errors(include_url=False, include_input=False))) from None


def _faults_of_ids(name: str, ids: Any) -> list[str]:
    """What is wrong with a JSON list of ids: pydantic alone would take true for 1 and 7.0 for 7."""
    if not isinstance(ids, list):
        return [f"{name}: not a list of customer ids"]
    return [
        f"{name}[{at}]: an id is a string or a whole number, not {_word(id)}"
        for at, id in enumerate(ids)
        if type(id) not in (str, int)
    ] + [
        f"{name}[{at}]: an id is a text that can be written in UTF-8, without NUL"
        for at, id in enumerate(ids)
        if isinstance(id, str) and UNWRITABLE.search(id)
    ]


def _word(value: Any) -> str:
    words = {bool: "a boolean", float: "a fraction", type(None): "null", list: "a list", dict: "an object"}
    return words[type(value)]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key is given twice")
    return members
