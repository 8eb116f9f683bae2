"""Vectors whose groups are known: the yardstick's worlds, and populations in which there are none."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
WIDTH = 128


def world_of(yardstick: Path, n: int, seed: int, hard: float) -> Any:
    """A World of `yardstick`/worlds.py: `.X` float32 [n, 128], `.y` int32 [n], -1 for the background."""
    spec = importlib.util.spec_from_file_location("worlds", yardstick / "worlds.py")
    if spec is None or spec.loader is None or not (yardstick / "worlds.py").is_file():
        raise SystemExit(f"--yardstick {yardstick}: no yardstick there (expected worlds.py)")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.World(n, seed=seed, hard=hard)


def unit(points: npt.NDArray[np.float64]) -> Floats:
    """Points [n, d] brought to unit length."""
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), np.float32)


def broad_cloud(n: int, rng: np.random.Generator) -> Floats:
    """One cloud on the sphere, wide in few directions and narrow in most, as embeddings are."""
    spread = 0.5 / np.arange(1, WIDTH + 1) ** 0.5
    middle = rng.standard_normal(WIDTH)
    return unit(middle / np.linalg.norm(middle) + rng.standard_normal((n, WIDTH)) * spread)


def round_cloud(n: int, rng: np.random.Generator) -> Floats:
    """The same in every direction: uniform on the sphere."""
    return unit(rng.standard_normal((n, WIDTH)))


def independent_behaviours(n: int, rng: np.random.Generator) -> Floats:
    """Eight behaviours, uniform and independent of each other, seen through a random linear map and noise."""
    seen = rng.uniform(-1, 1, (n, 8)) @ rng.standard_normal((8, WIDTH)) / WIDTH**0.5
    return unit(seen + rng.standard_normal((n, WIDTH)) * 0.03)


def curved_sheet(n: int, rng: np.random.Generator) -> Floats:
    """A sheet of two dimensions, rolled and bent, with noise: a swiss roll seen through a random map."""
    along, across = rng.uniform(1.5, 4.5, n) * np.pi, rng.uniform(-1, 1, n)
    roll = np.stack([along * np.cos(along) / 14, across, along * np.sin(along) / 14], axis=1)
    turned = np.linalg.qr(rng.standard_normal((WIDTH, 3)))[0].T
    middle = rng.standard_normal(WIDTH)
    return unit(middle / np.linalg.norm(middle) + roll @ turned * 0.5 + rng.standard_normal((n, WIDTH)) * 0.01)


def heavy_tails(n: int, rng: np.random.Generator) -> Floats:
    """One cloud with heavy tails: Student's t of 3 degrees of freedom in 16 directions, and noise."""
    axes = np.linalg.qr(rng.standard_normal((WIDTH, 16)))[0].T
    scale = (3 / rng.chisquare(3, n)) ** 0.5
    middle = rng.standard_normal(WIDTH)
    seen = (rng.standard_normal((n, 16)) * scale[:, None] * 0.15) @ axes
    return unit(middle / np.linalg.norm(middle) + seen + rng.standard_normal((n, WIDTH)) * 0.02)


def uneven_cloud(n: int, rng: np.random.Generator) -> Floats:
    """One cloud that thins out to one side: activity is log-normal, as it is in any bank."""
    axes = np.linalg.qr(rng.standard_normal((WIDTH, 6)))[0].T
    skewed = np.exp(rng.standard_normal((n, 6)) * 0.6)
    return unit(skewed @ axes + rng.standard_normal((n, WIDTH)) * 0.03)


GROUPLESS: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    "broad cloud": broad_cloud,
    "round cloud": round_cloud,
    "independent behaviours": independent_behaviours,
    "curved sheet": curved_sheet,
    "heavy tails": heavy_tails,
    "uneven cloud": uneven_cloud,
}
