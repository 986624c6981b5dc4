"""List the entries of a flist; --json prints all properties of an entry, one object per line."""

import argparse
import json
import os
import stat
import sys
from collections.abc import Iterator

from common.errors import UsageError
from flist.commands.shared.output import one_line
from flist.commands.shared.servers import add_server_url, local_flist
from flist.format.opening import open_flist
from flist.model import NS, ROOT_INO, Inode
from flist.mount.tree import Tree
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-m", "--meta", type=parse_path, dest="meta_option", metavar="FILE")
    parser.add_argument("meta", type=parse_path, nargs="?", metavar="FILE|HASH")
    add_server_url(parser)
    parser.add_argument("-l", "--long", action="store_true", help="also mode, owner, size and time")
    parser.add_argument("--json", action="store_true")


def walk(tree: Tree) -> Iterator[tuple[bytes, Inode]]:
    """Yield (path, inode) of every entry, a directory before its entries."""
    pending = [(b"/", tree.inode(ROOT_INO))]
    while pending:
        path, inode = pending.pop()
        yield path, inode
        if inode.is_dir:
            base = path if path.endswith(b"/") else path + b"/"
            entries = tree.entries(inode.ino).values()
            pending.extend((base + entry.name, entry) for entry in reversed(list(entries)))


def run(options: argparse.Namespace) -> int:
    """Print the entries."""
    metas = [meta for meta in (options.meta_option, options.meta) if meta is not None]
    if len(metas) != 1:
        raise UsageError("two flists are named" if metas else "no flist is named")
    show = as_json if options.json else as_long if options.long else as_path
    with local_flist(metas[0], options.server_url) as path, open_flist(path) as flist:
        tree = Tree(flist)
        for name, inode in walk(tree):
            sys.stdout.write(show(tree, name, inode) + "\n")
    return 0


def as_path(tree: Tree, path: bytes, inode: Inode) -> str:
    """Return the path, and the target of a link."""
    if inode.is_link:
        return f"{one_line(path)} -> {one_line(tree.target(inode))}"
    return one_line(path)


def as_long(tree: Tree, path: bytes, inode: Inode) -> str:
    """Return a line like `ls -l`."""
    size = str(inode.size)
    if stat.S_ISCHR(inode.mode) or stat.S_ISBLK(inode.mode):
        size = f"{os.major(inode.rdev)},{os.minor(inode.rdev)}"
    owner = f"{inode.uid}:{inode.gid}"
    when = inode.mtime_ns // NS
    line = f"{stat.filemode(inode.mode)} {owner:>11} {size:>11} {when:>11}"
    return f"{line} {as_path(tree, path, inode)}"


def as_json(tree: Tree, path: bytes, inode: Inode) -> str:
    """Return all properties of an entry as JSON."""
    meta = tree.meta(inode)
    row: dict[str, object] = {
        "path": path.decode(errors="surrogateescape"),
        "ino": inode.content_ino,
        "mode": f"{inode.mode:o}",
        "uid": inode.uid,
        "gid": inode.gid,
        "size": inode.size,
        "mtime_ns": inode.mtime_ns,
        "nlink": tree.link_count(inode),
    }
    if meta.target is not None:
        row["target"] = meta.target.decode(errors="surrogateescape")
    if inode.rdev:
        row["rdev"] = [os.major(inode.rdev), os.minor(inode.rdev)]
    if meta.xattrs:
        row["xattrs"] = {os.fsdecode(name): value.hex() for name, value in meta.xattrs}
    if inode.is_file:
        row["blocks"] = [block.id.hex() for block in tree.blocks(inode)]
    return json.dumps(row)
