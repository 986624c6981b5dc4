"""What both FUSE adapters agree on."""

FUSE_TIMEOUT_S = 365 * 24 * 3600
"""A mounted flist never changes, so the kernel may keep what it was told."""
