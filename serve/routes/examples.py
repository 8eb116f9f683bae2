"""What /openapi.json cannot read off the code: bodies of several types, examples, lists in several formats."""

from typing import Any

from serve.negotiation import MEMBERS

IDS: dict[str, Any] = {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]}}
FILE: dict[str, Any] = {"type": "string", "format": "binary", "description": "CSV with a column customer_id"}
SHARE: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "integer"}, "default": []}
OPTIONS: dict[str, Any] = {
    "size": {"type": "integer", "minimum": 100, "description": "How many: so many customers"},
    "share": {
        **SHARE,
        "description": "How many: a share of the customers who may be in it; one of size, share, precision is needed",
    },
    "precision": {
        **SHARE,
        "description": "How many: as many as keep the expected share of members like the seeds at this; with base_rate",
    },
    "base_rate": {**SHARE, "description": "Share of everybody who is like the seeds, where it is known"},
    "nested": {**NUMBERS, "description": "Sizes of smaller audiences inside it; members tell the smallest as `within`"},
    "segments": {**NUMBERS, "description": "Segments that members must be in; -1: in none"},
    "not_segments": {**NUMBERS, "description": "Segments that members must not be in"},
    "spread": {
        "type": "string",
        "description": "Attribute over whose groups members spread as the eligible do; needs the file `attributes`",
    },
    "churn_cap": {
        **SHARE,
        "description": "Of a saved audience that is refreshed: share of its members that may leave, at most",
    },
    "where": {
        "type": "array",
        "items": {"type": "string"},
        "default": [],
        "description": "Conditions on attributes, `name=value|value` or `name!=value`; needs the file `attributes`",
    },
    "hold_out": {
        "type": "number",
        "minimum": 0,
        "maximum": 0.5,
        "default": 0,
        "description": "Share of the members, drawn at random, to keep out of the list, to measure the effect by",
    },
    "include_seeds": {"type": "boolean", "default": False, "description": "Whether seeds may be members themselves"},
    "seed": {"type": "integer", "minimum": 0, "default": 0, "description": "Seed of all that is drawn at random"},
}


ONLY_IN_FORMS = ("where", "spread")
"""Options that need a file of attributes beside the seeds."""


def _body(lists: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["seeds"],
        "additionalProperties": False,
        "properties": {"seeds": lists, "suppress": lists, **OPTIONS},
    }


def _form() -> dict[str, Any]:
    body = _body(FILE)
    uses = {"make_up": "the make-up in the report alone", "attributes": "`where` and `spread`"}
    tables = {
        name: {**FILE, "description": f"CSV with customer_id and attributes, for {use}"} for name, use in uses.items()
    }
    return {**body, "properties": {**body["properties"], **tables}}


CREATE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Seeds and options. With text/csv the body is the seed list, the options are query parameters.",
        "content": {
            "application/json": {
                "schema": _body(IDS),
                "example": {"seeds": ["17", "42", "1041"], "size": 500, "include_seeds": False},
            },
            "multipart/form-data": {"schema": _form()},
            "text/csv": {"schema": {"type": "string"}, "example": "customer_id\n17\n42\n1041\n"},
        },
    },
    "parameters": [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": {key: value for key, value in option.items() if key != "description"},
            **({"style": "form", "explode": False} if option["type"] == "array" else {}),
            "description": f"{option['description']}; only with a text/csv body",
        }
        for name, option in OPTIONS.items()
        if name not in ONLY_IN_FORMS
    ],
}
"""The body of POST /v1/audiences."""

SAVE: dict[str, Any] = CREATE
"""The body of PUT /v1/saved-audiences/{saved}."""


def _list_of(words: str) -> dict[int | str, dict[str, Any]]:
    content = {
        media_type: {"schema": {"type": "string", "format": "csv" if form == "csv" else "binary"}}
        for media_type, form in MEMBERS.items()
        if form != "json"
    }
    return {200: {"description": words, "content": content}}


MEMBERS_ANSWER = _list_of("All members, best first: customer_id, score, rank, reasons")
"""The formats of a members list."""
CHANGES_ANSWER = _list_of("Who entered and who left: customer_id, change, why")
"""The formats of a list of changes."""
MOVERS_ANSWER = _list_of("Who moved: customer_id, from, from_name, to, to_name, strength, why")
"""The formats of a list of who moved."""


def picture_of(words: str, media_type: str) -> dict[int | str, dict[str, Any]]:
    """The answer that is a picture or a page."""
    schema = {"type": "string"} if media_type.startswith("text/") else {"type": "string", "format": "binary"}
    return {200: {"description": words, "content": {media_type: {"schema": schema}}}}


OUTCOMES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The customers who did what the campaign was for.",
        "content": {"text/csv": {"schema": {"type": "string"}, "example": "customer_id\n17\n1041\n"}},
    }
}
"""The body of POST /v1/audiences/{audience}/effect."""
