"""From a tar archive to a flist, in one pass and without unpacking onto the disk.

No name in the archive becomes a path of this machine. Memory holds the names and a few chunks. The
flist is written last; blocks that were stored before a failure are left to `gc`.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from flist.archive import tar
from flist.archive.build import make_content
from flist.archive.chunks import ChunkWriter
from flist.archive.errors import ArchiveError
from flist.archive.inflate import has_checked_end, inflate_rest, is_compressed, read_start
from flist.archive.items import make_item, store_content
from flist.archive.limits import Budget, Limits, check_ratio
from flist.archive.paths import parse_path, show
from flist.archive.reader import PieceReader
from flist.archive.stream import Watched
from flist.archive.tree import Layer
from flist.blocks.parts import rows_of_large_files
from flist.format.contents import Counts, count_entries
from flist.format.legacy.writer import is_legacy_name, write_legacy
from flist.format.writer import check_output, write_flist
from flist.http.urls import strip_passwords
from flist.model import Route


class PackedArchive(NamedTuple):
    """What was packed: the numbers of entries by kind, and of distinct blocks."""

    counts: Counts
    blocks: int


def pack_archive(
    stream: BinaryIO,
    output: Path,
    routes: Sequence[Route],
    *,
    tags: Mapping[str, str] | None = None,
    keep_passwords: bool = False,
    limits: Limits | None = None,
    progress: Callable[[int], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    threads: int = 0,
) -> PackedArchive:
    """Pack the tar archive `stream` into the flist `output`, its blocks into the stores `routes`.

    The archive may be compressed (gzip, zstd, xz, bzip2), and the stream need not be seekable. The
    output has the older format if its name ends in `.flist`. `progress` is called with the number
    of bytes read; `is_cancelled` is asked before every read and chunk. Raises `ArchiveError`,
    `CancelledError`, `StoreError` and `FlistError`.
    """
    check_output(output)
    is_legacy = is_legacy_name(output)
    watched = Watched(stream, progress, is_cancelled)
    with ChunkWriter(routes, threads, is_legacy=is_legacy) as writer:
        work = ArchiveWork(writer, limits or Limits(), watched)
        with reported():
            work.read()
        writer.flush()
    kept = routes if keep_passwords else strip_passwords(routes)
    tables = make_content(work.layer.root, tags or {}, kept)
    parts = rows_of_large_files(tables.inodes, tables.blocks, writer.parts)
    (write_legacy if is_legacy else write_flist)(output, tables._replace(parts=parts))
    distinct = {block.id for blocks in tables.blocks.values() for block in blocks}
    return PackedArchive(count_entries(tables.inodes), len(distinct))


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn an `OSError` of the archive's stream into an `ArchiveError`."""
    try:
        yield
    except OSError as error:
        raise ArchiveError(f"cannot read the archive: {error.strerror or error}") from error


class ArchiveWork:
    """Reads one archive into the tree `layer`."""

    def __init__(self, writer: ChunkWriter, limits: Limits, stream: Watched) -> None:
        self.writer = writer
        self.limits = limits
        self.stream = stream
        self.budget = Budget(limits, "archive")
        self.layer = Layer()

    def read(self) -> None:
        """Read all entries, and the stream to its end."""
        start = read_start(self.stream)
        pieces = inflate_rest(start, self.stream)
        if is_compressed(start):
            pieces = check_ratio(pieces, self.stream, self.limits.ratio)
        source = PieceReader(pieces, self.limits.size_bytes)
        reader = tar.TarReader(source)
        for entry in reader:
            self.budget.charge(entry)
            self.add(reader, entry)
            self.budget.charge_names(self.layer.take_implied())
        if not reader.has_begun:
            raise ArchiveError("the archive is empty, or cut off")
        if not reader.has_end and not has_checked_end(start):
            raise ArchiveError("the archive is cut off: its end mark is missing")
        source.drain()

    def add(self, reader: tar.TarReader, entry: tar.Entry) -> None:
        """Add one entry, and store its content."""
        path = parse_path(entry.name)
        if entry.kind == tar.HARD_LINK:
            self.add_link(path, parse_path(entry.target))
            return
        item = make_item(entry)
        self.layer.put(path, item, is_folder=entry.kind == tar.DIRECTORY)
        if entry.kind == tar.REGULAR and entry.size:
            item.blocks = store_content(reader, entry, self.writer, self.stream.check)

    def add_link(self, path: tuple[bytes, ...], target: tuple[bytes, ...]) -> None:
        """Add a hard link to an entry that came before."""
        if not path or not target:
            raise ArchiveError("the archive is refused: a hard link to or from its root")
        if self.layer.find(target) is None:
            raise ArchiveError(
                f"the archive is refused: a hard link points to {show(target)}, which is no file"
            )
        self.layer.link(path, target)
