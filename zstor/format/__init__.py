"""Metadata as bytes: ours, versioned, and upstream's."""
