"""Names that people gave to segments: a register in the catalogue that only grows.

A segment is known by its id within a lineage, the line of snapshots in which ids mean the same; so a name holds for all
of them at once, later ones included. The last name counts.
"""

import unicodedata
from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from configs.errors import ConflictError, InputError
from store.catalogue import Catalogue
from store.records import SegmentName
from store.tables import SegmentNameRow

LONGEST = 72
REFUSED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of control and format characters, halves of pairs, and breaks of lines."""
JOINERS = "\u200c\u200d"
"""Format characters that some scripts are not written without."""


class SegmentNames:
    """The register of one catalogue. Methods are safe to call from several threads and processes."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def rename(self, lineage: str, segment: int, name: str, *, actor: str, others: Mapping[int, str]) -> SegmentName:
        """Give a segment a name. Audited; giving it the name that was last given to it changes nothing.

        `others` are the names of the lineage's segments as far as nobody gave them one. Raises InputError for a name
        that cannot be one, ConflictError where another segment has it.
        """
        wanted = checked(name)
        with self._catalogue.session(write=True) as session:
            given = {row.segment: row for row in _last(session, lineage)}
            if segment in given and given[segment].name == wanted:
                return _record(given[segment])
            for other, known in {**others, **{id: row.name for id, row in given.items()}}.items():
                if other != segment and plainly(known) == plainly(wanted):
                    raise ConflictError(f"segment {other} is called {known!r} already; choose another name")
            row = SegmentNameRow(lineage=lineage, segment=segment, name=wanted, at=self._catalogue.now(), actor=actor)
            session.add(row)
            before = given[segment].name if segment in given else others.get(segment)
            told = {"lineage": lineage, "before": before, "name": wanted}
            self._catalogue.append_audit(session, actor, "segment.rename", str(segment), told)
            return _record(row)

    def version(self, lineage: str) -> int:
        """Grows with every name given in a lineage; 0 while there was none."""
        with self._catalogue.session(write=False) as session:
            return session.scalar(select(func.max(SegmentNameRow.id)).where(SegmentNameRow.lineage == lineage)) or 0

    def given(self, lineage: str) -> dict[int, SegmentName]:
        """The names in force that people gave, by segment."""
        with self._catalogue.session(write=False) as session:
            return {row.segment: _record(row) for row in _last(session, lineage)}

    def history(self, lineage: str) -> list[SegmentName]:
        """Every name that was given in a lineage, oldest first."""
        query = select(SegmentNameRow).where(SegmentNameRow.lineage == lineage).order_by(SegmentNameRow.id)
        with self._catalogue.session(write=False) as session:
            return [_record(row) for row in session.scalars(query)]


def checked(name: str) -> str:
    """A name without space around it. Raises InputError unless it has 1 to 72 characters, none for control."""
    wanted = unicodedata.normalize("NFC", name).strip()
    if not 0 < len(wanted) <= LONGEST:
        raise InputError(f"name: has {len(wanted)} characters; a segment's name has 1 to {LONGEST}")
    for letter in wanted:
        if unicodedata.category(letter) in REFUSED and letter not in JOINERS:
            raise InputError(f"name: holds the control character U+{ord(letter):04X}; accepted is a line of text")
    return wanted


def plainly(name: str) -> str:
    """What two names must differ in: not in case, width of letters or number of spaces alone."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _last(session: Session, lineage: str) -> list[SegmentNameRow]:
    newest = select(func.max(SegmentNameRow.id)).where(SegmentNameRow.lineage == lineage)
    query = select(SegmentNameRow).where(SegmentNameRow.id.in_(newest.group_by(SegmentNameRow.segment)))
    return list(session.scalars(query.order_by(SegmentNameRow.segment)))


def _record(row: SegmentNameRow) -> SegmentName:
    return SegmentName(row.lineage, row.segment, row.name, row.at, row.actor)
