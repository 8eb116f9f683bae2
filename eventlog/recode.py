"""A log in the terms of another one's dictionaries, so that a model reads logs prepared after it was trained."""

from dataclasses import dataclass, replace

import numpy as np

from configs.errors import ConflictError
from eventlog.sequences import ABSENT, OTHER, EventLog, Rows, Schema


@dataclass(frozen=True)
class Recoded:
    """Codes uint16 [e, c] under other dictionaries, translated as they are read."""

    codes: Rows
    tables: tuple[np.ndarray, ...]
    """Per field, uint16: the new code of each old one."""

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """The new codes of some events [., c]."""
        old = np.asarray(self.codes[rows])
        new = np.empty_like(old)
        for field, table in enumerate(self.tables):
            new[:, field] = table[old[:, field]]
        return new


def recoded(log: EventLog, schema: Schema) -> EventLog:
    """The same log with the dictionaries of `schema`; values that these lack are OTHER.

    Raises ConflictError where the log has other fields than the schema.
    """
    if log.schema == schema:
        return log
    _same_fields(log.schema, schema)
    tables = []
    for old, new in zip(log.schema.categorical, schema.categorical, strict=True):
        code = {value: 2 + i for i, value in enumerate(new.values)}
        translated = [ABSENT, OTHER, *(code.get(value, OTHER) for value in old.values)]
        tables.append(np.array(translated, np.uint16))
    return replace(log, schema=schema, codes=Recoded(log.codes, tuple(tables)))


def _same_fields(ours: Schema, wanted: Schema) -> None:
    for kind, have, need in (
        ("categorical fields", [f.name for f in ours.categorical], [f.name for f in wanted.categorical]),
        ("numeric fields", list(ours.numeric), list(wanted.numeric)),
        ("type of customer ids", [ours.customer_type], [wanted.customer_type]),
    ):
        if have != need:
            found, theirs = (", ".join(names) or "none" for names in (have, need))
            raise ConflictError(
                f"the log's {kind}: {found}; the model's: {theirs}; "
                "prepare the log with the model's fields, in that order, or train a model on this log"
            )
