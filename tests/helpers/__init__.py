"""Helpers shared by tests; each cleans up after itself."""
