"""A plain folder of flists and blocks, which is only read."""
