"""Joins flists into one: the first that has a path wins; directories are joined."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flist.format.nodes import Node, find_links, load_nodes, number_nodes
from flist.format.opening import AnyFlist
from flist.format.writer import Content

if TYPE_CHECKING:
    from flist.model import Route


def merge(flists: Sequence[AnyFlist]) -> Content:
    """Return the content of all `flists` together, with all their routes; first tags win.

    What lies below a path that is a directory in one flist and something else in an earlier one
    is hidden, as it would be in an overlay.
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
        pairs = find_links(theirs).items()
        links.update({path: first for path, first in pairs if path in added and first in added})
        nodes.update({path: theirs[path] for path in theirs if path in added})
        routes += [route for route in flist.routes() if route not in routes]
        tags = {**flist.tags(), **tags}
        # Of a block that an earlier one has, only that one says where its parts are, if it does.
        more = {block.id for path in added for block in theirs[path].blocks} - used
        parts |= {i: row for i, row in flist.all_parts().items() if i in more}
        used |= more
    return number_nodes(nodes, links)._replace(tags=tags, routes=routes, parts=parts)


def is_reachable(nodes: dict[bytes, Node], path: bytes) -> bool:
    """Whether no earlier flist has something else than a directory above `path`."""
    while path != b"/":
        path = path.rpartition(b"/")[0] or b"/"
        node = nodes.get(path)
        if node is not None and not node.inode.is_dir:
            return False
    return True
