"""What is worked out some customers at a time, or of some alone, is what everybody at once gives, in less memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from audience_world import behaviour_of, drawn, embedded, request
from embedded import write_embeddings
from hypothesis import given as examples
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embed.artifact import Embeddings
from eventlog.behaviour import Behaviour, Feature
from index.config import AudienceConfig
from index.contest import compete, in_blocks, split_others
from index.explain import drivers
from index.inputs import BLOCK, CLIP, Inputs
from index.pool import Pool, resolve
from index.scorers import Linear
from index.scoring import falling

N, WIDTH, FEATURES = 3 * BLOCK + 100, 16, 48


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Embeddings, Behaviour]:
    """More than fit into a block, with behaviours."""
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((N, WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    folder = tmp_path_factory.mktemp("blocks") / "embeddings"
    embeddings = write_embeddings(folder, "e", pl.Series("customer_id", np.arange(1, N + 1)), vectors)
    matrix = np.where(rng.random((N, FEATURES)) < 0.3, 0.0, rng.lognormal(1, 2, (N, FEATURES))).astype(np.float32)
    matrix[:, 0] = 1.0
    kinds = ("share", "amount")
    features = [Feature(f"f{at}", kinds[at % 2], None, None, f"behaviour {at}") for at in range(FEATURES)]  # type: ignore[arg-type]
    return embeddings, Behaviour(tuple(features), matrix)


@pytest.fixture(scope="module")
def inputs(customers: tuple[Embeddings, Behaviour]) -> Inputs:
    embeddings, behaviour = customers
    return Inputs.of(embeddings, behaviour, np.arange(0, N, 3))


def scaled(inputs: Inputs, behaviour: Behaviour) -> np.ndarray:
    """Everybody at once, float32 [n, p]."""
    values = behaviour.matrix.copy()
    values[:, 1::2] = np.sign(values[:, 1::2]) * np.log1p(np.abs(values[:, 1::2]))
    both = np.concatenate([inputs.vectors, values], axis=1)
    return np.asarray(np.clip((both - inputs.mean) / inputs.scale, -CLIP, CLIP))


def test_behaviours_are_scaled_in_blocks_as_all_at_once(
    customers: tuple[Embeddings, Behaviour], inputs: Inputs
) -> None:
    whole = scaled(inputs, customers[1])
    rows = np.random.default_rng(1).permutation(N)[: 2 * BLOCK + 7]
    columns = np.r_[2, 5, WIDTH : WIDTH + 20]
    np.testing.assert_array_equal(inputs.take(rows, "both"), whole[rows])
    np.testing.assert_array_equal(inputs.take(slice(50, BLOCK + 90), "both"), whole[50 : BLOCK + 90])
    np.testing.assert_array_equal(inputs.take(rows, "both", columns), whole[rows][:, columns])
    np.testing.assert_array_equal(inputs.take(rows[:0], "both"), whole[:0])
    pieces = list(inputs.pieces("both"))
    assert [part.stop - part.start for part, _ in pieces] == [BLOCK, BLOCK, BLOCK, 100]
    np.testing.assert_array_equal(np.concatenate([piece for _, piece in pieces]), whole)


def test_what_scorers_see_is_held_in_memory_once(inputs: Inputs) -> None:
    tracemalloc.start()
    try:
        taken = inputs.take(np.arange(N), "both")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # beside it a block in a few forms: whole copies of it would be 200 % and more
    assert peak < 1.5 * taken.nbytes + 4 * BLOCK * taken.shape[1] * 4


def test_blocks_have_the_scores_of_all_rows() -> None:
    rng = np.random.default_rng(0)
    rows, weights = rng.standard_normal((2 * BLOCK + 5, 8), dtype=np.float32), np.arange(8, dtype=np.float32)
    seen: list[int] = []
    scores = in_blocks(lambda part: (seen.append(len(part)), Linear(weights)(part))[1], rows)
    assert seen == [BLOCK, BLOCK, 5]
    np.testing.assert_allclose(scores, rows @ weights, rtol=1e-4, atol=1e-4)


SCORE = st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf])


@examples(arrays(np.float32, st.integers(0, 40), elements=SCORE))
def test_falling_scores_are_a_stable_sort(scores: np.ndarray) -> None:
    np.testing.assert_array_equal(falling(scores), np.argsort(-scores, kind="stable"))


@pytest.fixture(scope="module")
def pool(customers: tuple[Embeddings, Behaviour]) -> Pool:
    return resolve(request(np.arange(0, 400, 4), 300), customers[0], AudienceConfig())


@pytest.mark.parametrize("many", [1, 50, N // 2, N - 101, N, 2 * N])
def test_the_first_who_are_drawn_are_the_first_of_all(pool: Pool, many: int) -> None:
    np.testing.assert_array_equal(pool.first_drawn(many), pool.drawn[:many])


@pytest.mark.parametrize("eligible", [1.0, 0.3, 0.02, 0.0])
def test_who_is_ranked_does_not_depend_on_how_few_are_put_in_order(
    customers: tuple[Embeddings, Behaviour], eligible: float
) -> None:
    config = AudienceConfig(fit_rows=500, evaluation_rows=1000)
    asked = request(np.arange(0, 400, 4), 300)
    pool = resolve(asked, customers[0], config)
    pool.eligible[:] = np.random.default_rng(2).random(N) < eligible
    rest = pool.drawn[500:]
    allowed = rest[pool.eligible[rest]]
    ranked = np.sort((allowed if eligible else rest)[:1000])
    for fitted, found in split_others(pool, config, 3):
        np.testing.assert_array_equal(fitted, np.sort(pool.drawn[:500]))
        np.testing.assert_array_equal(found, ranked)


def test_groups_are_told_together_as_they_are_alone(customers: tuple[Embeddings, Behaviour]) -> None:
    behaviour, everybody = customers[1], np.arange(0, N, 2)
    groups = [np.flatnonzero(behaviour.matrix[:, at] > 20) for at in (3, 4, 5)] + [np.zeros(0, np.int64)]
    together = drivers(behaviour, groups, everybody, 5, np.random.default_rng(0))
    alone = [drivers(behaviour, [group], everybody, 5, np.random.default_rng(0))[0] for group in groups]
    assert together == alone
    assert [of_one[0].feature for of_one in together[:3]] == ["f3", "f4", "f5"]
    assert together[3] == ()


def test_a_blend_is_of_the_normal_scores_of_those_in_it_alone(tmp_path: Path) -> None:
    """Leaving scorers out of the contest, or asking in another order, changes no blend of the others."""
    given, seeds, config = embedded(tmp_path, 0), drawn(0, [2], 80), AudienceConfig(scorers=("centroid", "ratio"))
    every = AudienceConfig(scorers=("prototypes", "centroid", "ratio"))
    inputs = Inputs.of(given, behaviour_of(0), np.arange(200))
    few, many = (compete(inputs, resolve(request(seeds, 300), given, c), c, 7) for c in (config, every))
    many.blend((0, 2))
    np.testing.assert_array_equal(few.blend((0, 1)), many.blend((2, 1)))
    assert not np.array_equal(few.blend((0, 1)), few.outranked[0])
