"""Layers: tar streams merged into one tree, with whiteouts."""
