"""The first tables, as they were when the first version was released."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, in an order in which each refers to earlier ones."""
    make_accounts()
    make_audit()
    make_blocks()
    make_challenges()
    make_facts()
    make_mirrors()
    make_objects()
    make_pieces()
    make_uses()
    make_files()
    make_jobs()
    make_members()
    make_networks()
    make_repositories()
    make_tokens()
    make_uploads()
    make_entries()
    make_follows()
    make_job_events()
    make_signatures()
    make_versions()


def make_accounts() -> None:
    """Make the table `accounts`."""
    op.create_table(
        "accounts",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("password", sa.String(length=200), nullable=True),
        sa.Column("public_key", sa.String(length=64), nullable=True),
        sa.Column("subject", sa.String(length=500), nullable=True),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("quota_bytes", sa.BigInteger(), nullable=True),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("disabled_s", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        sa.UniqueConstraint("subject"),
    )


def make_audit() -> None:
    """Make the table `audit`."""
    op.create_table(
        "audit",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.Column("account", sa.String(length=100), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=500), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_by_time", "audit", ["at_s"], unique=False)


def make_blocks() -> None:
    """Make the table `blocks`."""
    op.create_table(
        "blocks",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("touched_s", sa.Double(), nullable=False),
        sa.Column("removing_s", sa.Double(), nullable=True),
        sa.Column("downloads", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def make_challenges() -> None:
    """Make the table `challenges`."""
    op.create_table(
        "challenges",
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=100), nullable=False),
        sa.Column("expires_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("nonce"),
    )


def make_facts() -> None:
    """Make the table `facts`."""
    op.create_table(
        "facts",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def make_mirrors() -> None:
    """Make the table `mirrors`."""
    op.create_table(
        "mirrors",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("pattern", sa.String(length=400), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("interval_s", sa.Double(), nullable=False),
        sa.Column("checked_s", sa.Double(), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("url", "pattern"),
    )


def make_objects() -> None:
    """Make the table `objects`."""
    op.create_table(
        "objects",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column("uses_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("touched_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )


def make_pieces() -> None:
    """Make the table `pieces`."""
    op.create_table(
        "pieces",
        sa.Column("object", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("object", "position"),
    )
    op.create_index("pieces_by_block", "pieces", ["block"], unique=False)


def make_uses() -> None:
    """Make the table `uses`."""
    op.create_table(
        "uses",
        sa.Column("block", sa.LargeBinary(length=32), nullable=False),
        sa.Column("object", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("block", "object"),
    )
    op.create_index("uses_by_object", "uses", ["object"], unique=False)


def make_files() -> None:
    """Make the table `files`."""
    op.create_table(
        "files",
        sa.Column("object", sa.String(length=64), nullable=False),
        sa.Column("account_id", NUMBER, nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("object", "account_id"),
    )
    op.create_index("files_by_account", "files", ["account_id"], unique=False)


def make_jobs() -> None:
    """Make the table `jobs`."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account_id", NUMBER, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("worker", sa.String(length=100), nullable=True),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("updated_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("jobs_by_account", "jobs", ["account_id", "created_s"], unique=False)


def make_members() -> None:
    """Make the table `members`."""
    op.create_table(
        "members",
        sa.Column("group_id", NUMBER, nullable=False),
        sa.Column("account_id", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["group_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("group_id", "account_id"),
    )


def make_networks() -> None:
    """Make the table `networks`."""
    op.create_table(
        "networks",
        sa.Column("account_id", NUMBER, nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "network"),
    )


def make_repositories() -> None:
    """Make the table `repositories`."""
    op.create_table(
        "repositories",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("owner_id", NUMBER, nullable=False),
        sa.Column("is_private", sa.Boolean(), nullable=False),
        sa.Column("is_official", sa.Boolean(), nullable=False),
        sa.Column("signers", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("keep_versions", sa.Integer(), nullable=True),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("updated_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )


def make_tokens() -> None:
    """Make the table `tokens`."""
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=8), nullable=False),
        sa.Column("account_id", NUMBER, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.String(length=200), nullable=False),
        sa.Column("repository", sa.String(length=200), nullable=True),
        sa.Column("is_session", sa.Boolean(), nullable=False),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("expires_s", sa.Double(), nullable=True),
        sa.Column("revoked_s", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("tokens_by_account", "tokens", ["account_id"], unique=False)


def make_uploads() -> None:
    """Make the table `uploads`."""
    op.create_table(
        "uploads",
        sa.Column("block", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account_id", NUMBER, nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("block", "account_id"),
    )
    op.create_index("uploads_by_account", "uploads", ["account_id"], unique=False)


def make_entries() -> None:
    """Make the table `entries`."""
    op.create_table(
        "entries",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("repository_id", NUMBER, nullable=False),
        sa.Column("tag", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("target", sa.String(length=400), nullable=True),
        sa.Column("object", sa.String(length=64), nullable=True),
        sa.Column("changed_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["object"],
            ["objects.digest"],
        ),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("repository_id", "tag", "name"),
    )
    op.create_index("entries_by_object", "entries", ["object"], unique=False)


def make_follows() -> None:
    """Make the table `follows`."""
    op.create_table(
        "follows",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("repository_id", NUMBER, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("image", sa.String(length=500), nullable=False),
        sa.Column("interval_s", sa.Double(), nullable=True),
        sa.Column("hook_digest", sa.String(length=64), nullable=True),
        sa.Column("seen", sa.String(length=200), nullable=False),
        sa.Column("checked_s", sa.Double(), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("repository_id", "name"),
    )


def make_job_events() -> None:
    """Make the table `job_events`."""
    op.create_table(
        "job_events",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("job", sa.String(length=36), nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("events_by_job", "job_events", ["job"], unique=False)


def make_signatures() -> None:
    """Make the table `signatures`."""
    op.create_table(
        "signatures",
        sa.Column("repository_id", NUMBER, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("repository_id", "name", "digest"),
    )


def make_versions() -> None:
    """Make the table `versions`."""
    op.create_table(
        "versions",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("repository_id", NUMBER, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("object", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("published_s", sa.Double(), nullable=False),
        sa.Column("published_by", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["object"],
            ["objects.digest"],
        ),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("repository_id", "name", "object"),
    )
    op.create_index("versions_by_object", "versions", ["object"], unique=False)
