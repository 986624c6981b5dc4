"""Show a flist's identity, tags, stores, signed names and totals."""

import argparse
import json
import stat
import sys
from collections import Counter
from pathlib import Path

from common.text import printable
from flist.commands.shared.servers import add_server_url, local_flist
from flist.format.identity import identity
from flist.format.nodes import load_nodes
from flist.format.opening import open_flist
from flist.format.signing.signature import parse_signature
from flist.format.signing.trailer import read_trailer
from flist.values import parse_path

KINDS = {
    stat.S_IFDIR: "directories", stat.S_IFREG: "files", stat.S_IFLNK: "links",
    stat.S_IFCHR: "devices", stat.S_IFBLK: "devices", stat.S_IFIFO: "fifos",
    stat.S_IFSOCK: "sockets",
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("meta", type=parse_path, metavar="FILE|HASH")
    add_server_url(parser)
    parser.add_argument("--json", action="store_true")


def describe(meta: Path) -> dict[str, object]:
    """Return what the command prints, in its order."""
    with open_flist(meta) as flist:
        nodes = load_nodes(flist)
        routes = [f"{r.start:02x}-{r.end:02x}={r.url}" for r in flist.routes()]
        tags = flist.tags()
    kinds = Counter(KINDS.get(stat.S_IFMT(node.inode.mode), "other") for node in nodes.values())
    files = {n.inode.content_ino: n.inode.size for n in nodes.values() if n.inode.is_file}
    blocks = [block for node in nodes.values() for block in node.blocks]
    return {
        "identity": identity(nodes).hex(),
        "entries": len(nodes),
        **dict(sorted(kinds.items())),
        "bytes": sum(files.values()),
        "blocks": len(set(blocks)),
        "tags": tags,
        "stores": routes,
        "signed inside as": [parse_signature(text).name for text in read_trailer(meta)[1]],
    }


def run(options: argparse.Namespace) -> int:
    """Print the description."""
    with local_flist(options.meta, options.server_url) as path:
        found = describe(path)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    for key, value in found.items():
        if isinstance(value, dict):
            value = "".join(f"\n  {printable(f'{name}={text}')}" for name, text in value.items())
        elif isinstance(value, list):
            value = "".join(f"\n  {printable(text)}" for text in value)
        sys.stdout.write(f"{key}: {value}\n")
    return 0
