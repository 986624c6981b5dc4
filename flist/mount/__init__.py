"""Mounts flists as file systems.

Imports go one way: `mount` and `background`, which put a mount together, import everything; `fuse`
imports `ahead` and the other modules here; `ahead` imports those.
"""
