"""Floor 2: the workspace on disk: artifacts with checksums, atomic publishing, the catalogue."""
