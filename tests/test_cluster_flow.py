"""The flow between two snapshots: nobody gets lost in what is drawn, and pictures are the same every time."""

import json
import re
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.flow import AFTER, BEFORE, MIDDLE, MOST_SEGMENTS, PLAIN, Flow, flow_of
from cluster.flow_picture import HEIGHT, draw_flow, spans_of, write_flow_page
from cluster.moves import ABSENT, NONE, Matrix
from cluster.palette import UNASSIGNED, colour_of

HEADS = ("s-one, 2026-01-01", "s-two, 2026-02-01")


def matrix_of(seed: int, before: int, after: int, spread: int = 40) -> Matrix:
    """Many who stay and some who move; the first segment died, ids have gaps, some are new and some gone."""
    rng = np.random.default_rng(seed)
    rows = (*range(0, 3 * before, 3), NONE, ABSENT)
    columns = (*range(3, 3 * after + 3, 3), NONE, ABSENT)
    counts = rng.integers(0, spread, (len(rows), len(columns)))
    for i, id in enumerate(rows):
        if id in columns:
            counts[i, columns.index(id)] += int(rng.integers(500, 9000))
    counts[-1, -1] = 0
    return Matrix(rows, columns, counts)


def names(matrix: Matrix) -> dict[int, str]:
    return {id: f"a lot of fuel, often on Saturdays {id}" for id in {*matrix.before, *matrix.after} if id >= 0}


def flow(matrix: Matrix, one_lineage: bool = True) -> Flow:
    return flow_of(matrix, names(matrix), names(matrix), one_lineage)


@given(st.integers(0, 99), st.integers(1, 30), st.integers(1, 30), st.booleans())
def test_nobody_gets_lost(seed: int, before: int, after: int, one_lineage: bool) -> None:
    matrix = matrix_of(seed, before, after)
    found = flow(matrix, one_lineage)
    assert len({(r.source, r.target) for r in found.ribbons}) == len(found.ribbons)
    for side in (BEFORE, AFTER):
        assert sum(found.nodes[i].size for i in found.places(side)) == matrix.counts.sum()
        assert len(found.places(side)) <= MOST_SEGMENTS + 3
    for i, node in enumerate(found.nodes):
        out = sum(r.size for r in found.ribbons if r.source == i)
        into = sum(r.size for r in found.ribbons if r.target == i)
        assert (out, into) == {BEFORE: (node.size, 0), MIDDLE: (node.size, node.size), AFTER: (0, node.size)}[node.side]


def test_a_segment_has_its_colour_on_both_sides_and_none_where_ids_mean_nothing() -> None:
    matrix = matrix_of(0, 8, 8)
    for one_lineage in (True, False):
        for node in flow(matrix, one_lineage).nodes:
            id = int(node.name.split()[-1]) if node.name[-1].isdigit() else None
            if id is None:
                assert node.colour in (UNASSIGNED, PLAIN)
            else:
                assert node.colour == (colour_of(id) if one_lineage or node.side == AFTER else PLAIN)


def test_hairs_are_bundled_and_who_stays_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.array([[1, 2, 1, 0], [3, 100_000, 0, 0], [0, 0, 5, 0], [0, 0, 4, 0]])
    matrix = Matrix((0, 3, NONE, ABSENT), (0, 3, NONE, ABSENT), counts)
    assert not flow(matrix).places(MIDDLE), "few hairs are drawn one by one"
    monkeypatch.setattr("cluster.flow.MOST_HAIRS", 0)
    found = flow(matrix)
    (middle,) = found.places(MIDDLE)
    assert found.nodes[middle].name == "others: 4 small streams"
    assert found.nodes[middle].size == 2 + 1 + 3 + 4
    direct = {(found.nodes[r.source].name, r.size) for r in found.ribbons if middle not in (r.source, r.target)}
    assert {size for _, size in direct} == {1, 100_000, 5}


def test_bars_stand_apart_inside_the_picture() -> None:
    for seed in range(5):
        found = flow(matrix_of(seed, 30, 25))
        spans = spans_of(found)
        for side in (BEFORE, MIDDLE, AFTER):
            places = found.places(side)
            assert all(spans[above][0] > spans[below][1] for above, below in pairwise(places))
        assert all(0 < low < high < HEIGHT for low, high in spans.values())
        outer = min(spans[i][0] for side in (BEFORE, AFTER) for i in found.places(side))
        assert all(spans[i][1] < outer for i in found.places(MIDDLE))


@pytest.mark.parametrize(("before", "after"), [(1, 1), (12, 9), (40, 40)])
def test_the_picture_is_the_same_every_time_and_its_names_do_not_collide(
    tmp_path: Path, before: int, after: int
) -> None:
    from matplotlib.figure import Figure

    found, boxes = flow(matrix_of(1, before, after)), []
    save = Figure.savefig

    def looked_at(figure: Figure, path: Path, **options: object) -> None:
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        boxes.append([text.get_window_extent(renderer) for text in figure.axes[0].texts])
        save(figure, path, **options)  # type: ignore[arg-type]

    with patch.object(Figure, "savefig", looked_at):
        for name in ("a.png", "b.png"):
            draw_flow(tmp_path / name, found, "A title with $x_1$", HEADS)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert b"Software" not in (tmp_path / "a.png").read_bytes()
    there = boxes[0]
    for i, one in enumerate(there):
        assert one.x0 >= 0
        assert one.x1 <= 1600
        assert not [other for other in there[:i] if one.overlaps(other)]


def test_the_page_works_offline_and_is_what_plotly_draws(tmp_path: Path) -> None:
    import plotly.graph_objects as go

    matrix = matrix_of(2, 6, 6)
    nasty = {id: f"</script><b>{id}" for id in names(matrix)}
    found = flow_of(matrix, nasty, nasty)
    for name in ("a.html", "b.html"):
        write_flow_page(tmp_path / name, found, "T & co", HEADS)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page == (tmp_path / "b.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)\s*=", page)
    own = page.split('Plotly.newPlot("map", ', 1)[1]
    assert own.count("</script>") == 1
    traces, end = json.JSONDecoder().raw_decode(own)
    layout, _ = json.JSONDecoder().raw_decode(own[end:].lstrip(", "))
    figure = go.Figure(data=traces, layout=layout)  # refuses what plotly.js does not know
    assert sum(figure.data[0].link.value) == sum(ribbon.size for ribbon in found.ribbons)
