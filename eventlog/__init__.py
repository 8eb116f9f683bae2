"""Floor 3: the event contract: read, check, quarantine, encode, sequence store, behaviour, simulator."""
