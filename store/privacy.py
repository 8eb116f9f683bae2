"""What must never be logged or catalogued: customer ids and secrets."""

from collections.abc import Mapping
from typing import Any

ALWAYS = frozenset({"customer", "customer_id", "secret", "authorization", "password", "api_key", "x-api-key"})
"""Keys whose value is a customer's id or a secret."""
AS_LISTS = frozenset({"customers", "customer_ids", "seeds", "seed_ids", "members", "suppression", "suppressed"})
"""Keys that may hold a count or an option, but not the ids themselves."""


def is_private(key: str, value: Any) -> bool:
    """Whether this entry would give away a customer's id or a secret."""
    name = key.lower()
    return name in ALWAYS or (name in AS_LISTS and isinstance(value, list | tuple | set | frozenset))


def refuse_customers(value: Any, where: str) -> None:
    """Raise ValueError where a private key stands anywhere inside `value`: a programming error, caught in tests."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if is_private(str(key), inner):
                raise ValueError(f"{where}.{key}: customer ids and secrets do not belong here")
            refuse_customers(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            refuse_customers(inner, f"{where}[{i}]")
