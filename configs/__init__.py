"""Floor 1: YAML recipes and the one strict reader of them; the error tree; the progress protocol."""
