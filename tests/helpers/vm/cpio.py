"""Small newc cpio archives to append to an initramfs, for tests only.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of the Linux kernel.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Content = bytes | str  # of a file, or the target of a symbolic link


@dataclass(frozen=True)
class Node:
    """A character device."""

    major: int
    minor: int


def archive(files: Mapping[str, Content | Node], executable: frozenset[str] = frozenset()) -> bytes:
    """Return an archive of `files` and their parent folders; names have no leading slash."""
    pieces = [member(name, stat.S_IFDIR | 0o755, b"") for name in folders_of(files)]
    for name, content in files.items():
        if isinstance(content, Node):
            pieces.append(member(name, stat.S_IFCHR | 0o600, b"", content))
        elif isinstance(content, str):
            pieces.append(member(name, stat.S_IFLNK | 0o777, content.encode()))
        else:
            mode = 0o755 if name in executable else 0o644
            pieces.append(member(name, stat.S_IFREG | mode, content))
    return b"".join([*pieces, member("TRAILER!!!", 0, b"")])


def folders_of(files: Mapping[str, Content | Node]) -> list[str]:
    """Return every parent folder of `files`, top-level folders first."""
    parents = {str(parent) for name in files for parent in Path(name).parents}
    return sorted(parents - {"."})


def member(name: str, mode: int, content: bytes, node: Node | None = None) -> bytes:
    """Return one entry: header with name, and content, each padded to a multiple of four."""
    major, minor = (node.major, node.minor) if node else (0, 0)
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return pad(header + name.encode() + b"\0") + pad(content)


def pad(data: bytes) -> bytes:
    """Return `data` padded with zeros to a multiple of four."""
    return data + bytes(-len(data) % 4)
