"""Reads layers, topmost first, into one tree, and stores the contents that are visible in it.

A layer is read once, as a stream. A second pass is needed only where a visible name is a hard link
to a hidden one.
"""

import stat
from typing import BinaryIO

from flist.archive import tar
from flist.archive.chunks import ChunkWriter
from flist.archive.inflate import inflate
from flist.archive.items import make_item, store_content
from flist.archive.limits import Budget, Limits
from flist.archive.paths import Path, parse_path, show
from flist.archive.tree import Item, Layer, Node, merge, new_folder
from flist.oci.digest import Digest
from flist.oci.errors import ImageError
from flist.oci.layer.hashed import HashedReader
from flist.oci.layer.whiteouts import parse_name


class Applier:
    """Merges layers: `root` is the tree so far, `pending` the hard links to lower layers."""

    def __init__(self, writer: ChunkWriter, limits: Limits) -> None:
        self.writer = writer
        self.limits = limits
        self.budget = Budget(limits, "image")
        self.root = new_folder()
        self.pending: list[Node] = []

    def apply(self, stream: BinaryIO, diff_id: Digest) -> None:
        """Add the next lower layer; `stream` is seekable."""
        work = LayerWork(self)
        reader = HashedReader(inflate(stream), diff_id, self.limits.size_bytes)
        work.read(reader)
        reader.finish()
        self.resolve(work)
        if work.needed:
            stream.seek(0)
            again = HashedReader(inflate(stream), diff_id, self.limits.size_bytes)
            work.read_needed(again)
            again.finish()
        self.writer.wait()
        self.pending += [node for node in work.links if node.waits_for is not None]
        merge(self.root, work.layer.root)

    def resolve(self, work: "LayerWork") -> None:
        """Resolve the hard links of higher layers whose targets are in this layer."""
        waiting, self.pending = self.pending, []
        for node in waiting:
            assert node.waits_for is not None
            found = work.layer.find(node.waits_for)
            if found is None:
                if work.layer.root.hides(node.waits_for):
                    raise dangling(node.waits_for)
                self.pending.append(node)
                continue
            if found.children is not None:
                raise dangling(node.waits_for)
            node.item, node.waits_for = found.item, found.waits_for
            if node.waits_for is not None:
                self.pending.append(node)
            work.need(node.item)

    def finish(self) -> Node:
        """Return the whole tree; raises `ImageError` if a hard link has no target."""
        for node in self.pending:
            raise dangling(node.waits_for or ())
        return self.root


class LayerWork:
    """Reads one layer."""

    def __init__(self, applier: Applier) -> None:
        self.applier = applier
        self.layer = Layer()
        self.links: list[Node] = []
        self.skipped: dict[Item, int] = {}  # hidden content -> number of its entry
        self.needed: dict[int, Item] = {}
        self.aufs: dict[Path, Item] = {}  # files of aufs's own, which hard links may lead to

    def read(self, source: HashedReader) -> None:
        """Read all entries."""
        reader = tar.TarReader(source)
        for number, entry in enumerate(reader):
            self.applier.budget.charge(entry)
            name = parse_name(entry.name)
            if name.removes is not None:
                self.layer.remove(name.path, name.removes)
            elif name.is_opaque:
                self.layer.make_opaque(name.path)
            elif name.is_ignored:
                self.note_aufs(number, entry, name.path)
            elif entry.kind == tar.HARD_LINK:
                self.add_link(name.path, parse_path(entry.target))
            else:
                self.add(reader, number, entry, name.path)
            self.applier.budget.charge_names(self.layer.take_implied())

    def add(self, reader: tar.TarReader, number: int, entry: tar.Entry, path: Path) -> None:
        """Add one entry, and store its content unless a higher layer hides it."""
        item = make_item(entry)
        real = self.layer.put(path, item, is_folder=entry.kind == tar.DIRECTORY)
        if not stat.S_ISREG(item.mode) or not item.size:
            return
        if self.applier.root.hides(real):
            self.skipped[item] = number
        else:
            item.blocks = store_content(reader, entry, self.applier.writer)

    def note_aufs(self, number: int, entry: tar.Entry, path: Path) -> None:
        """Keep a file in aufs's own folder for the hard links that lead to it."""
        if entry.kind == tar.REGULAR:
            item = self.aufs[path] = make_item(entry)
            if item.size:
                self.skipped[item] = number

    def add_link(self, path: Path, target: Path) -> None:
        """Add a hard link."""
        if not path or not target:
            raise ImageError("the image is refused: a layer has a hard link to or from its root")
        if target in self.aufs:
            real = self.layer.put(path, self.aufs[target], is_folder=False)
            if not self.applier.root.hides(real):
                self.need(self.aufs[target])
            return
        real, node = self.layer.link(path, target)
        self.links.append(node)
        if not self.applier.root.hides(real):
            self.need(node.item)

    def need(self, item: Item) -> None:
        """Note that `item` is visible through a hard link, so its content must be stored."""
        number = self.skipped.get(item)
        if number is not None:
            self.needed[number] = item

    def read_needed(self, source: HashedReader) -> None:
        """Read the layer again, for skipped contents that are needed."""
        reader = tar.TarReader(source)
        for number, entry in enumerate(reader):
            if (item := self.needed.get(number)) is not None:
                item.blocks = store_content(reader, entry, self.applier.writer)


def dangling(target: Path) -> ImageError:
    """Return the error for a hard link whose target is not a file."""
    return ImageError(
        f"the image is refused: a hard link points to {show(target)}, which is no file"
    )
