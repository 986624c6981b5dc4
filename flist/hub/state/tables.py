"""The tables of the hub. Times are seconds since 1970, sizes are bytes.

A *block* is what the store keeps under an id. An *object* is a whole file that was uploaded, a
flist or any other: its *pieces* are blocks too. `uses` says which blocks an object needs: its
pieces, and those that a flist names. A repository's *entry* is a flist, a link or a tag link; a
*version* is an object that was published under an entry's name, with its signature.

                 accounts <- members
                    ^
    repositories ---+        entries -> objects <- versions
         ^------------------- entries, versions
    objects <- pieces -> blocks <- uses -> objects
    objects <- files     blocks <- uploads -> accounts

Who uploads a file that is no repository's flist, whole or block by block, has a row in `files`,
which keeps the pieces. `signatures` are those that came before their flist.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()
NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER only
NAME = String(200)
DIGEST = String(64)  # SHA-256 in hex
BLOCK_ID = LargeBinary(32)  # 32 bytes, or 16 of the older format

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("kind", String(8), nullable=False),  # user, group
    Column("password", String(200)),  # argon2's text
    Column("public_key", String(64)),  # Ed25519, hex
    Column("subject", String(500), unique=True),  # of OpenID Connect: issuer and subject
    Column("is_admin", Boolean, nullable=False),
    Column("quota_bytes", BigInteger),  # null: the hub's default
    Column("created_s", Double, nullable=False),
    Column("disabled_s", Double),
)
MEMBERS = Table(
    "members",
    METADATA,
    Column("group_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
)
TOKENS = Table(
    "tokens",
    METADATA,
    Column("id", String(8), primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("digest", DIGEST, nullable=False),
    Column("scopes", String(200), nullable=False),
    Column("repository", NAME),  # null: all that the account may use
    Column("is_session", Boolean, nullable=False),  # by signing in: a new password ends it
    Column("created_s", Double, nullable=False),
    Column("expires_s", Double),
    Column("revoked_s", Double),
    Index("tokens_by_account", "account_id"),
)
NETWORKS = Table(  # from where an account has signed in
    "networks",
    METADATA,
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("network", String(64), primary_key=True),
    Column("at_s", Double, nullable=False),
)
CHALLENGES = Table(
    "challenges",
    METADATA,
    Column("nonce", String(64), primary_key=True),
    Column("account", String(100), nullable=False),
    Column("expires_s", Double, nullable=False),
)
REPOSITORIES = Table(
    "repositories",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("owner_id", ForeignKey("accounts.id"), nullable=False),  # a user or a group
    Column("is_private", Boolean, nullable=False),
    Column("is_official", Boolean, nullable=False),
    Column("signers", Text, nullable=False),  # public keys, a line each; none: no signature needed
    Column("threshold", Integer, nullable=False),  # so many of them must have signed
    Column("keep_versions", Integer),  # null: the hub's default
    Column("created_s", Double, nullable=False),
    Column("updated_s", Double, nullable=False),
)
OBJECTS = Table(
    "objects",
    METADATA,
    Column("digest", DIGEST, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("format", String(8), nullable=False),  # fl, flist, or "": any file
    Column("uses_bytes", BigInteger, nullable=False),  # of all blocks that it needs
    Column("created_s", Double, nullable=False),
    Column("touched_s", Double, nullable=False),  # garbage collection leaves young ones alone
)
PIECES = Table(
    "pieces",
    METADATA,
    Column("object", DIGEST, primary_key=True),  # rfs clients name parts before there is the whole
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("block", BLOCK_ID, nullable=False),
    Index("pieces_by_block", "block"),
)
ENTRIES = Table(
    "entries",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("tag", String(100), nullable=False),  # "" for what is not in a tag
    Column("name", NAME, nullable=False),  # with its suffix; a tag link has none
    Column("kind", String(8), nullable=False),  # flist, link, taglink
    Column("target", String(400)),  # REPO/NAME of a link, REPO/TAG of a tag link
    Column("object", ForeignKey("objects.digest")),  # the version that is published
    Column("changed_s", Double, nullable=False),
    UniqueConstraint("repository_id", "tag", "name"),
    Index("entries_by_object", "object"),
)
VERSIONS = Table(
    "versions",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("name", NAME, nullable=False),
    Column("object", ForeignKey("objects.digest"), nullable=False),
    Column("signature", Text),
    Column("published_s", Double, nullable=False),
    Column("published_by", String(100), nullable=False),
    UniqueConstraint("repository_id", "name", "object"),
    Index("versions_by_object", "object"),
)
SIGNATURES = Table(
    "signatures",
    METADATA,
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("name", NAME, primary_key=True),
    Column("digest", DIGEST, primary_key=True),
    Column("text", Text, nullable=False),
    Column("at_s", Double, nullable=False),
)
FILES = Table(
    "files",
    METADATA,
    Column("object", DIGEST, primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("at_s", Double, nullable=False),
    Index("files_by_account", "account_id"),
)
BLOCKS = Table(
    "blocks",
    METADATA,
    Column("id", BLOCK_ID, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("touched_s", Double, nullable=False),  # somebody has relied on it
    Column("removing_s", Double),  # garbage collection is about to remove it from the store
    Column("downloads", BigInteger, nullable=False),
)
USES = Table(
    "uses",
    METADATA,
    Column("block", BLOCK_ID, primary_key=True),
    Column("object", DIGEST, primary_key=True),
    Index("uses_by_object", "object"),
)
UPLOADS = Table(
    "uploads",
    METADATA,
    Column("block", BLOCK_ID, primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("is_open", Boolean, nullable=False),  # everybody may read it
    Column("at_s", Double, nullable=False),
    Index("uploads_by_account", "account_id"),
)
AUDIT = Table(
    "audit",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("at_s", Double, nullable=False),
    Column("account", String(100), nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(40), nullable=False),  # flist.publish, token.revoke, ...
    Column("subject", String(500), nullable=False),
    Column("detail", String(500), nullable=False),
    Index("audit_by_time", "at_s"),
)
JOBS = Table(
    "jobs",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),  # convert, archive, merge, mirror
    Column("spec", Text, nullable=False),  # JSON; no secret in it
    Column("state", String(16), nullable=False),  # accepted, started, running, done, failed
    Column("progress", Double, nullable=False),  # 0 to 100
    Column("message", String(500), nullable=False),
    Column("result", Text),  # JSON
    Column("worker", String(100)),  # the process that works on it
    Column("created_s", Double, nullable=False),
    Column("updated_s", Double, nullable=False),
    Index("jobs_by_account", "account_id", "created_s"),
)
EVENTS = Table(
    "job_events",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("at_s", Double, nullable=False),
    Column("event", Text, nullable=False),  # JSON
    Index("events_by_job", "job"),
)
FOLLOWS = Table(
    "follows",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("name", NAME, nullable=False),  # of the flist that follows
    Column("image", String(500), nullable=False),  # an OCI image with its tag
    Column("interval_s", Double),  # null: only when the webhook is called
    Column("hook_digest", DIGEST),  # of the webhook's secret
    Column("seen", String(200), nullable=False),  # the manifest's digest that was converted last
    Column("checked_s", Double, nullable=False),
    Column("message", String(500), nullable=False),
    Column("created_by", String(100), nullable=False),
    UniqueConstraint("repository_id", "name"),
)
MIRRORS = Table(
    "mirrors",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("url", String(500), nullable=False),
    Column("pattern", String(400), nullable=False),  # of REPO/NAME, with * and ?
    Column("created_by", String(100), nullable=False),  # whose account pulls
    Column("interval_s", Double, nullable=False),
    Column("checked_s", Double, nullable=False),
    Column("message", String(500), nullable=False),
    UniqueConstraint("url", "pattern"),
)
FACTS = Table(
    "facts",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),  # epoch: grows when somebody may read less than before
)
