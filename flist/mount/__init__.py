"""A flist as a mounted file system."""
