"""Floor 7: command line, HTTP API, and the line that runs the stages in order."""
