"""The commands of `kinfolk`, one file a theme; each has `register(app)` and imports its work inside the bodies."""
