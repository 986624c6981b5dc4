"""Whole files, kept as pieces in the block store."""
