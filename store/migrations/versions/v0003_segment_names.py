"""Names that people gave to segments: which segment of which line of snapshots, who and when; it only grows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "segment_names",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("lineage", sa.String(), nullable=False, index=True),
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sqlite_autoincrement=True,
    )
