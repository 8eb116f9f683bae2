"""The gates of a night: every figure of a new snapshot beside its limit; what is measured comes from elsewhere."""

from collections.abc import Collection, Mapping

from configs.errors import InputError
from serve.night_config import GatesConfig
from serve.night_report import Gate, Kind

BINDING = {"counts": 0.0, "finite": 0.0, "norms": 1e-3}
"""Gates with their limits that nobody can move or accept: a snapshot that fails one is wrong, not only unusual."""
LEAST = ("volume", "recall", "stability", "segments_kept", "neighbours_kept")
"""Gates whose limit is the least that passes; of the others it is the most."""
OF_RETRAINING = ("segments_kept", "neighbours_kept")
OF_EVENTS = ("volume", "quarantined", "absent", "unseen", "field_drift", "vector_drift")
"""Gates about what came in, which a retraining on the same events has nothing of."""
WORDS = {
    "counts": "rows, events and customers not accounted for",
    "finite": "vectors with a value that is no finite number",
    "norms": "largest difference of a vector's length from 1",
    "volume": "new events a day beside the usual number",
    "quarantined": "share of the new rows put into quarantine",
    "absent": "largest growth of a field's share without a value",
    "unseen": "largest share of a field's values that the model has never seen",
    "field_drift": "largest population stability index of a field",
    "vector_drift": "way of the mean vector beside the spread of all",
    "recall": "recall of the index against exact search",
    "unassigned": "share of customers in no segment",
    "stability": "stability of the segments, averaged over their customers",
    "moved": "share of customers in another segment than before",
    "segments_kept": "share of the segments before that are kept",
    "neighbours_kept": "share of the ten nearest neighbours that are the same",
}


def gates_of(
    kind: Kind, limits: GatesConfig, figures: Mapping[str, float | None], accepted: Collection[str]
) -> list[Gate]:
    """The gates of a night or a retraining, in the order of the recipe; a figure that is None has nothing to judge.

    Raises KeyError where a figure is missing: a fault of kinfolk.
    """
    left_out = OF_EVENTS if kind == "retrain" else OF_RETRAINING
    every = BINDING | {name: float(getattr(limits, name)) for name in GatesConfig.model_fields}
    return [
        Gate(name, WORDS[name], figures[name], limit, "least" if name in LEAST else "most", name in accepted)
        for name, limit in every.items()
        if name not in left_out
    ]


def check_accepted(names: Collection[str]) -> None:
    """Raise InputError where somebody wants to accept what is no gate, or what cannot be accepted."""
    able = list(GatesConfig.model_fields)
    for name in names:
        if name in BINDING:
            raise InputError(f"--accept {name}: a snapshot that fails this is wrong; accepted: {', '.join(able)}")
        if name not in able:
            raise InputError(f"--accept {name}: there is no such gate; accepted: {', '.join(able)}")


def failed(gates: Collection[Gate]) -> list[Gate]:
    """The gates that stand in the way of publishing."""
    return [gate for gate in gates if not gate.passed]


def told(gate: Gate) -> str:
    """A gate and its figure as half a sentence."""
    figure = "nothing to measure" if gate.figure is None else f"{gate.figure:.4g}"
    bound = "at least" if gate.bound == "least" else "at most"
    return f"{gate.name} is {figure} ({gate.words}; {bound} {gate.limit:g} passes)"
