"""The range of farm numbers."""

FARM_MAX = 2**32 - 1
"""Farm numbers are uint32 on the chain; 0 means "no farm"."""
