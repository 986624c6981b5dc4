"""Releases: where they come from, and which one each run mode boots."""
