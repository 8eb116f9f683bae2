"""The register of erasures, and how ids are told from other text."""

from pathlib import Path

import polars as pl
import pytest

from configs.errors import ArtifactError
from store.catalogue import Catalogue
from store.erasures import Erasures, Named, go_on, receipts, write_receipt
from store.rewrite import JOURNAL, Rewrite
from store.workspace import Workspace


def test_ids_are_told_from_words_that_hold_them() -> None:
    who = Named(frozenset(["customer-1", "A7", "12", "007"]))
    assert who.telling == ("customer-1",)
    assert who.blanked("to customer-1, of A7") == "to (erased), of A7"
    assert who.blanked("customer-10 and mycustomer-1") == "customer-10 and mycustomer-1"
    assert [who.are(value) for value in ("A7", " A7", "7", 7, 12, "12", True, None, 8)] == [
        True, True, True, True, True, True, False, False, False,
    ]  # fmt: skip
    assert who.among(pl.Series([7, 8, 12, None])).tolist() == [True, False, True, False]
    assert who.among(pl.Series(["7", "007", "A7", None])).tolist() == [False, True, True, False]


def test_a_register_without_anybody_costs_nothing_and_says_so(tmp_path: Path) -> None:
    with Catalogue(tmp_path / "c.db") as catalogue:
        register = Erasures(catalogue)
        assert register.mask(pl.Series(["a", None, "b"])).tolist() == [False] * 3
        assert register.mask(pl.Series([], dtype=pl.Int64)).tolist() == []
        assert register.hold(["a", 1]) == [False, False]
        assert register.allow(["a"], actor="test") == 0
        assert catalogue.audit_log() == []
        assert register.salt() == Erasures(catalogue).salt()
        assert len(register.salt()) == 32


def test_an_erasure_is_not_finished_with_another_catalogue(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w")
    receipt = {"receipt": "e-1", "hashes": ["1" * 64], "at": "2026-01-01T00:00:00+00:00", "actor": "t"}
    receipt |= {"known": 1, "unknown": 0}
    facts = {"receipt": receipt, "audiences": {}, "catalogue": "of another one"}
    with workspace.lock():
        Rewrite(workspace.root).commit(facts)
    with Catalogue(workspace.catalogue) as catalogue:
        go_on(workspace.root, catalogue)
        assert Erasures(catalogue).known() == frozenset()
    assert (workspace.root / JOURNAL).exists()


def test_a_damaged_receipt_is_named(tmp_path: Path) -> None:
    write_receipt(tmp_path, {"receipt": "e-1", "at": "2026-01-01"})
    assert [one["receipt"] for one in receipts(tmp_path)] == ["e-1"]
    (tmp_path / "erasures" / "e-2.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"e-2\.json: not readable"):
        receipts(tmp_path)
