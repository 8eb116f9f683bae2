"""Turns a retrained space on to the previous one, so that vectors of both can be compared.

Two trainings find the same behaviour in other directions. Orthogonal Procrustes (Schönemann 1966) on the vectors that
both encoders give the same histories finds the rotation that brings them closest. It is done part by part of the
vector, so that no likeness changes; where single dimensions mean something (level, selected features, forecasts),
they are only put in the previous order and sign (assignment, Kuhn 1955).

Shapes: n customers, D vector width.
"""

from typing import Any

import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment

from eventlog.recode import recoded
from eventlog.sequences import EventLog
from train.artifact import Model
from train.encode import length_buckets, states
from train.encoder import Encoder, Parts

NEIGHBOURS = 10
COMPARED = 3000
"""Customers, at most, among whom neighbours are compared."""


def comparable(previous: Model, log: EventLog, parts: Parts) -> bool:
    """Whether vectors of `parts`, for `log`, can be turned on to those of a previous model: same fields, same parts."""
    ours, theirs = log.schema, previous.schema
    fields = [[field.name for field in schema.categorical] for schema in (ours, theirs)]
    return previous.encoder.parts == parts and fields[0] == fields[1] and ours.numeric == theirs.numeric


def turn_onto(encoder: Encoder, previous: Model, log: EventLog, customers: np.ndarray) -> dict[str, Any]:
    """Turn the head of `encoder` on to the previous model's space, by some customers (positions in the log).

    Returns `rotated_onto` (the previous model), mean `cosine` between new and previous vectors and `cosine_before`
    the turn, and `neighbours_kept`: the mean share of a customer's ten nearest neighbours that stayed.
    """
    same_terms = recoded(log, previous.schema)
    old, new = vectors_of(previous.encoder, same_terms, customers), vectors_of(encoder, log, customers)
    turn = rotation(new, old, encoder.parts)
    encoder.head.projection.copy_(encoder.head.projection @ torch.from_numpy(turn).float())
    some = slice(None, None, max(len(customers) // COMPARED, 1))
    return {
        "rotated_onto": previous.key,
        "cosine": round(float((new @ turn * old).sum(1).mean()), 4),
        "cosine_before": round(float((new * old).sum(1).mean()), 4),
        "neighbours_kept": round(neighbours_kept(new[some], old[some]), 4),
    }


def vectors_of(encoder: Encoder, log: EventLog, customers: np.ndarray) -> np.ndarray:
    """Vectors float32 [n, D] of the whole histories of some customers."""
    out = np.empty((len(customers), encoder.width), np.float32)
    begin, end = log.offsets[customers], log.offsets[customers + 1]
    for part in length_buckets(end - begin):
        out[part] = encoder.vectors(states(encoder, log, customers[part], begin[part], end[part]))
    return out


def rotation(new: np.ndarray, old: np.ndarray, parts: Parts) -> np.ndarray:
    """Orthogonal matrix float64 [D, D], block by block, that brings new vectors [n, D] closest to old ones."""
    out = np.zeros((new.shape[1], new.shape[1]))
    start = 0
    for at, size in enumerate((parts.behaviour, parts.level, parts.selected, parts.forecasts)):
        block = slice(start, start + size)
        a, b = new[:, block].astype(np.float64), old[:, block].astype(np.float64)
        out[block, block] = orthogonal_procrustes(a, b)[0] if at == 0 else _assignment(a, b)
        start += size
    return out


def _assignment(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Signed permutation [k, k] that gives every old dimension the new one that is most like it."""
    size = np.outer(np.linalg.norm(new, axis=0), np.linalg.norm(old, axis=0))
    alike = new.T @ old / np.maximum(size, 1e-12)
    out: np.ndarray = np.zeros_like(alike)
    rows, columns = linear_sum_assignment(-np.abs(alike))
    out[rows, columns] = np.where(alike[rows, columns] < 0, -1, 1)
    return out


def neighbours_kept(a: np.ndarray, b: np.ndarray, count: int = NEIGHBOURS) -> float:
    """Mean share of each row's nearest others, by cosine, that two sets of unit vectors [n, D] have in common."""
    count = min(count, len(a) - 1)
    nearest = []
    for vectors in (a, b):
        alike = vectors @ vectors.T
        np.fill_diagonal(alike, -np.inf)
        nearest.append(np.argpartition(-alike, count - 1, axis=1)[:, :count])
    shared = [len(np.intersect1d(x, y)) for x, y in zip(*nearest, strict=True)]
    return float(np.mean(shared)) / count
