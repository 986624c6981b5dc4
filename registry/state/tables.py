"""The tables of the registry. Times are seconds since 1970, days count from there.

`log_entries` is the truth: `check` makes all of `farms`, `nodes` and `uptime` anew from it. A leaf
of the log may be gone after a time, its hash in `log_tiles` stays. `log_head` has one row, which
whoever appends holds until the end of the transaction.
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
)

from serving import tokens

METADATA = MetaData()
NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER only

LOG_HEAD = Table(
    "log_head",
    METADATA,
    Column("id", Integer, primary_key=True),  # 1
    Column("origin", String(100), nullable=False),  # of the log, which never changes
    Column("key", String(44), nullable=False),  # public key in base64; neither does it
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("at_s", Double, nullable=False),  # of the last entry; never goes back
    Column("alive_s", Double, nullable=False),  # when a server was known to run
)
LOG_ENTRIES = Table(
    "log_entries",
    METADATA,
    Column("position", NUMBER, primary_key=True, autoincrement=False),
    Column("at_s", Double, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", BigInteger, nullable=False),  # the node's or farm's number, or 0
    Column("leaf", LargeBinary),  # null when it is too old to be kept
    Index("log_entries_by_subject", "kind", "subject", "position"),
)
LOG_TILES = Table(
    "log_tiles",
    METADATA,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)
COSIGNATURES = Table(
    "cosignatures",
    METADATA,
    Column("witness", String(200), primary_key=True),  # of each, the newest
    Column("size", BigInteger, nullable=False),
    Column("note", Text, nullable=False),  # the head that was signed
    Column("line", Text, nullable=False),
)
FARMS = Table(
    "farms",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(50), nullable=False),
    Column("name_key", String(50), nullable=False, unique=True),  # lower case
    Column("owner", String(44), nullable=False),  # public key in base64
    Column("sequence", BigInteger, nullable=False),
    Column("node_ca", Text, nullable=False),
    Column("public", Text, nullable=False),  # JSON, as the owner has signed it
    Column("country", String(60), nullable=False),
    Column("city", String(100), nullable=False),
    Column("latitude", Double),
    Column("longitude", Double),
    Column("created_s", Double, nullable=False),
    Column("changed_s", Double, nullable=False),
    Column("position", BigInteger, nullable=False),  # of the last change in the log
    Index("farms_by_country", "country"),
    Index("farms_by_city", "city"),
)
NODES = Table(
    "nodes",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False, unique=True),
    Column("farm", ForeignKey("farms.number"), nullable=False),
    # What the next report has to follow.
    Column("boot", String(36), nullable=False),
    Column("sequence", BigInteger, nullable=False),  # within the boot
    Column("reports", BigInteger, nullable=False),  # accepted ever: each makes a new nonce
    Column("at_s", Double, nullable=False),  # when the last one arrived
    Column("uptime_s", Double, nullable=False),  # what it claimed
    Column("kind", String(16), nullable=False),
    Column("doubt", String(200), nullable=False),  # why it is not counted; empty: it is
    Column("position", BigInteger, nullable=False),  # of it in the log
    # What the last registration said, and what the registry thinks of it.
    Column("created_s", Double, nullable=False),
    Column("registered_s", Double, nullable=False),
    Column("is_enrolled", Boolean, nullable=False),
    Column("enrolment_why", String(200), nullable=False),
    Column("is_attested", Boolean, nullable=False),
    Column("attestation_why", String(200), nullable=False),
    Column("ak", String(64), nullable=False),  # the TPM's key that the node has shown first
    Column("identity", String(16), nullable=False),
    Column("run_mode", String(16), nullable=False),
    Column("version", String(200), nullable=False),
    Column("hypervisor", String(60), nullable=False),
    Column("serial", String(100), nullable=False),
    Column("is_virtualized", Boolean, nullable=False),
    Column("has_secure_boot", Boolean, nullable=False),
    Column("gpus", Integer, nullable=False),
    Column("cru", BigInteger, nullable=False),
    Column("mru", BigInteger, nullable=False),
    Column("sru", BigInteger, nullable=False),
    Column("hru", BigInteger, nullable=False),
    Column("ipv4u", BigInteger, nullable=False),
    Column("used_cru", BigInteger, nullable=False),
    Column("used_mru", BigInteger, nullable=False),
    Column("used_sru", BigInteger, nullable=False),
    Column("used_hru", BigInteger, nullable=False),
    Column("used_ipv4u", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON
    Column("problems", Text, nullable=False),  # JSON
    Index("nodes_by_farm", "farm"),
    Index("nodes_by_time", "at_s"),
    Index("nodes_by_cru", "cru"),
    Index("nodes_by_mru", "mru"),
    Index("nodes_by_sru", "sru"),
    Index("nodes_by_hru", "hru"),
)
UPTIME = Table(
    "uptime",
    METADATA,
    Column("node", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("farm", BigInteger, primary_key=True, autoincrement=False),
    Column("up_ms", BigInteger, nullable=False),
    Column("reports", Integer, nullable=False),
    Column("doubted", Integer, nullable=False),
    Column("boots", Integer, nullable=False),
    Column("last", BigInteger, nullable=False),  # position of the last report that counted here
)
TABLES = (tokens.METADATA, METADATA)
