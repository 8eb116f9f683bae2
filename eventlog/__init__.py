"""Floor 3: the event contract: read, check, quarantine, sequence store, hand-made aggregates, simulator."""
