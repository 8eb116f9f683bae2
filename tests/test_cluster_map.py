"""The map of segments: picture, page, names that do not collide, colours."""

import base64
import json
import re
import struct
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.labels import overlaps, spread_out
from cluster.map import BINS, POINTS, density, draw
from cluster.page import POINTS as PAGE_POINTS
from cluster.page import write_page
from cluster.palette import COLOURS, colour_of


def size_of(png: Path) -> tuple[int, int]:
    raw = png.read_bytes()
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", raw[16:24])
    return width, height


def test_a_crowd_is_drawn_as_density(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 2, POINTS + 1).astype(np.int32)
    positions = (rng.standard_normal((POINTS + 1, 2)) + labels[:, None] * 4).astype(np.float32)
    draw(tmp_path / "map.png", positions, labels, ["a $x_1$ day", "b"], "title")
    assert size_of(tmp_path / "map.png") == (1600, 1200)


def test_nobody_and_everybody_in_one_place_can_be_drawn(tmp_path: Path) -> None:
    draw(tmp_path / "map.png", np.zeros((7, 2), np.float32), np.full(7, -1, np.int32), [], "title")
    assert size_of(tmp_path / "map.png") == (1600, 1200)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 800)), min_size=1, max_size=25), st.integers(0, 99))
@settings(max_examples=30)
def test_names_do_not_cover_each_other(points: list[tuple[float, float]], seed: int) -> None:
    sizes = np.random.default_rng(seed).uniform([40, 10], [150, 30], (len(points), 2))
    places = spread_out(np.array(points), sizes, (0, 0, 1000, 800))
    assert overlaps(places, sizes) == 0
    assert (places - sizes / 2 >= -1e-6).all()
    assert (places + sizes / 2 <= np.array([1000, 800]) + 1e-6).all()


def test_a_segments_colour_hangs_on_its_id_alone_and_comes_back_late() -> None:
    assert [colour_of(id) for id in range(len(COLOURS))] == list(COLOURS)
    assert len({colour_of(id) for id in range(-1, 36)}) == 37
    assert colour_of(36) == colour_of(0)


def test_segments_whose_ids_have_gaps_are_drawn_as_the_same_ones_without(tmp_path: Path) -> None:
    """But for their colours: what is drawn where hangs on who the members are."""
    rng = np.random.default_rng(0)
    dense = rng.integers(-1, 3, 900).astype(np.int32)
    positions = (rng.standard_normal((900, 2)) + dense[:, None] * 5).astype(np.float32)
    ids = [0, 36, 72]  # three of one colour, which is that of 0 to 2 where these are made equal
    gaps = np.where(dense < 0, -1, np.array(ids)[dense]).astype(np.int32)
    with patch("cluster.map.colour_of", lambda id: "#0072b2" if id >= 0 else "#c8c8c8"):
        draw(tmp_path / "a.png", positions, dense, ["a", "b", "c"], "t")
        draw(tmp_path / "b.png", positions, gaps, ["a", "b", "c"], "t", ids)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    write_page(tmp_path / "a.html", positions, gaps, ["a", "b", "c"], ["x", "y", "z"], "t", ids)
    traces = json.loads(
        (tmp_path / "a.html").read_text().split('Plotly.newPlot("map", ', 1)[1].split("], {", 1)[0] + "]"
    )
    assert [len(trace["x"]) for trace in traces] == [int((gaps == id).sum()) for id in (-1, *ids)]


def test_every_customer_is_in_the_density_once() -> None:
    rng = np.random.default_rng(1)
    positions = rng.uniform(0, 8, (5000, 2)).astype(np.float32)
    labels = np.where(positions[:, 0] < 4, 7, 3).astype(np.int32)
    picture = density(positions, labels, (0.0, 8.0, 0.0, 8.0), (8, 4))
    for x in range(8):
        colour = "#" + "".join(f"{round(channel * 255):02x}" for channel in picture[1, x, :3])
        assert colour == colour_of(7 if x < 4 else 3)
    counts, *_ = np.histogram2d(positions[:, 1], positions[:, 0], (4, 8), ((0, 8), (0, 8)))
    order = np.argsort(counts, axis=None, kind="stable")
    assert (np.diff(picture[..., 3].ravel()[order]) >= -1e-12).all()
    assert not density(np.full((9, 2), 99, np.float32), np.zeros(9, np.int32), (0, 1, 0, 1))[..., 3].any()


def test_a_page_of_a_crowd_has_everybody_beneath_its_points(tmp_path: Path) -> None:
    n = PAGE_POINTS + 1
    positions = np.random.default_rng(0).standard_normal((n, 2)).astype(np.float32)
    for name in ("a.html", "b.html"):
        write_page(tmp_path / name, positions, np.zeros(n, np.int32), ["a"], ["x"], "t")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    own = page.split('Plotly.newPlot("map", ', 1)[1]  # plotly.js has small pictures in it too
    picture = re.search(r"data:image/png;base64,([A-Za-z0-9+/=]+)", own)
    assert picture is not None
    (tmp_path / "beneath.png").write_bytes(base64.b64decode(picture[1]))
    assert size_of(tmp_path / "beneath.png") == BINS
    assert page == (tmp_path / "b.html").read_text(encoding="utf-8")
