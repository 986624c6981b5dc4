"""The tables of the bootstrap server. Times are seconds since 1970.

`machines` are those that report a boot, `boots` their last boots, `reports` the stages of each.
`nodes` says what a machine gets by provisioning, `node_history` what was done about it.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from serving import tokens

METADATA = MetaData()
NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER only

MACHINES = Table(
    "machines",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("label", String(12), nullable=False),
    Column("mac", String(17), nullable=False),
    Column("uuid", String(36), nullable=False),
    Column("serial", String(64), nullable=False),
    Column("farm", BigInteger),
    Column("mode", String(8), nullable=False),
    Column("version", String(100), nullable=False),
    Column("is_enrolled", Boolean, nullable=False),  # a token has proved the farm
    Column("boot", BigInteger),  # the newest
    Column("report_count", BigInteger, nullable=False),  # of all reports: grows with each
    Column("first_s", Double, nullable=False),
    Column("last_s", Double, nullable=False),
    Index("machines_by_farm", "farm", "last_s"),
    Index("machines_by_mac", "mac"),
    Index("machines_by_age", "is_enrolled", "last_s"),
)
BOOTS = Table(
    "boots",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("machine", ForeignKey("machines.key", ondelete="CASCADE"), nullable=False),
    Column("began_s", Double, nullable=False),
    Column("stage", String(16)),  # the last one but "failed"
    Column("is_whole", Boolean, nullable=False),  # it began with "script"
    Column("report_count", Integer, nullable=False),  # of the reports that are kept
    Index("boots_by_machine", "machine"),
)
REPORTS = Table(
    "reports",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("boot", ForeignKey("boots.id", ondelete="CASCADE"), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("code", String(8), nullable=False),
    Column("detail", String(500), nullable=False),
    Column("at_s", Double, nullable=False),
    Index("reports_by_boot", "boot"),
)
NODES = Table(
    "nodes",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("mac", String(17), unique=True),
    Column("uuid", String(36), unique=True),
    Column("serial", String(64), unique=True),
    Column("options", Text),  # canonical JSON; null while the node waits
    Column("created_s", Double, nullable=False),
    Column("asked_s", Double),  # when it asked for its script last
    Index("nodes_by_asked", "asked_s"),
)
HISTORY = Table(
    "node_history",
    METADATA,
    Column("id", NUMBER, primary_key=True),
    Column("node", NUMBER, nullable=False),  # which may be gone
    Column("names", String(200), nullable=False),
    Column("at_s", Double, nullable=False),
    Column("event", String(16), nullable=False),
    Column("who", String(100), nullable=False),
    Column("options", Text),
    Index("history_by_node", "node"),
)
TABLES = (tokens.METADATA, METADATA)
