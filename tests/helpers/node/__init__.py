"""Helpers for tests of `node`."""
