"""A small network of seeds against everybody else."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from index.scorers import Floats, Others, Scoring

FAST, SLOW = np.float32(0.9), np.float32(0.99)
"""How much Adam keeps, a step, of the mean and of the mean square of the gradients."""


@dataclass(frozen=True)
class Network:
    """The mean of a few networks with one hidden layer, learnt side by side from the same draws.

    A draw holds as many seeds as others, so that both classes weigh the same. Half of the inputs are left out at random
    at every step (dropout: Srivastava et al., JMLR 15, 2014): with fewer seeds than inputs it is what makes a network
    better than logistic regression, and not worse.
    """

    members: int = 4
    hidden: int = 8
    """Hidden units of each."""
    steps: int = 200
    drawn: int = 64
    """Seeds, and others, in the draw of a step."""
    rate: float = 0.01
    """Of learning, at the start; it falls to nothing linearly."""
    kept: float = 0.5
    """Share of the inputs that a step sees."""
    decay: float = 15.0
    """L2 penalty, divided by the number of seeds and of hidden units."""

    def fit(self, seeds: Floats, others: Others, rng: np.random.Generator) -> Scoring:
        """Adam (Kingma, Ba 2015) on the logistic loss of both classes."""
        p, b, hidden = seeds.shape[1], self.drawn, self.hidden
        scale = np.float32(1.0 / others.spread)
        units = self.members * hidden
        into = _normal(rng, (p, units), 0.3 / np.sqrt(p))
        bias = np.zeros(units, np.float32)
        out = _normal(rng, (self.members, hidden), 1 / np.sqrt(hidden))
        constant = np.zeros(self.members, np.float32)
        parameters = [into, bias, out, constant]
        decays = np.array([1, 0, 1, 0], np.float32) * np.float32(self.decay / len(seeds) / hidden)
        means, squares = ([np.zeros_like(each) for each in parameters] for _ in range(2))
        is_seed = np.r_[np.ones((b, 1), np.float32), np.zeros((b, 1), np.float32)]
        x, chance = np.empty((2 * b, p), np.float32), np.empty((2 * b, p), np.float32)
        for step in range(1, self.steps + 1):
            x[:b] = seeds[rng.integers(0, len(seeds), b)]
            x[b:] = others.rows[rng.integers(0, len(others.rows), b)]
            x -= others.mean
            x *= scale / np.float32(self.kept)
            x *= rng.random(dtype=np.float32, out=chance) < self.kept
            active = np.tanh(x @ into + bias)  # [2b, units]
            apart = active.reshape(-1, self.members, hidden)
            slope = (expit(_outcome(apart, out) + constant) - is_seed) * np.float32(0.5 / b)  # [2b, members]
            back = (slope[:, :, None] * out).reshape(active.shape) * (1 - active * active)
            slopes = [x.T @ back, back.sum(axis=0), np.einsum("re,reh->eh", slope, apart), slope.sum(axis=0)]
            rate = np.float32(self.rate * (1 - (step - 1) / self.steps) * np.sqrt(1 - SLOW**step) / (1 - FAST**step))
            for value, gradient, decay, mean, square in zip(parameters, slopes, decays, means, squares, strict=True):
                gradient += decay * value
                mean += (1 - FAST) * (gradient - mean)
                square += (1 - SLOW) * (gradient * gradient - square)
                value -= rate * mean / (np.sqrt(square) + np.float32(1e-8))
        into *= scale
        bias -= others.mean @ into
        return lambda rows: _outcome(np.tanh(rows @ into + bias).reshape(-1, self.members, hidden), out).sum(axis=1)


def _normal(rng: np.random.Generator, shape: tuple[int, int], deviation: float) -> Floats:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)


def _outcome(active: Floats, out: Floats) -> Floats:
    """Hidden units [r, members, hidden] to logits [r, members]."""
    return np.asarray(np.einsum("reh,eh->re", active, out))
