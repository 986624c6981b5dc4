"""Reads layers, topmost first, into one tree, and stores the contents that are visible in it.

A layer is read once, as a stream. A second pass is needed only where a visible name is a hard link
to a hidden one.
"""

import os
import stat
from typing import BinaryIO, NamedTuple

from flist.model import CHUNK_BYTES, Block
from flist.oci.digest import Digest
from flist.oci.errors import ImageError
from flist.oci.layer import tar
from flist.oci.layer.chunks import ChunkWriter
from flist.oci.layer.inflate import PieceReader, inflate
from flist.oci.layer.paths import Path, parse_name, parse_path
from flist.oci.layer.tree import Item, Layer, Node, merge, new_folder, show

TYPES = {
    tar.REGULAR: stat.S_IFREG,
    tar.SYMLINK: stat.S_IFLNK,
    tar.CHARACTER: stat.S_IFCHR,
    tar.BLOCK_DEVICE: stat.S_IFBLK,
    tar.DIRECTORY: stat.S_IFDIR,
    tar.FIFO: stat.S_IFIFO,
}
MAX_TARGET_BYTES = 4095
MAX_XATTR_BYTES = 64 << 10
OVERLAY_XATTRS = (b"trusted.overlay.", b"user.overlay.")
"""These would control an overlay mounted above the flist."""
EXTENT_COST_BYTES = 100


class Limits(NamedTuple):
    """Limits for all layers of one image together."""

    size_bytes: int = 64 << 30
    entries: int = 2_000_000
    names_bytes: int = 512 << 20
    """Of names, link targets and attributes, which are kept in memory."""


class Applier:
    """Merges layers: `root` is the tree so far, `pending` the hard links to lower layers."""

    def __init__(self, writer: ChunkWriter, limits: Limits) -> None:
        self.writer = writer
        self.limits = limits
        self.root = new_folder()
        self.pending: list[Node] = []
        self.size_bytes = self.entries = self.names_bytes = 0

    def apply(self, stream: BinaryIO, diff_id: Digest) -> None:
        """Add the next lower layer; `stream` is seekable."""
        work = LayerWork(self)
        reader = PieceReader(inflate(stream), diff_id, self.limits.size_bytes)
        work.read(reader)
        reader.finish()
        self.resolve(work)
        if work.needed:
            stream.seek(0)
            again = PieceReader(inflate(stream), diff_id, self.limits.size_bytes)
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

    def charge(self, entry: tar.Entry) -> None:
        """Count one entry; raises `ImageError` when the image exceeds its limits."""
        self.entries += 1
        self.size_bytes += entry.size
        self.names_bytes += len(entry.name) + len(entry.target)
        self.names_bytes += sum(len(name) + len(value) for name, value in entry.xattrs)
        self.names_bytes += EXTENT_COST_BYTES * len(entry.extents or ())
        if self.size_bytes > self.limits.size_bytes:
            raise ImageError(
                f"the image is refused: its files have more than {self.limits.size_bytes} bytes",
                hint="--max-size BYTES raises the limit",
            )
        if self.entries > self.limits.entries or self.names_bytes > self.limits.names_bytes:
            raise ImageError("the image is refused: its layers hold too many or too long names")


class LayerWork:
    """Reads one layer."""

    def __init__(self, applier: Applier) -> None:
        self.applier = applier
        self.layer = Layer()
        self.links: list[Node] = []
        self.skipped: dict[Item, int] = {}  # hidden content -> number of its entry
        self.needed: dict[int, Item] = {}
        self.aufs: dict[Path, Item] = {}  # files of aufs's own, which hard links may lead to

    def read(self, source: PieceReader) -> None:
        """Read all entries."""
        reader = tar.TarReader(source)
        for number, entry in enumerate(reader):
            self.applier.charge(entry)
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

    def add(self, reader: tar.TarReader, number: int, entry: tar.Entry, path: Path) -> None:
        """Add one entry, and store its content unless a higher layer hides it."""
        item = make_item(entry)
        real = self.layer.put(path, item, is_folder=entry.kind == tar.DIRECTORY)
        if not stat.S_ISREG(item.mode) or not item.size:
            return
        if self.applier.root.hides(real):
            self.skipped[item] = number
        else:
            item.blocks = self.store(reader, entry)

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

    def read_needed(self, source: PieceReader) -> None:
        """Read the layer again, for skipped contents that are needed."""
        reader = tar.TarReader(source)
        for number, entry in enumerate(reader):
            if (item := self.needed.get(number)) is not None:
                item.blocks = self.store(reader, entry)

    def store(self, reader: tar.TarReader, entry: tar.Entry) -> list[Block]:
        """Store a file's content chunk by chunk."""
        blocks: list[Block] = []
        if entry.extents is not None:
            store_sparse(reader, entry, self.applier.writer, blocks)
            return blocks
        for start in range(0, entry.size, CHUNK_BYTES):
            chunk = reader.take(min(CHUNK_BYTES, entry.size - start))
            self.applier.writer.add(chunk, blocks, entry.size)
        return blocks


def store_sparse(
    reader: tar.TarReader, entry: tar.Entry, writer: ChunkWriter, blocks: list[Block]
) -> None:
    """Store a sparse file; its holes become zeros."""
    extents = list(entry.extents or ())
    place = 0
    for start in range(0, entry.size, CHUNK_BYTES):
        end = min(start + CHUNK_BYTES, entry.size)
        chunk = bytearray(end - start)
        while place < len(extents) and extents[place].start < end:
            first, length = extents[place]
            begin, stop = max(first, start), min(first + length, end)
            chunk[begin - start : stop - start] = reader.take(stop - begin)
            if first + length > end:
                break  # the rest is in the next chunk
            place += 1
        writer.add(bytes(chunk), blocks, entry.size)


def make_item(entry: tar.Entry) -> Item:
    """Return the checked item of an entry."""
    target = entry.target if entry.kind == tar.SYMLINK else None
    if target is not None and (not 0 < len(target) <= MAX_TARGET_BYTES or b"\0" in target):
        raise ImageError(
            "the image is refused: a layer holds a symbolic link with an invalid target"
        )
    return Item(
        mode=TYPES[entry.kind] | (0o777 if target is not None else entry.mode),
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size,
        mtime_ns=entry.mtime_ns,
        rdev=os.makedev(*entry.device),
        target=target,
        xattrs=tuple(pair for pair in entry.xattrs if is_kept_xattr(*pair)),
        extents=entry.extents,
    )


def is_kept_xattr(name: bytes, value: bytes) -> bool:
    """Return whether an attribute goes into the flist; raises `ImageError` for an invalid one."""
    if not 0 < len(name) <= 255 or b"\0" in name or len(value) > MAX_XATTR_BYTES:
        raise ImageError("the image is refused: a layer holds an invalid extended attribute")
    return not name.startswith(OVERLAY_XATTRS)


def dangling(target: Path) -> ImageError:
    """Return the error for a hard link whose target is not a file."""
    return ImageError(
        f"the image is refused: a hard link points to {show(target)}, which is no file"
    )
