"""What pack's workers found out, put together again by file."""

from collections.abc import Sequence

from flist.model import Block, Inode
from flist.pack.known_files import Entry, is_settled, split_blocks
from flist.pack.scan import Scan

SEGMENT_BYTES = 2 << 20
"""A larger file is read in segments, by several workers: none is late at the end."""

Packed = tuple[int, int, int, bytes, dict[bytes, bytes], bool]
"""What one piece of a file became: inode number, start, how many bytes there were, their blocks,
joined, rows of parts by block id, and whether all this was known. (Tuples without names travel in
half the time.)"""


class Results:
    """The pieces that are done, by inode number: `joined` blocks, `blocks`, and `sizes` of files.
    They come in any order; `pieces` are those of large files, until all have come. `rows` are of
    `zos_part`, by block id."""

    def __init__(self) -> None:
        self.joined: dict[int, bytes] = {}
        self.blocks: dict[int, list[Block]] = {}
        self.sizes: dict[int, int] = {}
        self.pieces: dict[int, list[tuple[int, int, bytes]]] = {}
        self.rows: dict[bytes, bytes] = {}
        self.done = 0
        self.read = 0

    def add(self, packed: Sequence[Packed]) -> None:
        """Note what one batch became, while the workers are at others."""
        for ino, start, length, joined, rows, is_reused in packed:
            self.done += length
            self.read += 0 if is_reused else length
            if start or length == SEGMENT_BYTES:
                self.pieces.setdefault(ino, []).append((start, length, joined))
                self.rows.update(rows)
            else:
                self.keep(ino, length, joined)

    def keep(self, ino: int, size: int, joined: bytes) -> None:
        """Note a file."""
        self.sizes[ino] = size
        self.joined[ino] = joined
        self.blocks[ino] = split_blocks(joined)

    def settle(self, scan: Scan) -> list[Inode]:
        """Return inodes that fit the blocks, also where a file changed meanwhile."""
        for ino, pieces in self.pieces.items():
            size = self.sizes.get(ino, 0)
            kept = [self.joined.get(ino, b"")]
            for start, length, joined in sorted(pieces):
                if start == size:  # nothing after the end of a shortened file
                    kept.append(joined)
                    size += length
            self.keep(ino, size, b"".join(kept))
        inodes = list(scan.inodes)
        sizes = self.sizes
        for ino, _, size, _ in scan.files:
            if size != sizes.get(ino, 0):
                inodes[ino - 1] = inodes[ino - 1]._replace(size=sizes.get(ino, 0))
        for inode in scan.inodes:
            if inode.same_as and inode.is_file:
                inodes[inode.ino - 1] = inode._replace(size=inodes[inode.same_as - 1].size)
                if inode.same_as in self.blocks:
                    self.blocks[inode.ino] = self.blocks[inode.same_as]
        return inodes

    def memory(self, scan: Scan, now_ns: int) -> dict[bytes, Entry]:
        """Return what the next pack of the same directory may rely on: files that did not change
        while they were read, and whose times say that they did not before."""
        sizes, joined = self.sizes, self.joined
        return {
            path: (stamp, joined[ino])
            for ino, path, size, stamp in scan.files
            if sizes.get(ino) == size and is_settled(stamp, now_ns)
        }
