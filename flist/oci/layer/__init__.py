"""Layers: tar streams merged into one tree."""
