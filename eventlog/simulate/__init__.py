"""A bank that never was: customers with a known truth, day by day, in vectorised numpy."""
