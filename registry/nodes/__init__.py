"""Nodes and their reports: each signed, in order, and judged before it counts."""
