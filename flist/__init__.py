"""A file system in one small file: the format, blocks, stores, mount, pack and unpack."""
