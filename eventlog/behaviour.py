"""What each customer does, in features that a marketer can read: the aggregates and their artifact in one place."""

from eventlog.aggregates import Behaviour, Feature, behaviour
from eventlog.artifact import load_behaviour, write_behaviour, write_refreshed
from eventlog.behaviour_refresh import refreshed

__all__ = ["Behaviour", "Feature", "behaviour", "load_behaviour", "refreshed", "write_behaviour", "write_refreshed"]
