"""Floor 6: similar customers and lookalike audiences."""
