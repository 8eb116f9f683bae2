"""Floor 5: histories to vectors and states."""
