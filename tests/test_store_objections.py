"""The register of objections: what was said last counts, every change is kept and audited, and no id is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from store.catalogue import Catalogue
from store.objections import AT_ONCE, Objections


class Clock:
    """Goes on by an hour each time it is read."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue(tmp_path / "catalogue.db", Clock()) as made:
        yield made


def test_what_was_said_last_counts(catalogue: Catalogue) -> None:
    register = Objections(catalogue)
    assert (register.standing(), register.version(), register.of("7")) == ([], 0, None)
    assert register.note(["7", "9", "7"], True, actor="a") == 2
    assert register.note(["9"], False, actor="b") == 1
    assert [objection.customer for objection in register.standing()] == ["7"]
    withdrawn = register.of("9")
    assert withdrawn is not None
    assert (withdrawn.objects, withdrawn.actor) == (False, "b")
    register.note(["9"], True, actor="c")
    assert [objection.customer for objection in register.standing()] == ["7", "9"]
    assert register.version() == 4


def test_saying_the_same_again_changes_nothing(catalogue: Catalogue) -> None:
    register = Objections(catalogue)
    register.note(["7"], True, actor="a")
    version, since = register.version(), register.standing()[0].at
    assert register.note(["7"], True, actor="b") == 0
    assert register.note(["8"], False, actor="b") == 0  # never objected
    assert (register.version(), register.standing()[0].at) == (version, since)
    assert [entry.action for entry in catalogue.audit_log()] == ["objection.add"]


def test_the_audit_log_gets_numbers_and_no_ids(catalogue: Catalogue) -> None:
    register = Objections(catalogue)
    register.note(["cust-4711", "cust-4712"], True, actor="a")
    register.note(["cust-4711"], False, actor="b")
    entries = catalogue.audit_log()
    told = [(entry.actor, entry.action, dict(entry.details)) for entry in entries]
    assert told == [("b", "objection.withdraw", {"new": 1}), ("a", "objection.add", {"new": 2})]
    assert "471" not in repr(entries)


def test_long_lists_are_noted_whole(catalogue: Catalogue) -> None:
    register = Objections(catalogue)
    many = [f"c{number}" for number in range(2 * AT_ONCE + 7)]
    assert register.note(many[:AT_ONCE], True, actor="a") == AT_ONCE
    assert register.note(many, True, actor="a") == AT_ONCE + 7
    assert [objection.customer for objection in register.standing()] == sorted(many)


def test_another_catalogue_of_the_same_file_sees_it(tmp_path: Path) -> None:
    with Catalogue(tmp_path / "catalogue.db") as one, Catalogue(tmp_path / "catalogue.db") as other:
        Objections(one).note(["7"], True, actor="a")
        assert [objection.customer for objection in Objections(other).standing()] == ["7"]
