"""Helpers for tests of flists."""
