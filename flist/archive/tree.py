"""The tree of an archive, or the merged tree of an image's layers, in memory and without contents.

Layers are added from the top down, and the uppermost layer that has a path decides what it is: a
file that a higher layer replaces or removes is never encoded. The rules are those of overlayfs, as
engines apply them: a whiteout or an opaque directory hides lower layers, and a directory that is
only implied by a deeper path takes its owner and mode from a lower layer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from flist.archive.errors import ArchiveError
from flist.archive.paths import Path, show
from flist.model import Block, Extent

MAX_LINK_HOPS = 40
MAX_DEPTH = 2048
"""As deep as a path of 4096 bytes leads; through symbolic links it could lead further."""
IMPLIED_MODE = 0o040755


@dataclass(slots=True, eq=False)
class Item:
    """What hard links share. `mode` is the whole st_mode; `blocks` is None until the content is
    encoded."""

    mode: int = IMPLIED_MODE
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    rdev: int = 0
    target: bytes | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    extents: tuple[Extent, ...] | None = None
    blocks: list[Block] | None = None


@dataclass(slots=True, eq=False)
class Node:
    """One name. A directory has `children`; `waits_for` is the target of a hard link if it is in a
    lower layer."""

    item: Item
    children: "dict[bytes, Node] | None" = None
    is_implied: bool = False
    is_opaque: bool = False
    removed: set[bytes] = field(default_factory=set)
    waits_for: Path | None = None

    def hides(self, path: Path) -> bool:
        """Return whether `path` of a lower layer is hidden; a directory at both is merged."""
        node = self
        for word in path:
            if node.children is None or node.is_opaque or word in node.removed:
                return True
            child = node.children.get(word)
            if child is None:
                return False
            node = child
        return True


def new_folder(*, is_implied: bool = True) -> Node:
    """Return a directory with mode 0755, of root, and with the time 1970."""
    return Node(Item(), {}, is_implied=is_implied)


class Layer:
    """One layer, or a whole archive, as a tree of its own. `implied` counts the directories that
    were made because a path leads through them."""

    def __init__(self) -> None:
        self.root = new_folder()
        self.implied = 0

    def take_implied(self) -> int:
        """Return `implied`, and start again from zero."""
        count, self.implied = self.implied, 0
        return count

    def put(self, path: Path, item: Item, *, is_folder: bool) -> Path:
        """Put `item` at `path`; return the path with symbolic links resolved."""
        if not path:
            return self.put_root(item, is_folder=is_folder)
        parent, real = self.open_folder(path[:-1])
        known = parent.get(path[-1])
        if is_folder and known is not None and known.children is not None:
            known.item, known.is_implied = item, False
        else:
            parent[path[-1]] = Node(item, {} if is_folder else None)
        return (*real, path[-1])

    def put_root(self, item: Item, *, is_folder: bool) -> Path:
        """Set the item of the root itself."""
        if not is_folder:
            raise ArchiveError("the archive is refused: its root is not a directory")
        self.root.item, self.root.is_implied = item, False
        return ()

    def link(self, path: Path, target: Path) -> tuple[Path, Node]:
        """Make `path` a hard link to `target`; return the resolved path and the new node."""
        known = self.find(target)
        if known is not None and known.children is not None:
            where = show(path)
            raise ArchiveError(f"the archive is refused: {where} is a hard link to a directory")
        if known is None:
            real = self.put(path, Item(), is_folder=False)
        else:
            real = self.put(path, known.item, is_folder=False)
        node = self.find_real(real)
        assert node is not None
        node.waits_for = target if known is None else known.waits_for
        return real, node

    def remove(self, folder: Path, name: bytes) -> None:
        """Hide `name` in the directory `folder` of lower layers."""
        self.folder_node(folder).removed.add(name)

    def make_opaque(self, folder: Path) -> None:
        """Hide everything in the directory `folder` of lower layers."""
        self.folder_node(folder).is_opaque = True

    def folder_node(self, path: Path) -> Node:
        """Return the directory at `path`; make it if needed."""
        _, real = self.open_folder(path)
        node = self.find_real(real)
        assert node is not None
        return node

    def find_real(self, path: Path) -> Node | None:
        """Return the node at `path`, following no symbolic link."""
        node: Node | None = self.root
        for word in path:
            node = node.children.get(word) if node and node.children is not None else None
        return node

    def find(self, path: Path) -> Node | None:
        """Return the node at `path`, following symbolic links except the last component."""
        if not path:
            return self.root
        walked = self.walk(path[:-1], is_making=False)
        if walked is None or walked[-1][1].children is None:
            return None
        return walked[-1][1].children.get(path[-1])

    def open_folder(self, path: Path) -> tuple[dict[bytes, Node], Path]:
        """Return the children of the directory at `path`, made if needed, and its resolved path."""
        walked = self.walk(path, is_making=True)
        assert walked is not None
        children = walked[-1][1].children
        assert children is not None
        return children, tuple(word for word, _ in walked[1:])

    def walk(self, path: Path, *, is_making: bool) -> list[tuple[bytes, Node]] | None:
        """Return (name, node) from the root to `path`; None if it is not there.

        Symbolic links are followed as in a chroot.
        """
        walked = [(b"", self.root)]
        todo = list(reversed(path))
        hops = 0
        while todo:
            word = todo.pop()
            if word == b"..":
                del walked[max(1, len(walked) - 1) :]  # the root's parent is the root
                continue
            children = walked[-1][1].children
            assert children is not None
            node = children.get(word)
            if node is None and is_making:
                node = children[word] = new_folder()
                self.implied += 1
            if node is None:
                return None
            if node.item.target is not None:
                hops += 1
                if hops > MAX_LINK_HOPS:
                    raise ArchiveError(f"the archive is refused: {show(path)} is a loop of links")
                if node.item.target.startswith(b"/"):
                    del walked[1:]
                words = node.item.target.split(b"/")
                todo.extend(w for w in reversed(words) if w not in (b"", b"."))
            elif node.children is None:
                if is_making:
                    raise ArchiveError(f"the archive is refused: {show(path)} lies below a file")
                return None
            else:
                walked.append((word, node))
                if len(walked) > MAX_DEPTH:
                    raise ArchiveError(f"the archive is refused: {show(path)} is too deep")
        return walked


def merge(upper: Node, lower: Node) -> None:
    """Merge into the directory `upper` what is visible of `lower`, whose nodes are moved."""
    pending = [(upper, lower)]
    while pending:
        above, below = pending.pop()
        if above.children is None or below.children is None:
            continue
        if above.is_implied:
            above.item, above.is_implied = below.item, below.is_implied
        if above.is_opaque:
            continue
        for name, child in below.children.items():
            if name in above.removed:
                continue
            known = above.children.get(name)
            if known is None:
                above.children[name] = child
            else:
                pending.append((known, child))
        above.removed |= below.removed
        above.is_opaque = below.is_opaque


def walk_tree(root: Node) -> Iterator[tuple[int, int, bytes, Node]]:
    """Yield (number, parent's number, name, node), numbered as by `flist.pack.scan`: breadth first,
    each directory sorted."""
    number = 1
    yield number, 0, b"/", root
    folders = [(number, root)]
    for parent, folder in folders:  # grows while we walk
        assert folder.children is not None
        for name in sorted(folder.children):
            node = folder.children[name]
            number += 1
            yield number, parent, name, node
            if node.children is not None:
                folders.append((number, node))
