"""Merges flists: the first that has a path wins; directories are merged."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flist.format.nodes import Node, find_links, load_nodes, number_nodes
from flist.format.opening import AnyFlist
from flist.format.tables import Tables

if TYPE_CHECKING:
    from flist.model import Route


def merge(flists: Sequence[AnyFlist]) -> Tables:
    """Return the tables of the merged `flists`, with all their routes; a tag's first value wins.

    If a path is a directory in one flist and not in an earlier one, everything below it is hidden,
    as in an overlay.
    """
    nodes: dict[bytes, Node] = {}
    links: dict[bytes, bytes] = {}
    routes: list[Route] = []
    tags: dict[str, str] = {}
    parts: dict[bytes, bytes] = {}
    used: set[bytes] = set()
    for flist in flists:
        theirs = load_nodes(flist)
        added = {path for path in theirs if path not in nodes and is_reachable(nodes, path)}
        links |= find_links({path: theirs[path] for path in theirs if path in added})
        nodes.update({path: theirs[path] for path in theirs if path in added})
        routes += [route for route in flist.routes() if route not in routes]
        tags = {**flist.tags(), **tags}
        # The parts of a block come from the first flist that has the block, if they are there.
        more = {block.id for path in added for block in theirs[path].blocks} - used
        parts |= {i: row for i, row in flist.all_parts().items() if i in more}
        used |= more
    return number_nodes(nodes, links)._replace(tags=tags, routes=routes, parts=parts)


def is_reachable(nodes: dict[bytes, Node], path: bytes) -> bool:
    """Return whether everything above `path` in `nodes` is a directory or absent."""
    while path != b"/":
        path = path.rpartition(b"/")[0] or b"/"
        node = nodes.get(path)
        if node is not None and not node.inode.is_dir:
            return False
    return True
