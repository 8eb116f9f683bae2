"""What two shadows agree on, and groups of segments: coarser and finer cuts of one tree."""

from itertools import pairwise

import numpy as np
import pytest

from cluster.clusters import Tree
from cluster.hierarchy import groups_of, joins_of, with_new, without
from cluster.shadow import Proposal, agreements, confirm, propose


def test_what_a_shadow_asks_for() -> None:
    standing = np.repeat([3, 7, 8, 12, -1], [100, 50, 50, 80, 60]).astype(np.int32)
    found = np.concatenate([np.repeat([0, 1], 50), np.repeat(2, 100), np.repeat(3, 80), np.repeat(4, 60)])
    asked = propose(standing, found.astype(np.int32), [3, 7, 8, 12])
    assert [(p.kind, p.segments, p.clusters) for p in asked] == [
        ("split", (3,), (0, 1)),
        ("merged", (7, 8), (2,)),
        ("born", (), (4,)),
    ]
    again = found.copy()
    again[:5] = -1
    confirmed = confirm(asked, agreements(found.astype(np.int32), again.astype(np.int32)))
    assert [c.proposal.kind for c in confirmed] == ["split", "merged", "born"]
    assert confirmed[0].agreement == pytest.approx(0.9)
    assert confirm(asked, agreements(found.astype(np.int32), np.zeros(len(found), np.int32))) == []
    assert confirm([Proposal("born", (), (9,), {})], np.zeros((2, 2))) == []


# --- coarser and finer


def family() -> Tree:
    """The root holds 1 and 2; 1 splits into 3 and 4, which parts into 5 and 6."""
    return Tree(
        np.array([-1, 0, 0, 1, 1, 4, 4]),
        np.repeat([2, 3, 5, 6], 10).astype(np.int64),
        np.array([0, 1, 1, 2, 2, 5, 5.0]),
        (2, 3, 5, 6),
    )


def test_groups_are_cuts_of_one_tree() -> None:
    joins = joins_of(family(), (2, 3, 5, 6))
    assert joins == ((2, 3), (1, 2), (0, 1))
    cuts = [groups_of(range(4), joins, number) for number in (4, 3, 2, 1)]
    assert [len(set(cut.values())) for cut in cuts] == [4, 3, 2, 1]
    assert cuts[1] == {0: 0, 1: 1, 2: 2, 3: 2}
    assert cuts[2] == {0: 0, 1: 1, 2: 1, 3: 1}
    for finer, coarser in pairwise(cuts):
        for a in range(4):
            for b in range(4):
                assert finer[a] != finer[b] or coarser[a] == coarser[b]
    assert groups_of(range(4), joins, 99) == cuts[0]


def test_joins_live_on_when_segments_come_and_go() -> None:
    joins = ((2, 3), (1, 2), (0, 1))
    assert without(joins, 2) == ((1, 3), (0, 1))
    assert without(joins, 2, into=0) == ((0, 3), (1, 0))
    assert without(joins, 0) == ((2, 3), (1, 2))
    apart = {(2, 3): 1.0, (1, 2): 2.0, (0, 1): 3.0}
    assert with_new(joins, 9, 0, 1.5, apart) == ((2, 3), (0, 9), (1, 2), (0, 1))
    assert with_new(joins, 9, 0, 9.0, apart) == (*joins, (0, 9))
