"""Helpers for tests of zinit."""
