"""The boot log."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "machines",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("label", sa.String(12), nullable=False),
        sa.Column("mac", sa.String(17), nullable=False),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("serial", sa.String(64), nullable=False),
        sa.Column("farm", sa.BigInteger()),
        sa.Column("mode", sa.String(8), nullable=False),
        sa.Column("version", sa.String(100), nullable=False),
        sa.Column("is_enrolled", sa.Boolean(), nullable=False),
        sa.Column("boot", sa.BigInteger()),
        sa.Column("report_count", sa.BigInteger(), nullable=False),
        sa.Column("first_s", sa.Double(), nullable=False),
        sa.Column("last_s", sa.Double(), nullable=False),
    )
    op.create_index("machines_by_farm", "machines", ["farm", "last_s"])
    op.create_index("machines_by_mac", "machines", ["mac"])
    op.create_index("machines_by_age", "machines", ["is_enrolled", "last_s"])
    op.create_table(
        "boots",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column(
            "machine",
            sa.String(64),
            sa.ForeignKey("machines.key", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("began_s", sa.Double(), nullable=False),
        sa.Column("stage", sa.String(16)),
        sa.Column("is_whole", sa.Boolean(), nullable=False),
        sa.Column("report_count", sa.Integer(), nullable=False),
    )
    op.create_index("boots_by_machine", "boots", ["machine"])
    op.create_table(
        "reports",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("boot", NUMBER, sa.ForeignKey("boots.id", ondelete="CASCADE"), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("code", sa.String(8), nullable=False),
        sa.Column("detail", sa.String(500), nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
    )
    op.create_index("reports_by_boot", "reports", ["boot"])
