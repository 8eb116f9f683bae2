"""Names that people give to segments: the last one counts, none is given twice, every one is kept and audited."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import ConflictError, InputError
from store.catalogue import Catalogue
from store.segment_names import LONGEST, SegmentNames

MADE = {0: "Much fuel", 3: "Few events"}


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue(tmp_path / "catalogue.db") as made:
        yield made


def rename(catalogue: Catalogue, segment: int, name: str, lineage: str = "line", actor: str = "anna") -> str:
    return SegmentNames(catalogue).rename(lineage, segment, name, actor=actor, others=MADE).name


def test_the_last_name_counts_and_every_one_is_kept(catalogue: Catalogue) -> None:
    register = SegmentNames(catalogue)
    assert (register.given("line"), register.version("line"), register.history("line")) == ({}, 0, [])
    assert rename(catalogue, 3, "  Sleepers \n") == "Sleepers"
    rename(catalogue, 3, "Quiet ones", actor="ben")
    rename(catalogue, 0, "Drivers")
    assert {id: (name.name, name.actor) for id, name in register.given("line").items()} == {
        0: ("Drivers", "anna"),
        3: ("Quiet ones", "ben"),
    }
    assert [name.name for name in register.history("line")] == ["Sleepers", "Quiet ones", "Drivers"]
    assert register.version("line") == 3
    assert register.given("another") == {}
    assert register.version("another") == 0


def test_every_name_is_audited_with_the_one_before(catalogue: Catalogue) -> None:
    rename(catalogue, 3, "Sleepers")
    rename(catalogue, 3, "Quiet ones", actor="ben")
    told = [(entry.actor, entry.action, entry.subject, dict(entry.details)) for entry in catalogue.audit_log()]
    assert told == [
        ("ben", "segment.rename", "3", {"lineage": "line", "before": "Sleepers", "name": "Quiet ones"}),
        ("anna", "segment.rename", "3", {"lineage": "line", "before": "Few events", "name": "Sleepers"}),
    ]


def test_giving_the_same_name_again_changes_nothing(catalogue: Catalogue) -> None:
    rename(catalogue, 3, "Sleepers")
    rename(catalogue, 3, "Sleepers", actor="ben")
    register = SegmentNames(catalogue)
    assert (register.version("line"), register.given("line")[3].actor) == (1, "anna")
    assert len(catalogue.audit_log()) == 1
    rename(catalogue, 3, "SLEEPERS")  # how it is written may be mended
    assert register.given("line")[3].name == "SLEEPERS"


@pytest.mark.parametrize("name", ["much FUEL", " Much  fuel ", "Much fuel", "Ｍuch fuel"])
def test_a_name_that_another_segment_has_is_refused(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(ConflictError, match="segment 0 is called 'Much fuel' already"):
        rename(catalogue, 3, name)
    assert catalogue.audit_log() == []
    rename(catalogue, 0, "Drivers")
    rename(catalogue, 3, name)  # free once the other has another one
    with pytest.raises(ConflictError, match="segment 3 is called"):
        rename(catalogue, 0, "Much fuel")
    rename(catalogue, 0, "Much fuel", lineage="another")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "has 0 characters"),
        (" \t\n ", "has 0 characters"),
        ("x" * (LONGEST + 1), "has 73 characters; a segment's name has 1 to 72"),
        ("a\nb", "control character U.000A"),
        ("a\x00b", "control character"),
        ("a\u202eb", "control character U.202E"),
        ("a\u2028b", "control character"),
    ],
)
def test_what_cannot_be_a_name_is_refused(catalogue: Catalogue, name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rename(catalogue, 3, name)
    assert SegmentNames(catalogue).version("line") == 0


@pytest.mark.parametrize("name", ["x", "x" * LONGEST, "Große Käufer", "می\u200cخرند", "<b>&", "$x_1$", "=1+1"])
def test_what_can_be_a_name_is_kept_as_it_is(catalogue: Catalogue, name: str) -> None:
    assert rename(catalogue, 3, name) == name
    assert SegmentNames(catalogue).given("line")[3].name == name
