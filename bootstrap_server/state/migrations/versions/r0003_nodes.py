"""Provisioning: the table of nodes and its history."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "nodes",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("mac", sa.String(17), unique=True),
        sa.Column("uuid", sa.String(36), unique=True),
        sa.Column("serial", sa.String(64), unique=True),
        sa.Column("options", sa.Text()),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("asked_s", sa.Double()),
    )
    op.create_index("nodes_by_asked", "nodes", ["asked_s"])
    op.create_table(
        "node_history",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("node", NUMBER, nullable=False),
        sa.Column("names", sa.String(200), nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("who", sa.String(100), nullable=False),
        sa.Column("options", sa.Text()),
    )
    op.create_index("history_by_node", "node_history", ["node"])
