"""Segments from vectors: planted groups, background, landmarks, stability, and populations without groups."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from cluster.clusters import Tree, tree_of
from cluster.config import SegmentsConfig
from cluster.fit import Fit, fit
from cluster.gate import isolation, reach, threshold
from cluster.neighbours import graph, search
from cluster.projection import project
from cluster.sharpen import plain, sharpened
from cluster.stability import Refit, best_in_tree, best_jaccard, publishable, stability_of, still_there, word
from cluster.vote import vote
from configs.errors import InputError

Floats = npt.NDArray[np.float32]
QUICK = SegmentsConfig(epochs=100, stability_runs=2)


def unit(rows: npt.NDArray[np.floating]) -> Floats:
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def planted(n: int, seed: int = 0, background: float = 0.0, width: int = 48) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Six unequal groups that share large nuisance directions, and some customers far from all of them (-1)."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((6, 16)) * 1.2
    nuisance = np.linalg.qr(rng.standard_normal((16, 3)))[0].T
    truth = rng.choice(6, size=n, p=[0.35, 0.22, 0.16, 0.12, 0.09, 0.06])
    points = centres[truth] + rng.standard_normal((n, 16)) * 0.35 + rng.standard_normal((n, 3)) * 1.5 @ nuisance
    outside = rng.random(n) < background
    points[outside] = rng.standard_normal((outside.sum(), 16)) * 3.5
    truth = np.where(outside, -1, truth)
    basis = np.linalg.qr(rng.standard_normal((width, 16)))[0]
    return unit(points @ basis.T + rng.standard_normal((n, width)) * 0.03), truth


@pytest.fixture(scope="module")
def world() -> tuple[Floats, npt.NDArray[np.int64], Fit]:
    vectors, truth = planted(2500, background=0.08)
    return vectors, truth, fit(vectors, QUICK)


def test_planted_groups_are_found(world: tuple[Floats, npt.NDArray[np.int64], Fit]) -> None:
    _, truth, found = world
    members = truth >= 0
    assert adjusted_rand_score(truth[members], found.labels[members]) > 0.95
    assert len(found.stability) == 6
    assert min(found.stability) > 0.85
    assert found.message == ""


def test_background_is_left_out_and_members_are_not(world: tuple[Floats, npt.NDArray[np.int64], Fit]) -> None:
    _, truth, found = world
    assert (found.labels[truth < 0] < 0).mean() > 0.75
    assert (found.labels[truth >= 0] < 0).mean() < 0.04


def test_segments_are_numbered_by_size_and_every_figure_has_its_range(
    world: tuple[Floats, npt.NDArray[np.int64], Fit],
) -> None:
    vectors, _, found = world
    sizes = np.bincount(found.labels[found.labels >= 0])
    assert sizes.tolist() == sorted(sizes, reverse=True)
    assert found.labels.dtype == np.int32
    assert found.strength.dtype == found.positions.dtype == np.float32
    assert found.positions.shape == (len(vectors), 2)
    assert np.isfinite(found.positions).all()
    assert found.strength.min() >= 0
    assert found.strength.max() <= 1
    assert (found.strength[found.labels < 0] == 0).all()
    assert (found.strength[found.labels >= 0]).mean() > 0.9


def test_same_vectors_same_bytes_whatever_the_threads(world: tuple[Floats, npt.NDArray[np.int64], Fit]) -> None:
    vectors, _, found = world
    again = fit(vectors, QUICK.model_copy(update={"threads": 2}))
    for name in ("labels", "strength", "positions"):
        assert getattr(found, name).tobytes() == getattr(again, name).tobytes()
    assert found.stability == again.stability


def test_landmarks_and_vote_agree_with_the_direct_fit(world: tuple[Floats, npt.NDArray[np.int64], Fit]) -> None:
    vectors, truth, direct = world
    voted = fit(vectors, QUICK.model_copy(update={"landmarks": 1200}))
    assert voted.figures["landmarks"] == 1200
    both = (voted.labels >= 0) & (direct.labels >= 0)
    assert both.mean() > 0.85
    assert adjusted_rand_score(direct.labels[both], voted.labels[both]) > 0.97
    assert (voted.labels[truth < 0] < 0).mean() > 0.7


def test_five_dimensions_still_give_a_map_of_two() -> None:
    vectors, truth = planted(900, seed=3)
    found = fit(vectors, SegmentsConfig(dimensions=5, epochs=60, stability_runs=0))
    assert found.positions.shape == (900, 2)
    assert adjusted_rand_score(truth, found.labels) > 0.9


@pytest.mark.parametrize("kind", ["cloud", "uniform"])
def test_a_population_without_groups_gets_at_most_one_segment_and_a_sentence(kind: str) -> None:
    rng = np.random.default_rng(5)
    if kind == "cloud":
        rows = rng.standard_normal((1500, 32)) * np.geomspace(1, 0.1, 32)
    else:
        rows = rng.random((1500, 12)) @ rng.standard_normal((12, 32))
    found = fit(unit(rows), SegmentsConfig(epochs=100, stability_runs=4))
    assert len(found.stability) <= 1
    assert "one broad group" in found.message
    if not found.stability:
        assert (found.labels == -1).all()


def test_one_segment_with_nearly_everybody_keeps_the_few_others_apart() -> None:
    rng = np.random.default_rng(1)
    rows = np.vstack([rng.standard_normal((1450, 32)) * 0.1 + 1, rng.standard_normal((60, 32)) * 0.1 - 1])
    found = fit(unit(rows), SegmentsConfig(epochs=100, stability_runs=2))
    assert len({*found.labels[:1450].tolist()} & {*found.labels[1450:].tolist()} - {-1}) == 0
    assert (found.labels[1450:] >= 0).mean() > 0.8
    assert found.broad == 0
    assert "differ among themselves by degrees" in found.message


def test_duplicates_by_the_thousand_are_segments_of_their_own() -> None:
    rng = np.random.default_rng(2)
    rows = np.repeat(rng.standard_normal((3, 24)), 700, axis=0)
    found = fit(unit(rows), SegmentsConfig(epochs=50, stability_runs=1))
    assert adjusted_rand_score(np.repeat(np.arange(3), 700), found.labels) == 1.0
    assert np.isfinite(found.positions).all()


def test_ten_customers_get_an_answer() -> None:
    found = fit(unit(np.random.default_rng(0).standard_normal((10, 16))), SegmentsConfig())
    assert (found.labels == -1).all()
    assert "10 customers are too few" in found.message
    assert "min_customers" in found.message


def test_one_customer_one_dimension() -> None:
    found = fit(np.ones((1, 1), np.float32), SegmentsConfig())
    assert found.labels.tolist() == [-1]
    assert np.isfinite(found.positions).all()


def test_a_least_size_above_the_population_is_explained() -> None:
    vectors, _ = planted(300)
    found = fit(vectors, SegmentsConfig(min_customers=5000))
    assert "segments of at least 5,000" in found.message
    assert found.stability == ()


def test_equal_vectors_are_explained() -> None:
    found = fit(unit(np.ones((1000, 16))), SegmentsConfig())
    assert (found.labels == -1).all()
    assert "are equal" in found.message


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_refused(bad: float) -> None:
    vectors, _ = planted(300)
    vectors[7, 3] = bad
    with pytest.raises(InputError, match="1 of 300 vectors hold NaN or infinity"):
        fit(vectors, SegmentsConfig())


@pytest.mark.parametrize("shape", [(0, 8), (8, 0), (8,)])
def test_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected float32"):
        fit(np.zeros(shape, np.float32), SegmentsConfig())


# --- the parts


@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 12), st.booleans())
@settings(max_examples=40)
def test_the_graph_is_brute_force_and_never_oneself(seed: int, n: int, k: int, duplicates: bool) -> None:
    rng = np.random.default_rng(seed)
    space = rng.standard_normal((n, 5)).astype(np.float32)
    if duplicates:
        space[n // 2 :] = space[0]
    near = graph(space, k)
    assert near.rows.shape == (n, min(k, n - 1))
    assert (near.rows != np.arange(n)[:, None]).all()
    assert all(len(set(row)) == near.k for row in near.rows.tolist())
    exact = np.linalg.norm(space[:, None].astype(float) - space[None], axis=2)
    np.fill_diagonal(exact, np.inf)
    np.testing.assert_allclose(near.distances, np.sort(exact, axis=1)[:, : near.k], atol=5e-3)


def test_neighbours_do_not_depend_on_threads() -> None:
    space = np.random.default_rng(0).standard_normal((3000, 24)).astype(np.float32)
    one, two = search(space, space, 9, threads=1), search(space, space, 9, threads=2)
    assert one.rows.tobytes() == two.rows.tobytes()
    assert one.distances.tobytes() == two.distances.tobytes()


@pytest.mark.parametrize(("n", "width"), [(3000, 76), (6000, 32)])
def test_products_of_matrices_do_not_depend_on_threads_either(n: int, width: int) -> None:
    space = np.random.default_rng(0).standard_normal((n, width)).astype(np.float32)
    one, *more = (search(space, space, 9, threads=threads) for threads in (1, 2, 3))
    for other in more:
        assert one.rows.tobytes() == other.rows.tobytes()
        assert one.distances.tobytes() == other.distances.tobytes()


def test_the_gate_lets_the_dense_in_and_the_lonely_out() -> None:
    rng = np.random.default_rng(0)
    space = np.vstack(
        [rng.standard_normal((500, 4)), rng.standard_normal((500, 4)) * 5 + 60, [[25.0] * 4, [-40.0] * 4]]
    )
    near = graph(space.astype(np.float32), 15)
    ratios = isolation(reach(near), near.rows, reach(near))
    limit = threshold(ratios, 3.0)
    assert (ratios[-2:] > limit).all()
    assert (ratios[:-2] <= limit).mean() > 0.9
    # each group is judged by its own density
    assert abs(np.median(ratios[:500]) - np.median(ratios[500:1000])) < 0.1


def test_sharpening_damps_what_varies_inside_groups() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 8, 2000)
    telling = rng.standard_normal((8, 6))[truth] * 0.6 + rng.standard_normal((2000, 6)) * 0.25
    nuisance, noise = rng.standard_normal((2000, 3)) * 1.2, rng.standard_normal((2000, 11)) * 0.25
    vectors = np.hstack([telling, nuisance, noise]).astype(np.float32)

    def purity(space: Floats) -> float:
        return float((truth[graph(space, 15).rows] == truth[:, None]).mean())

    sharp = sharpened(vectors, 15, 0)
    assert sharp.axes.shape[1] < 20
    assert purity(sharp.of(vectors)) > purity(plain(vectors).of(vectors)) + 0.05


def test_the_tree_holds_every_cluster_inside_its_parent() -> None:
    vectors, _ = planted(700)
    tree = tree_of(project(vectors, graph(vectors, 15), dimensions=2, epochs=50, seed=0), 20)
    assert tree.members(0).all()
    for cluster in range(1, len(tree.parents)):
        assert tree.parents[cluster] < cluster
        assert not (tree.members(cluster) & ~tree.members(int(tree.parents[cluster]))).any()
        assert tree.members(cluster).sum() >= 20
    labels = tree.labels(tree.chosen)
    assert set(labels.tolist()) <= {-1, *range(len(tree.chosen))}


@given(st.lists(st.tuples(st.booleans(), st.integers(-1, 4)), min_size=1, max_size=60))
def test_best_jaccard_is_brute_force(rows: list[tuple[bool, int]]) -> None:
    members, labels = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], np.int32)
    expected = 0.0
    for label in set(labels.tolist()) - {-1}:
        other = labels == label
        expected = max(expected, (members & other).sum() / (members | other).sum())
    assert best_jaccard(members, labels) == pytest.approx(expected)


def family() -> Tree:
    """A root of 100 points; cluster 1 holds 0..59 and splits into 3 (0..29) and 4 (30..59), cluster 2 holds 60..99."""
    return Tree(
        np.array([-1, 0, 0, 1, 1]),
        np.repeat([3, 4, 2], [30, 30, 40]).astype(np.int64),
        np.array([0, 1, 1, 2, 2.0]),
        (2, 3, 4),
    )


def test_shaky_segments_give_way_to_the_stable_one_around_them() -> None:
    tree, everybody = family(), np.arange(100)
    together = Refit(everybody, np.repeat([0, 1], [60, 40]).astype(np.int32), tree)
    apart = Refit(everybody, np.repeat([0, 1, 2], [30, 30, 40]).astype(np.int32), tree)
    assert publishable(tree, [together] * 3, 0.6) == [(1, 1.0), (2, 1.0)]
    assert publishable(tree, [apart] * 3, 0.6) == [(2, 1.0), (3, 1.0), (4, 1.0)]
    assert publishable(tree, [], 0.6) == [(2, 1.0), (3, 1.0), (4, 1.0)]


def test_what_never_comes_back_is_not_published() -> None:
    labels = (np.arange(100) % 10).astype(np.int32)
    tree = Tree(np.array([-1, *[0] * 10]), labels.astype(np.int64) + 1, np.ones(11), tuple(range(1, 11)))
    scattered = [Refit(np.arange(100), labels, tree)] * 2
    assert publishable(family(), scattered, 0.6) == []
    assert stability_of(family().members(2), scattered) < 0.3
    assert still_there(family().members(2), scattered) < 0.3


def test_a_standing_segment_is_still_there_at_whatever_level_it_is_told() -> None:
    tree, everybody = family(), np.arange(100)
    told_whole = Refit(everybody, tree.labels((1, 2)), tree)
    half, whole = tree.members(3), tree.members(1)
    assert stability_of(half, [told_whole]) == pytest.approx(0.5)
    assert still_there(half, [told_whole]) == still_there(whole, [told_whole]) == 1.0
    assert best_in_tree(np.ones(100, bool), tree) == pytest.approx(0.6), "the root, everybody, is no group"
    assert best_in_tree(np.zeros(100, bool), tree) == 0.0
    alone = Tree(np.array([-1]), np.zeros(100, np.int64), np.zeros(1), ())
    assert best_in_tree(half, alone) == 0.0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0, 1, 2, 3, 4])), min_size=1, max_size=60))
def test_the_best_in_a_tree_is_brute_force(rows: list[tuple[bool, int]]) -> None:
    members = np.array([r[0] for r in rows])
    tree = Tree(np.array([-1, 0, 0, 1, 1]), np.array([r[1] for r in rows], np.int64), np.ones(5), (2, 3, 4))
    inside = [tree.members(cluster) for cluster in range(1, 5)]
    expected = max((members & c).sum() / max(1, (members | c).sum()) for c in inside)
    assert best_in_tree(members, tree) == pytest.approx(expected)


def test_words_of_stability() -> None:
    assert [word(s) for s in (0.9, 0.8, 0.65)] == ["firm", "stable", "tentative"]


@given(st.integers(0, 1000))
@settings(max_examples=30)
def test_the_vote_is_a_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = rng.standard_normal((40, 3)).astype(np.float32)
    labels = rng.integers(-1, 4, 40).astype(np.int32)
    near = graph(space, 7)
    said = vote(near, labels, 4, labels)
    for i in range(40):
        around = labels[near.rows[i]].tolist()
        counts = [around.count(segment) for segment in range(4)]
        assert said.share[i] == pytest.approx(max(counts) / 7)
        assert said.winner[i] == (counts.index(max(counts)) if max(counts) else -1)
        assert said.own[i] == pytest.approx(around.count(labels[i]) / 7 if labels[i] >= 0 else 0)
        left = [0 if segment == said.winner[i] else count for segment, count in enumerate(counts)]
        assert said.second_share[i] == pytest.approx(max(left) / 7)
        assert said.second[i] == (left.index(max(left)) if max(left) else -1)
