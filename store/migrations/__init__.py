"""Alembic migrations of the catalogue. A new one is a file in versions/ plus `HEAD` in store/tables.py."""
