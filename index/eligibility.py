"""Who may be a member of an audience, and how many may not, for which reason."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from configs.errors import InputError
from embed.artifact import Embeddings
from index.attributes import MOST_GROUPS, Condition, values_of
from index.request import AudienceRequest, Labels, Mask, Rows, ids


@dataclass(frozen=True, eq=False)
class Context:
    """What is known of a snapshot's customers beside their vectors and behaviour; n is how many they are."""

    labels: Labels | None = None
    """int32 [n]: everybody's segment, -1 for none."""
    objected: Mask | None = None
    """bool [n]: who objected to marketing profiling: neither scored, nor a seed, nor a member."""
    attributes: pl.DataFrame | None = None
    """customer_id and one text column an attribute, for conditions and for spreading an audience."""
    make_up: pl.DataFrame | None = None
    """The same, for the make-up in the report and nothing else."""
    previous: Rows | None = None
    """Rows of the members of the edition before, held out or not, where a saved audience is refreshed."""
    held_out: Rows | None = None
    """Rows of those of them who were held out: they stay so while they are members."""


@dataclass(frozen=True, eq=False)
class Eligibility:
    """Who may be a member. A customer left out for two reasons is counted under each."""

    allowed: Mask
    """bool [n]"""
    objected: int
    suppressed: int
    suppress_unmatched: int
    """Ids to suppress that are no customers of the snapshot."""
    outside_segments: int
    outside_attributes: int
    """Customers who do not meet the conditions on attributes."""

    def told(self, seeds: int) -> str:
        """How many are eligible, and who is not, in words; `seeds` are left out besides."""
        reasons = {
            "seeds left out": seeds,
            "suppressed": self.suppressed,
            "in other segments": self.outside_segments,
            "not meeting the conditions": self.outside_attributes,
            "objecting to profiling": self.objected,
        }
        parts = [f"{len(self.allowed)} in the snapshot", *(f"{n} {why}" for why, n in reasons.items() if n)]
        return f"{int(self.allowed.sum())} customers are eligible ({', '.join(parts)})"


def eligibility(request: AudienceRequest, embeddings: Embeddings, seeds: Rows, context: Context) -> Eligibility:
    """Who may be a member of the audience asked for; `seeds` are the rows of its seeds.

    Raises InputError for segments, attributes and values that there are not.
    """
    n = embeddings.n_customers
    objected = np.zeros(n, dtype=bool) if context.objected is None else context.objected
    rows = embeddings.rows_of(ids(request.suppress).unique()) if request.suppress else np.empty(0, np.int64)
    suppressed = np.zeros(n, dtype=bool)
    suppressed[rows[rows >= 0]] = True
    inside = _inside(request, context.labels, n)
    meeting = _meeting(request, context.attributes, embeddings)
    allowed = ~objected & ~suppressed & inside & meeting
    if not request.include_seeds:
        allowed[seeds] = False
    return Eligibility(
        allowed=allowed,
        objected=int(objected.sum()),
        suppressed=int(suppressed.sum()),
        suppress_unmatched=int((rows < 0).sum()),
        outside_segments=n - int(inside.sum()),
        outside_attributes=n - int(meeting.sum()),
    )


def _inside(request: AudienceRequest, labels: Labels | None, n: int) -> Mask:
    if not request.segments and not request.not_segments:
        return np.ones(n, dtype=bool)
    of = np.full(n, -1, np.int32) if labels is None else labels
    known = [label for label in np.unique(of).tolist() if label >= 0]
    inside = in_segments(request.segments, request.not_segments, of, known)
    assert inside is not None
    return inside


def in_segments(
    segments: Collection[int], not_segments: Collection[int], labels: Labels, known: Collection[int]
) -> Mask | None:
    """bool [n]: who is in one of `segments` (-1: in none; all where none is named) and in none of `not_segments`.

    None where nothing is asked. `labels` int32 [n] are everybody's segments, `known` the numbers that there are. Raises
    InputError for a segment that there is not, and for one that is in both.
    """
    if not segments and not not_segments:
        return None
    if both := sorted(set(segments) & set(not_segments)):
        raise InputError(f"segment {both[0]} is both in segments and in not_segments")
    if unknown := sorted({*segments, *not_segments} - {-1, *known}):
        there = ", ".join(str(number) for number in sorted(known)) or "none"
        raise InputError(f"segment {unknown[0]} is not in this snapshot: there are {there} (-1: in no segment)")
    # at i + 1, whether members of segment i pass; faster than looking for every label in a list
    passes = np.full(max(known, default=-1) + 2, not segments)
    passes[[number + 1 for number in segments]] = True
    passes[[number + 1 for number in not_segments]] = False
    return np.asarray(passes[labels + 1])


def _meeting(request: AudienceRequest, attributes: pl.DataFrame | None, embeddings: Embeddings) -> Mask:
    """bool [n]: who meets every condition on attributes."""
    meeting = np.ones(embeddings.n_customers, dtype=bool)
    for name in ("where", "spread"):
        if getattr(request, name) and attributes is None:
            raise InputError(f"{name}: needs the file of attributes, with customer_id and a column for each")
    for text in request.where:
        assert attributes is not None
        meeting &= Condition.parse(text).passing(attributes, embeddings)
    return np.asarray(meeting, dtype=bool)


def groups(request: AudienceRequest, context: Context, embeddings: Embeddings) -> Rows | None:
    """int64 [n]: everybody's group where the audience is to be spread, customers without a value being one.

    Raises InputError where there are more groups than can be told apart.
    """
    if request.spread is None:
        return None
    assert context.attributes is not None
    values = values_of(request.spread, context.attributes, embeddings, "attributes")
    names, of = np.unique(np.where(values == None, "", values).astype(str), return_inverse=True)  # noqa: E711
    if len(names) > MOST_GROUPS:
        raise InputError(
            f"spread: attribute {request.spread} has {len(names)} groups; at most {MOST_GROUPS} can be spread over"
        )
    return np.asarray(of, dtype=np.int64)
