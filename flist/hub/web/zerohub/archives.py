"""TEMPORARY reader of archives."""

import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

from flist.blocks.codec import encode
from flist.format.legacy.blocks import encode_legacy
from flist.format.tables import Tables
from flist.hub.errors import InvalidError
from flist.model import CHUNK_BYTES, Block, Inode, Meta

Put = Callable[[bytes, bytes], object]


def read_archive(path: Path, put: Put, *, is_legacy: bool) -> Tables:
    inodes = [Inode(1, 0, b"/", 4096, 0, 0, stat.S_IFDIR | 0o755, 0, 0, 0)]
    numbers = {"": 1}
    blocks: dict[int, list[Block]] = {}
    meta = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.strip("/").removeprefix("./")
                folder, _, base = name.rpartition("/")
                if not base or base in (".", ".."):
                    continue
                ino = len(inodes) + 1
                form = {b"5": stat.S_IFDIR, b"2": stat.S_IFLNK, b"6": stat.S_IFIFO}.get(
                    member.type, stat.S_IFREG
                )
                size = 4096 if form == stat.S_IFDIR else member.size
                source = member
                if member.islnk():
                    source = archive.getmember(member.linkname)
                    size = source.size
                if form == stat.S_IFLNK:
                    meta[ino] = Meta(member.linkname.encode())
                    size = len(member.linkname)
                if form == stat.S_IFREG:
                    stream = archive.extractfile(source)
                    while chunk := stream.read(CHUNK_BYTES):
                        block, data = (encode_legacy if is_legacy else encode)(chunk)
                        put(block.id, data)
                        blocks.setdefault(ino, []).append(block)
                numbers[name] = ino
                inodes.append(
                    Inode(
                        ino,
                        numbers[folder],
                        base.encode(),
                        size,
                        0,
                        0,
                        form | member.mode,
                        0,
                        member.mtime * 10**9,
                        member.mtime * 10**9,
                    )
                )
    except (OSError, EOFError, tarfile.TarError, KeyError) as error:
        raise InvalidError("this is not a tar archive") from error
    if len(inodes) == 1:
        raise InvalidError("the archive is empty")
    return Tables(inodes, blocks, meta, {}, [])
