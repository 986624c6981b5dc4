"""The range of a farm's number."""

FARM_MAX = 2**32 - 1
"""A uint32 on the chain; 0 means "no farm"."""
