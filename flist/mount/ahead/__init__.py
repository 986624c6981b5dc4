"""Blocks fetched or decoded before they are read."""
