"""One file for each version of the catalogue's tables; a released one never changes."""
