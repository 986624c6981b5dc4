"""Layers: tar streams applied to one tree."""
