"""What a campaign caused, from the hold-out: against published figures, and against simulated campaigns."""

import numpy as np
import pytest

from configs.errors import InputError
from index.effect import effect


def test_newcombes_own_example() -> None:
    # Newcombe 1998, table II, (a) 56/70 against 48/80, method 10: 0.0524 to 0.3339 with 95 %
    found = effect(70, 56, 80, 48, confidence=0.95)
    assert found.difference.value == pytest.approx(0.2)
    assert found.difference.low == pytest.approx(0.0524, abs=5e-5)
    assert found.difference.high == pytest.approx(0.3339, abs=5e-5)
    assert found.told
    assert found.caused.value == pytest.approx(14)


def test_nobody_and_everybody() -> None:
    found = effect(10, 0, 20, 0, confidence=0.95)  # (g) of that table, with 0/10 and 0/20: -0.1611 to 0.2775
    assert (found.difference.low, found.difference.high) == pytest.approx((-0.1611, 0.2775), abs=5e-5)
    assert not found.told
    assert effect(10, 10, 10, 0).difference.value == 1.0


@pytest.mark.parametrize(("counts", "words"), [((10, 3, 0, 0), "nobody was held out"), ((0, 0, 5, 1), "nobody is in")])
def test_what_cannot_be_measured(counts: tuple[int, int, int, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        effect(*counts)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(1000):
        one, other = rng.uniform(0.01, 0.2, 2)
        found = effect(900, int(rng.binomial(900, one)), 100, int(rng.binomial(100, other)), confidence=0.9)
        inside += found.difference.low <= one - other <= found.difference.high
    assert 0.87 <= inside / 1000 <= 0.93
