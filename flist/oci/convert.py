"""Converts an image into a flist: topmost layer first, while the next one is fetched.

This needs no root, and nothing is unpacked: names, owners and modes stay in memory, contents go
into the stores as blocks while they are read.
"""

import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from flist.archive.build import make_content
from flist.archive.chunks import ChunkWriter
from flist.archive.limits import Limits
from flist.archive.tree import Item, Node
from flist.blocks.parts import rows_of_large_files
from flist.format.tables import Tables
from flist.format.writer import check_output, write_flist
from flist.http.urls import strip_passwords
from flist.model import Block, Route
from flist.oci.config import STARTUP_NAME, image_tag, startup_toml
from flist.oci.errors import ImageError
from flist.oci.image import Image, open_layer
from flist.oci.layer.apply import Applier
from flist.store.threads import thread_pool

if TYPE_CHECKING:
    from concurrent.futures import Future

STARTUP_MODE = 0o100644
Progress = Callable[[int, int], None]


class Converted(NamedTuple):
    """What a conversion made: digest and platform of the image, and numbers."""

    digest: str
    platform: str
    layers: int
    inodes: int
    size_bytes: int
    blocks: int
    distinct: int


def convert(
    image: Image,
    name: str,
    meta: Path,
    routes: Sequence[Route],
    *,
    keep_passwords: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Write the flist `meta` of `image`, and its blocks into the stores of `routes`.

    The tag `image` records `name` as the origin. Raises `ImageError`, `StoreError`, `FlistError`.
    """
    check_output(meta)
    limits = limits or Limits()
    total = sum(layer.size for layer in image.layers)
    if total > limits.size_bytes:
        raise ImageError(
            f"the image is refused: its layers have {total} bytes",
            hint="--max-size BYTES raises the limit",
        )
    with ChunkWriter(routes) as writer:
        applier = Applier(writer, limits)
        done = 0
        with contextlib.closing(open_ahead(image)) as opened:
            pairs = reversed(list(zip(image.layers, image.config.diff_ids, strict=True)))
            for (layer, diff_id), stream in zip(pairs, opened, strict=True):
                with stream:
                    applier.apply(stream, diff_id)
                done += layer.size
                if progress is not None:
                    progress(done, total)
        root = applier.finish()
        add_startup(root, startup_toml(image.config), writer)
        writer.flush()
    kept = routes if keep_passwords else strip_passwords(routes)
    tags = {"image": image_tag(image.config, name, str(image.digest))}
    content = make_content(root, tags, kept)
    parts = rows_of_large_files(content.inodes, content.blocks, writer.parts)
    content = content._replace(parts=parts)
    write_flist(meta, content)
    return summarize(image, content)


def open_ahead(image: Image) -> Generator[BinaryIO, None, None]:
    """Yield the checked layers, topmost first; while one is used, the next is fetched."""
    pending = list(image.layers)
    upcoming: Future[BinaryIO] | None = None
    with thread_pool(1) as pool:
        try:
            while pending or upcoming:
                upcoming = upcoming or pool.submit(open_layer, image.blobs, pending.pop())
                stream = upcoming.result()
                upcoming = None
                if pending:
                    upcoming = pool.submit(open_layer, image.blobs, pending.pop())
                yield stream
        finally:
            if upcoming is not None:
                upcoming.add_done_callback(close_blob)


def close_blob(opened: "Future[BinaryIO]") -> None:
    """Close a layer that is no longer needed, if it was fetched."""
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()


def add_startup(root: Node, text: bytes, writer: ChunkWriter) -> None:
    """Put `/.startup.toml` into the tree, unless the image has its own."""
    assert root.children is not None
    if STARTUP_NAME in root.children:
        return
    blocks: list[Block] = []
    writer.add(text, blocks)
    item = Item(mode=STARTUP_MODE, size=len(text), blocks=blocks)
    root.children[STARTUP_NAME] = Node(item)


def summarize(image: Image, content: Tables) -> Converted:
    """Return the result of a conversion."""
    own = [inode for inode in content.inodes if not inode.same_as]
    blocks = [block.id for inode in own for block in content.blocks.get(inode.ino, ())]
    return Converted(
        str(image.digest),
        str(image.config.platform),
        len(image.layers),
        len(content.inodes),
        sum(inode.size for inode in own if inode.is_file),
        len(blocks),
        len(set(blocks)),
    )
