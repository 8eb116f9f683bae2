"""Floor 6: segments: projection, clusters, profiles, names, the map."""
