"""The tables of a `.fl` file, as SQL.

The first five and their indexes are exactly upstream's. What they can't hold goes into four more,
which upstream's reader ignores: `zos_inode` (nanoseconds, names that are not UTF-8, hard links,
data ranges of sparse files), `zos_xattr`, `zos_check` (the `Block.check` of each of a file's
blocks, joined) and `zos_part` (`flist.blocks.parts`). Ours exist only where they are needed.
"""

TABLES = frozenset(("inode", "extra", "block", "tag", "route"))
EXTENSION_TABLES = frozenset(("zos_inode", "zos_xattr"))
KEYED = frozenset(("inode", "extra", "zos_inode", "zos_check"))
"""The tables whose rows are looked up by inode number, which is their rowid."""
CHECKS_TABLE, PARTS_TABLE = "zos_check", "zos_part"

SCHEMA = """
CREATE TABLE inode (
    ino INTEGER PRIMARY KEY AUTOINCREMENT,
    parent INTEGER,
    name VARCHAR(255),
    size INTEGER,
    uid INTEGER,
    gid INTEGER,
    mode INTEGER,
    rdev INTEGER,
    ctime INTEGER,
    mtime INTEGER
);
CREATE TABLE extra (
    ino INTEGER PRIMARY KEY,
    data VARCHAR(4096)
);
CREATE TABLE block (
    ino INTEGER,
    id VARCHAR(32),
    key VARCHAR(32)
);
CREATE TABLE tag (
    key VARCHAR(10) PRIMARY KEY,
    value VARCHAR(255)
);
CREATE TABLE route (
    start integer,
    end integer,
    url VARCHAR(2048)
);
"""
INDEXES = """
CREATE INDEX parents ON inode (parent);
CREATE INDEX names ON inode (name);
CREATE INDEX block_ino ON block (ino);
"""
EXTENSION = """
CREATE TABLE zos_inode (
    ino INTEGER PRIMARY KEY,
    name BLOB,
    ctime_ns INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    same_as INTEGER NOT NULL,
    nlink INTEGER NOT NULL,
    extents BLOB
);
CREATE TABLE zos_xattr (
    ino INTEGER,
    name BLOB,
    value BLOB,
    PRIMARY KEY (ino, name)
) WITHOUT ROWID;
"""
CHECKS = "CREATE TABLE zos_check (ino INTEGER PRIMARY KEY, checks BLOB NOT NULL)"
PARTS = "CREATE TABLE zos_part (id BLOB PRIMARY KEY, parts BLOB) WITHOUT ROWID"
