"""What both FUSE adapters say about an inode. Pure."""

import stat

from flist.model import Inode, Meta

FUSE_TIMEOUT_S = 365 * 24 * 3600
"""A mounted flist never changes, so the kernel may keep what it was told."""


def allocated_blocks(inode: Inode, meta: Meta | None = None) -> int:
    """Return st_blocks (units of 512 bytes): what has data, without the holes."""
    if not stat.S_ISREG(inode.mode):
        return 0
    size = inode.size
    if meta is not None and meta.extents is not None:
        size = sum(extent.length for extent in meta.extents)
    return -(-size // 512)
