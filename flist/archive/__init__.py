"""Tar archives as trees: read as a stream, never unpacked onto the disk."""
