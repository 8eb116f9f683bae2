"""Attributes of customers that come in a file of their own, and conditions on them. No model ever sees them."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from configs.errors import InputError
from embed.artifact import Embeddings

Mask = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

CONDITION = re.compile(r"\s*(?P<name>[^=!|]+?)\s*(?P<operator>!?=)\s*(?P<values>.+?)\s*", re.DOTALL)
FORM = "attribute=value, attribute=value|value for one of several, or attribute!=value"
MOST_GROUPS = 50
"""Groups of one attribute, at most: more would be single people."""
SHOWN = 10
"""Values of an attribute that an error names."""


@dataclass(frozen=True)
class Condition:
    """Customers whose attribute is, or is not, one of some values."""

    name: str
    values: tuple[str, ...]
    negated: bool = False

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read `region=north|south` or `region!=north`. Raises InputError."""
        found = CONDITION.fullmatch(text)
        values = tuple(value.strip() for value in found["values"].split("|")) if found else ()
        if found is None or "" in values:
            raise InputError(f"where: {text[:100]!r} is no condition; accepted: {FORM}")
        return cls(found["name"], values, found["operator"] == "!=")

    def passing(self, attributes: pl.DataFrame, embeddings: Embeddings) -> Mask:
        """bool [n]: who meets it. Whoever has no value meets `!=` alone.

        Raises InputError for an attribute that there is not, and for a value that nobody has.
        """
        of = values_of(self.name, attributes, embeddings, "attributes")
        there = {value for value in of.tolist() if value is not None}
        if unknown := sorted(set(self.values) - there):
            some = ", ".join(sorted(there)[:SHOWN]) + (", …" if len(there) > SHOWN else "")
            raise InputError(f"where: no customer of the snapshot has {self.name}={unknown[0]}; there are: {some}")
        inside = np.isin(of.astype(str), self.values) & (of != None)  # noqa: E711  element by element
        return np.asarray(~inside if self.negated else inside, dtype=bool)


def values_of(name: str, attributes: pl.DataFrame, embeddings: Embeddings, where: str) -> Texts:
    """Everybody's value of one attribute, text or None, [n]; `attributes` has customer_id and a column for each.

    Raises InputError, with `where` as the file's name, for an attribute that is not there, for a customer with two
    rows, and where no customer is known.
    """
    names = [column for column in attributes.columns if column != "customer_id"]
    if name not in names:
        raise InputError(f"{where}: no attribute {name!r}; there are: {', '.join(names)}")
    rows = embeddings.rows_of(attributes["customer_id"])
    known = rows >= 0
    if not known.any():
        raise InputError(f"{where}: none of its customers is in the snapshot")
    if len(np.unique(rows[known])) < known.sum():
        raise InputError(f"{where}: a customer has more than one row; give one row a customer")
    of = np.full(embeddings.n_customers, None, dtype=object)
    of[rows[known]] = attributes[name].cast(pl.String).to_numpy()[known]
    return of
