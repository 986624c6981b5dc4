"""All tables of the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    make_tokens_and_log()
    make_farms()
    make_nodes()


def make_tokens_and_log() -> None:
    """Make the tables of tokens and of the log."""
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.String(length=200), nullable=False),
        sa.Column("created_s", sa.BigInteger(), nullable=False),
        sa.Column("expires_s", sa.BigInteger(), nullable=True),
        sa.Column("revoked_s", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "cosignatures",
        sa.Column("witness", sa.String(length=200), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("witness"),
    )
    op.create_table(
        "log_entries",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.BigInteger(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index(
        "log_entries_by_subject", "log_entries", ["kind", "subject", "position"], unique=False
    )
    op.create_table(
        "log_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=44), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.Column("alive_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "log_tiles",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number"),
    )


def make_farms() -> None:
    """Make the table of farms."""
    op.create_table(
        "farms",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("name_key", sa.String(length=50), nullable=False),
        sa.Column("owner", sa.String(length=44), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("node_ca", sa.Text(), nullable=False),
        sa.Column("public", sa.Text(), nullable=False),
        sa.Column("country", sa.String(length=60), nullable=False),
        sa.Column("city", sa.String(length=100), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("changed_s", sa.Double(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("name_key"),
    )
    op.create_index("farms_by_country", "farms", ["country"], unique=False)
    op.create_index("farms_by_city", "farms", ["city"], unique=False)


def make_nodes() -> None:
    """Make the tables of nodes and of their days."""
    op.create_table(
        "uptime",
        sa.Column("node", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("farm", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("up_ms", sa.BigInteger(), nullable=False),
        sa.Column("reports", sa.Integer(), nullable=False),
        sa.Column("doubted", sa.Integer(), nullable=False),
        sa.Column("boots", sa.Integer(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", "day", "farm"),
    )
    op.create_table(
        "nodes",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("farm", sa.BigInteger(), nullable=False),
        sa.Column("boot", sa.String(length=36), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("reports", sa.BigInteger(), nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.Column("uptime_s", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("doubt", sa.String(length=200), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("registered_s", sa.Double(), nullable=False),
        sa.Column("is_enrolled", sa.Boolean(), nullable=False),
        sa.Column("enrolment_why", sa.String(length=200), nullable=False),
        sa.Column("is_attested", sa.Boolean(), nullable=False),
        sa.Column("attestation_why", sa.String(length=200), nullable=False),
        sa.Column("ak", sa.String(length=64), nullable=False),
        sa.Column("identity", sa.String(length=16), nullable=False),
        sa.Column("run_mode", sa.String(length=16), nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("hypervisor", sa.String(length=60), nullable=False),
        sa.Column("serial", sa.String(length=100), nullable=False),
        sa.Column("is_virtualized", sa.Boolean(), nullable=False),
        sa.Column("has_secure_boot", sa.Boolean(), nullable=False),
        sa.Column("gpus", sa.Integer(), nullable=False),
        sa.Column("cru", sa.BigInteger(), nullable=False),
        sa.Column("mru", sa.BigInteger(), nullable=False),
        sa.Column("sru", sa.BigInteger(), nullable=False),
        sa.Column("hru", sa.BigInteger(), nullable=False),
        sa.Column("ipv4u", sa.BigInteger(), nullable=False),
        sa.Column("used_cru", sa.BigInteger(), nullable=False),
        sa.Column("used_mru", sa.BigInteger(), nullable=False),
        sa.Column("used_sru", sa.BigInteger(), nullable=False),
        sa.Column("used_hru", sa.BigInteger(), nullable=False),
        sa.Column("used_ipv4u", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("problems", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["farm"],
            ["farms.number"],
        ),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("nodes_by_farm", "nodes", ["farm"], unique=False)
    op.create_index("nodes_by_time", "nodes", ["at_s"], unique=False)
    for name in ("cru", "mru", "sru", "hru"):
        op.create_index(f"nodes_by_{name}", "nodes", [name], unique=False)
